"""Small stores for tests: the columns of ARCHITECTURE.md from plain dictionaries."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np
import pyarrow as pa

TEXT = pa.string_view()
SCHEMA = pa.schema(
    [
        pa.field("source", TEXT, nullable=False),
        pa.field("task", TEXT, nullable=False),
        pa.field("category", TEXT),
        pa.field("language", TEXT),
        pa.field("licence", TEXT),
        pa.field("instruction", TEXT, nullable=False),
        pa.field("input", TEXT, nullable=False),
        pa.field("references", pa.list_(TEXT), nullable=False),
        pa.field("messages", pa.list_(pa.struct([("role", TEXT), ("content", TEXT)]))),
        pa.field("meta", TEXT),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("row_hash", pa.binary(16), nullable=False),
        pa.field("position", pa.uint64(), nullable=False),
    ]
)
CONTENT = ("instruction", "input", "references", "messages")


def turns(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": content} for role, content in pairs]


def row(response: str | None = None, **columns: Any) -> dict[str, Any]:
    made = {"source": "s", "task": "t", "instruction": "", "input": "", "messages": None}
    made["references"] = [] if response is None else [response]
    made |= columns
    content = repr([made[name] for name in CONTENT])
    identity = repr(sorted((name, value) for name, value in made.items() if name != "position"))
    hashes = {"content_hash": content, "row_hash": identity}
    return {
        name: blake2b(text.encode("utf-8", "replace"), digest_size=16).digest() for name, text in hashes.items()
    } | made


def store(rows: Sequence[dict[str, Any]], chunk: int = 65_536) -> pa.Table:
    """The rows as a table in chunks of `chunk` rows."""
    filled = [{"position": at} | one for at, one in enumerate(rows)]
    batches = [
        pa.RecordBatch.from_pylist(filled[start : start + chunk], schema=SCHEMA)
        for start in range(0, len(filled), chunk)
    ]
    return pa.Table.from_batches(batches, SCHEMA)


def everyone(table: pa.Table) -> np.ndarray:
    return np.arange(len(table), dtype=np.uint32)
