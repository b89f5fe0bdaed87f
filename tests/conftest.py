import json
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

# A loaded machine is no wrong answer.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")

# Whoever is started in the background ignores Ctrl-C, and so would every process that a test interrupts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

REAL = Path(__file__).parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not REAL.is_dir():
        skip = pytest.mark.skip(reason=f"no real data at {REAL}")
        for item in items:
            if "real" in item.keywords:
                item.add_marker(skip)


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of real data."""
    return REAL


def alpaca_rows(n: int, seed: int) -> list[dict[str, Any]]:
    """Rows in Alpaca's form: about one in eight a copy of an earlier one, some empty, some with accents."""
    chance = random.Random(seed)
    words = "river stone café light naïve seven count Über letter 数 field answer question 12 a the of".split(" ")
    rows: list[dict[str, Any]] = []
    for number in range(n):
        if rows and chance.random() < 0.125:
            rows.append(dict(chance.choice(rows)))
            continue
        rows.append(
            {
                "instruction": " ".join(chance.choices(words, k=chance.randint(3, 12))),
                "input": " ".join(chance.choices(words, k=chance.randint(0, 9))),
                "output": "" if chance.random() < 0.02 else " ".join(chance.choices(words, k=chance.randint(1, 20))),
                "number": number,
            }
        )
    return rows


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
