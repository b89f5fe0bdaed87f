"""write: the kept rows, copied out once, in the order of their places."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaffinch import _core
from chaffinch.recipe.model import Write
from chaffinch.stages.provenance import Marks
from chaffinch.store import Rows

BATCH = 16_384
_TEXT = pa.large_string()
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("language", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("class", pa.string(), nullable=False),
        pa.field("instruction", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        pa.field("output", pa.string()),
        pa.field("references", pa.list_(pa.string()), nullable=False),
        pa.field("messages", _MESSAGES),
        pa.field("prompt_origin", pa.string(), nullable=False),
        pa.field("response_origin", pa.string(), nullable=False),
        pa.field("generator", pa.string()),
        pa.field("meta", pa.string()),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("response", pa.string(), nullable=False),
    ]
)


class Render(Protocol):
    """Turns gathered rows into their prompts and responses."""

    def __call__(self, batch: pa.RecordBatch) -> tuple[pa.Array, pa.Array]:
        """Columns of text, one for the prompts and one for the responses."""


@dataclass(frozen=True)
class Written:
    """One file of the mixture."""

    file: str
    rows: int
    bytes: int


def run(
    rows: Rows,
    splits: dict[str, np.ndarray],
    spec: Write,
    render: Render,
    marks: Marks,
    folder: Path,
    *,
    threads: int,
    advance: Callable[[int], object],
) -> list[Written]:
    """Writes each split's rows, in the order given, as files of `rows_per_file` rows; several files at a time.

    Args:
        rows: the store.
        splits: split name -> row numbers (uint32) in output order.
        spec: the recipe's `write`.
        render: prompts and responses from gathered rows.
        marks: origins of every row.
        folder: an empty folder for the files.
        threads: files written at the same time; the bytes do not depend on it.
        advance: called with the number of rows written so far.

    Returns:
        The files, in order.
    """
    writer = {"parquet": _write_parquet, "jsonl": _write_jsonl, "datasets": _write_arrow}[spec.format]
    count = _Count(advance)
    jobs = []
    for split, order in splits.items():
        n_files = max(1, -(-len(order) // spec.rows_per_file))
        for index in range(n_files):
            part = order[index * spec.rows_per_file : (index + 1) * spec.rows_per_file]
            jobs.append((_file_name(split, index, n_files, spec), part))

    def write_one(job: tuple[str, np.ndarray]) -> Written:
        name, part = job
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        batches = (
            assemble(rows, part[start : start + BATCH], render, marks, count) for start in range(0, len(part), BATCH)
        )
        writer(path, batches, spec)
        return Written(name, len(part), path.stat().st_size)

    with ThreadPoolExecutor(threads) as pool:
        written = list(pool.map(write_one, jobs))
    if spec.format == "datasets":
        _describe_datasets(folder, splits, written)
    return written


class _Count:
    def __init__(self, advance: Callable[[int], object]) -> None:
        self._advance, self._done, self._lock = advance, 0, Lock()

    def add(self, rows: int) -> None:
        with self._lock:
            self._done += rows
            self._advance(self._done)


def assemble(rows: Rows, part: np.ndarray, render: Render, marks: Marks, count: _Count) -> pa.RecordBatch:
    """The output columns of some rows."""
    batch = rows.gather(part)
    prompt, response = render(batch)
    conversation = batch["messages"].is_valid()
    kind = rows.classes(part, conversation.to_numpy(zero_copy_only=False))
    response = response.cast(_TEXT)
    columns = {
        "row_id": rows.ids(part),
        "class": kind,
        "output": pc.if_else(conversation, pa.scalar(None, _TEXT), response),
        "prompt": prompt,
        "response": response,
        **marks.columns(part),
    }
    return pa.record_batch(
        [(columns[field.name] if field.name in columns else batch[field.name]).cast(field.type) for field in SCHEMA],
        schema=SCHEMA,
    )
