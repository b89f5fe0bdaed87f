"""`import chaffinch` loads nothing that takes time."""

import subprocess
import sys

HEAVY = ("torch", "transformers", "datasets", "polars", "pandas", "pyarrow", "pydantic", "numpy", "chaffinch._core")


def test_importing_loads_none_of_the_heavy_libraries() -> None:
    code = f"import sys, chaffinch; print(sorted(name for name in {HEAVY} if name in sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"


def test_every_public_name_is_there() -> None:
    code = "import chaffinch; [getattr(chaffinch, name) for name in chaffinch.__all__]"
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


def test_building_loads_no_extra() -> None:
    # Not pandas: pyarrow itself loads it where it is installed.
    extras = ("torch", "transformers", "datasets", "polars")
    code = f"import sys, chaffinch.building; print(sorted(name for name in {extras} if name in sys.modules))"
    shown = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert shown.strip() == "[]"
