"""Removes the exact and near duplicates of one file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch.errors import DataError
from chaffinch.progress import NoProgress, Progress
from chaffinch.stages.dedup import exact_duplicates, giant_group, largest_group
from chaffinch.stages.near import NearIndex, near_duplicates
from chaffinch.text_columns import choose_columns, column_text

MOST_COLUMNS = 4
EVIDENCE = ("removed_by", "witness", "witness_id", "similarity")


@dataclass(frozen=True)
class Outcome:
    """What became of a file's rows.

    Attributes:
        kept: the rows that stay, all columns.
        removed: the others, with `removed_by` (`exact` or `near`), `witness` (uint32: the 0-based row of the file that
            stays instead; null when it is a row of the index), `witness_id` (its id, where ids are known) and
            `similarity` (null between exact duplicates).
        index: the rows to compare later files with: those of `against`, then the kept ones. None unless ids were given.
        summary: rows, on (the columns compared), exact, near, kept, largest_group and warnings.
    """

    kept: pa.Table
    removed: pa.Table
    index: NearIndex | None
    summary: dict[str, Any]


def deduplicate(
    table: pa.Table,
    *,
    exact: str | None = "case",
    near: float | Mapping[str, float] | None = 0.8,
    on: Sequence[str] = (),
    ngram: int = 5,
    unit: str = "word",
    priority: Sequence[str] = (),
    against: NearIndex | None = None,
    ids: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Removes exact duplicates and then, of what they leave, near ones.

    Args:
        table: any columns.
        exact: the normal form under which texts are equal; None: no such step.
        near: the Jaccard similarity from which texts are alike, of all columns or each by name; None: no such step.
        on: the columns to compare, each by itself; default: a conversation, or instruction, input and response.
        ngram: as in `near_duplicates`.
        unit: as in `near_duplicates`.
        priority: columns of numbers, the first of which counts most; the lowest stays. With `-` before the name the
            highest does. Text is read as numbers.
        against: rows that were kept before.
        ids: the column that names a row in an index; with it an index is made.
        threads: default all cores.
        progress: told how far it is.

    Raises:
        DataError: no such column, or one that cannot be what it is named for.
        ValueError: a parameter out of range, or other than those of the index.
    """
    progress = progress or NoProgress()
    taken = sorted(set(EVIDENCE) & set(table.column_names))
    if taken:
        raise DataError(
            f"the rows have a column {taken[0]} already\nhint: rename it: it is what the evidence is called"
        )
    if ids is not None and ids not in table.column_names:
        raise DataError(f"no column {ids!r}\nhint: there is {', '.join(table.column_names) or 'none'}")
    fields = choose_columns(table, on)
    if near is not None and len(fields) > MOST_COLUMNS:
        raise DataError(
            f"{len(fields)} columns to compare\nhint: near duplicates are found by 1 to {MOST_COLUMNS} of them"
        )
    texts = {name: column_text(table, name) for name in fields}
    ranks = [_numbers(table, name) for name in priority] or None
    rows = len(table)
    by = np.zeros(rows, np.int8)
    witness = np.full(rows, -1, np.int64)
    similarity = np.full(rows, np.nan)
    old_id = pa.nulls(rows)
    if exact is not None:
        progress.start("exact", rows, "rows")
        found = exact_duplicates(texts, normal_form=exact, priority=ranks, threads=threads, progress=progress.advance)
        row = found["row"].to_numpy()
        by[row], witness[row] = 1, found["witness"].to_numpy()
        progress.finish(rows - len(row), len(row))
    if near is not None:
        left = np.flatnonzero(by == 0)
        some = {name: column.take(pa.array(left)) for name, column in texts.items()} if len(left) < rows else texts
        fewer = None if ranks is None else [rank.take(pa.array(left)) for rank in ranks]
        progress.start("near", len(left), "rows")
        found = near_duplicates(
            some,
            min_similarity=near,
            ngram=ngram,
            unit=unit,
            priority=fewer,
            against=against,
            threads=threads,
            progress=progress.advance,
        )
        row = left[found["row"].to_numpy()]
        ours = found["witness"].is_valid().to_numpy()
        stays = found["witness"].fill_null(0).to_numpy()
        by[row], similarity[row] = 2, found["similarity"].to_numpy()
        witness[row] = np.where(ours, left[stays] if len(left) else -1, -1)
        if against is not None:
            at = np.full(rows, -1, np.int64)
            at[row] = np.arange(len(row))
            old_id = found["against"].combine_chunks().take(pa.array(at, mask=at < 0))
        progress.finish(len(left) - len(row), len(row))
    # An exact duplicate of a row that went as a near one has the row that stays as its witness too.
    via = np.where((by == 1) & (by[witness] == 2), witness, np.arange(rows))
    witness, similarity, old_id = witness[via], similarity[via], old_id.take(pa.array(via))
    gone = by > 0
    own = None if ids is None else table[ids].combine_chunks().take(pa.array(witness, mask=witness < 0))
    kept = table.filter(pa.array(~gone))
    removed = _removed(table, gone, by, witness, similarity, own, old_id)
    largest = largest_group(witness[witness >= 0])
    alarm = giant_group(largest, rows, f"the columns {', '.join(fields)}")
    summary = {
        "rows": rows,
        "on": fields,
        "exact": int((by == 1).sum()),
        "near": int((by == 2).sum()),
        "kept": len(kept),
        "largest_group": largest,
        "warnings": alarm,
    }
    index = None
    if ids is not None:
        stay = np.flatnonzero(~gone)
        index = NearIndex.build(texts, table[ids], rows=stay, ngram=ngram, unit=unit, threads=threads)
        index = index if against is None else against.merge(index)
    return Outcome(kept, removed, index, summary)


def _removed(
    table: pa.Table,
    gone: np.ndarray,
    by: np.ndarray,
    witness: np.ndarray,
    similarity: np.ndarray,
    own: pa.Array | None,
    old: pa.Array,
) -> pa.Table:
    rows = np.flatnonzero(gone)
    at = pa.array(rows)
    removed = table.take(at)
    steps = pa.array(np.array(["exact", "near"])[by[rows] - 1])
    stays = pa.array(witness[rows].astype(np.uint32), mask=witness[rows] < 0)
    ids = old.take(at) if own is None else own.take(at)
    if own is not None and not pa.types.is_null(old.type):
        ids = pa.array(
            [a if a is not None else b for a, b in zip(ids.to_pylist(), old.take(at).to_pylist(), strict=True)]
        )
    columns = (steps, stays, ids, pa.array(similarity[rows], mask=np.isnan(similarity[rows])))
    for name, column in zip(EVIDENCE, columns, strict=True):
        removed = removed.append_column(name, column)
    return removed


def _numbers(table: pa.Table, name: str) -> pa.ChunkedArray:
    there = table.column_names
    highest = name not in there and name.startswith("-")
    column = name[1:] if highest else name
    if column not in there:
        raise DataError(f"no column {column!r}\nhint: there is {', '.join(there) or 'none'}")
    try:
        numbers = table[column].cast(pa.float64())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(f"column {column!r} does not hold numbers: {error}\nhint: give one that does") from None
    if not highest:
        return numbers
    return pc.negate(numbers)
