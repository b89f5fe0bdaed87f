"""What a file of the corpus is, and what is planted where: known before any row is made."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from chaffinch import draw
from chaffinch.synth.tasks import Task

VERSION = 2

DUPLICATES = ("exact-duplicate", "near-duplicate")
RATES = {
    "exact-duplicate": 0.015,
    "prompt-duplicate": 0.01,
    "near-duplicate": 0.015,
    "evaluation-item": 0.005,
    "model-generated": 0.02,
    "nan": 0.002,
    "duplicate-id": 0.002,
    "repeated-references": 0.003,
    "too-short": 0.004,
    "too-long": 0.004,
    "broken": 0.004,
}
# A file this small would not look like data any more with a row of each sort planted in it.
FEWEST_ROWS_TO_PLANT = 100


@dataclass(frozen=True)
class File:
    """One file of the corpus.

    Attributes:
        path: below the corpus, with forward slashes.
        format: key of `formats.WRITERS`.
        rows: records in it, broken ones included.
        kind: key of `kinds.KINDS`, or `task`.
        variant: what the kind's maker is told.
        task: the task of a task file.
        plants: the sorts of rows planted in it.
        breaks: the ways in which its broken rows are broken.
        traits: `bom`, `crlf`, `gzip`, `2021`, `string-output`, `foreign-ids`, `nan`.
        twin: path of an earlier file of the same kind, some of whose rows are repeated here.
    """

    path: str
    format: str
    rows: int
    kind: str
    variant: str = ""
    task: Task | None = None
    plants: tuple[str, ...] = ()
    breaks: tuple[str, ...] = ()
    traits: tuple[str, ...] = ()
    twin: "File | None" = None

    @property
    def first_position(self) -> int:
        """Position of the first record as the readers count: lines from 1, elements from 0."""
        return {"jsonl": 1, "tsv": 1, "csv": 2}.get(self.format, 0)

    @property
    def stream(self) -> str:
        """Names the draws of its content: twins share them, so each can repeat rows of the other."""
        return self.twin.stream if self.twin else self.path

    @property
    def first_content(self) -> int:
        """Number of its first row within the stream."""
        return self.twin.first_content + self.twin.rows if self.twin else 0


@dataclass(frozen=True)
class Plant:
    """What was planted in one record.

    Attributes:
        kind: key of `RATES`.
        how: for broken rows the way; for evaluation items how the item was hidden; else empty.
        original: file and slot of the row that this one repeats, or None.
        draw: 64 random bits for whatever is left to choose.
    """

    kind: str
    how: str
    original: tuple[File, int] | None
    draw: int


HIDINGS = ("verbatim", "lowercase", "embedded")


def _counts(file: File) -> dict[str, int]:
    if file.rows < FEWEST_ROWS_TO_PLANT:
        return {}
    counts = {kind: max(1, int(RATES[kind] * file.rows)) for kind in file.plants}
    if file.breaks:
        # Every way once where that stays below one row in a hundred.
        fewest = len(file.breaks) if file.rows >= 200 * len(file.breaks) else 1
        counts["broken"] = max(fewest, int(RATES["broken"] * file.rows))
    return counts


@lru_cache(maxsize=8)
def _order(file: File, seed: int) -> list[int]:
    order: list[int] = draw.shuffled(draw.key(VERSION, seed, "plants", file.path), file.rows).tolist()
    return order


def _plain(file: File, seed: int) -> list[int]:
    return _order(file, seed)[sum(_counts(file).values()) :]


def plants(file: File, seed: int) -> dict[int, Plant]:
    """What is planted in a file: slot (0-based place among its records) -> plant.

    Originals are rows in which nothing is planted, and no row is the original of two sorts of duplicates.
    Every fourth exact duplicate repeats the same original as the one before it.
    """
    order = _order(file, seed)
    plain = order[sum(_counts(file).values()) :]
    bits = draw.draws(draw.key(VERSION, seed, "plant bits", file.path), np.arange(file.rows, dtype=np.uint64), 1)[:, 0]
    there = _plain(file.twin, seed) if file.twin else []
    planted: dict[int, Plant] = {}
    place = used = 0
    for kind, count in _counts(file).items():
        for nth, slot in enumerate(order[place : place + count]):
            how, original = "", None
            if kind == "exact-duplicate" and file.twin and nth % 3 == 0 and nth < len(there):
                original = (file.twin, there[nth])
            elif kind in {"exact-duplicate", "prompt-duplicate", "near-duplicate", "duplicate-id"}:
                again = kind == "exact-duplicate" and nth % 4 == 3 and not file.twin
                used += not again
                original = (file, plain[(used - 1) % len(plain)])
            elif kind == "evaluation-item":
                how = HIDINGS[nth % len(HIDINGS)]
            elif kind == "broken":
                how = file.breaks[(nth + int(bits[order[0]])) % len(file.breaks)]
            planted[slot] = Plant(kind, how, original, int(bits[slot]))
        place += count
    return planted
