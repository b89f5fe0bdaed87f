"""The rules of the house that no linter knows: run by `make lint`."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
MAX_LINES = {"rust/core/tests": 600, "rust": 400, "python": 400, "tests": 600, "benches": 400}


def tracked(*patterns: str) -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    return [ROOT / name for name in names if (ROOT / name).is_file()]


def too_long() -> list[str]:
    found = []
    for path in tracked("*.rs", "*.py"):
        name = path.relative_to(ROOT).as_posix()
        limit = next(limit for folder, limit in MAX_LINES.items() if name.startswith(folder))
        lines = len(path.read_text().splitlines())
        if lines > limit:
            found.append(f"{name} has {lines} lines, at most {limit}: it is asking to be two")
    return found


def core_dependencies() -> list[str]:
    """The core knows neither Python nor Arrow nor files."""
    metadata = json.loads(
        subprocess.run(
            ["cargo", "metadata", "--format-version=1", "--locked"], cwd=ROOT, capture_output=True, check=True
        ).stdout
    )
    core = next(package for package in metadata["packages"] if package["name"] == "chaffinch-core")
    names = {dependency["name"] for dependency in core["dependencies"]}
    return [
        f"chaffinch-core depends on {name}"
        for name in sorted(names)
        if name.startswith(("pyo3", "arrow", "serde", "memmap"))
    ]


def addresses() -> list[str]:
    """No lock file or constraint carries a download address besides Cargo's own name for its registry."""
    return [f"{path.name} carries a download address" for path in tracked("*.txt", "*.lock")
            if path.name != "Cargo.lock" and "https://" in path.read_text()]  # fmt: skip


if __name__ == "__main__":
    problems = [*too_long(), *core_dependencies(), *addresses()]
    print(*problems, sep="\n", file=sys.stderr)
    sys.exit(bool(problems))
