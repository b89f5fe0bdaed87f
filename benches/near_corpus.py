"""Rows of real sentences with planted copies: 10 % exact, 15 % near (1 to 4 words replaced, put in or left out)."""

import gzip
import json
import random
import re
from itertools import chain
from pathlib import Path

import pyarrow as pa
from common import DATA

REAL = Path(__file__).resolve().parents[2] / "shared" / "data"
CHARACTERS = 500


def file_of(rows: int, seed: int) -> Path:
    return DATA / f"near-{rows}-{seed}.arrow"


def sentences() -> list[str]:
    """Sentences of Natural Instructions' inputs and P3's prompts, each once, in order."""
    found: set[str] = set()
    for path in chain(*(sorted(REAL.glob(f"{name}/**/*.json*")) for name in ("natural-instructions", "p3-t0-50k"))):
        text = (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8").read()
        if "p3" in path.parts[len(REAL.parts)]:
            texts = (json.loads(line)["prompt"] for line in text.splitlines())
        else:
            task = json.loads(text)
            texts = (
                (one["input"] for one in task["Instances"]) if isinstance(task, dict) and "Instances" in task else ()
            )
        for one in texts:
            found.update(sentence for sentence in re.split(r"(?<=[.!?])\s+", one) if 20 < len(sentence) < 400)
    return sorted(found)


def make(rows: int, seed: int, known: list[str] | None = None) -> Path:
    """Columns text and family: rows of one family were made from one another. Made once."""
    path = file_of(rows, seed)
    if path.exists():
        return path
    known = known or sentences()
    chance = random.Random(seed)
    vocabulary = [word for sentence in chance.sample(known, 2000) for word in sentence.split()]
    texts: list[str] = []
    family: list[int] = []
    while len(texts) < rows:
        kind = chance.random()
        if kind < 0.75 or not texts:
            family.append(len(texts))
            texts.append(_fresh(known, chance))
            continue
        of = chance.randrange(len(texts))
        family.append(family[of])
        texts.append(texts[of] if kind < 0.85 else _edited(texts[of], vocabulary, chance))
    order = list(range(rows))
    chance.shuffle(order)
    table = pa.table(
        {
            "text": pa.array([texts[at] for at in order], pa.large_string()),
            "family": pa.array([family[at] for at in order], pa.uint32()),
        }
    )
    DATA.mkdir(exist_ok=True)
    partial = path.with_suffix(".partial")
    with pa.OSFile(str(partial), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=65_536)
    partial.rename(path)
    return path


def _fresh(known: list[str], chance: random.Random) -> str:
    parts: list[str] = []
    length = 0
    while length < CHARACTERS:
        parts.append(chance.choice(known))
        length += len(parts[-1]) + 1
    return " ".join(parts)


def _edited(text: str, vocabulary: list[str], chance: random.Random) -> str:
    words = text.split()
    for _ in range(chance.randint(1, 4)):
        at, kind = chance.randrange(len(words)), chance.random()
        if kind < 0.4:
            words[at] = chance.choice(vocabulary)
        elif kind < 0.7:
            words.insert(at, chance.choice(vocabulary))
        elif len(words) > 1:
            del words[at]
    return " ".join(words)


def load(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()
