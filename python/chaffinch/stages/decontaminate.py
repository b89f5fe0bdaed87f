"""Rows that hold items of evaluation sets.

A question of at least `ngram` words is found by its n-grams: what counts is the share of its words that lie in n-grams
which the row has too. N-grams that more than `common` rows or items have (a task's instruction, a template) tell
nothing, and are left out of that share; a question that the row has from end to end is always found. A shorter
question has to be in the row from end to end. Choices have to be there too where the question alone tells nothing.
docs/decontamination.md has the rules and their reasons.

Words are parted by spaces and punctuation, without regard to case and Unicode form.
"""

import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.columns import to_arrow, to_numpy, to_texts
from chaffinch.decisions import Decisions
from chaffinch.order import lexsort
from chaffinch.recipe.decontaminate import Decontaminate
from chaffinch.stages.dedup import STORE_TEXTS

NGRAM = 13
MIN_COVERAGE = 0.5
COMMON = 50
MOST_WORDS = 2**32
PARTS = ("question", "answer", "choices")
EVIDENCE_CHARACTERS = 300

ITEMS_HELD = "items held"


class Rows(Protocol):
    """The part of the store that this stage needs."""

    @property
    def table(self) -> Any:
        """The store's columns."""

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Source name -> half-open range of row numbers."""

    def source_codes(self, rows: np.ndarray) -> np.ndarray:
        """The source of each row, as an index into `ranges`."""


def contamination(
    texts: Any,
    items: Any,
    *,
    ngram: int = NGRAM,
    min_coverage: float = MIN_COVERAGE,
    common: int = COMMON,
    threads: int | None = None,
) -> pa.Table:
    """Finds all evaluation items in all rows.

    Args:
        texts: a column of text, the rows; nulls are empty.
        items: a column of questions, or a table (or mapping) with `question` and, where there are, `answer` (text)
            and `choices` (lists of text).
        ngram: words of an n-gram.
        min_coverage: the least share of an item's telling words that makes a match, above 0 and at most 1.
        common: n-grams in more rows, or more items, tell nothing. Of fewer rows than this, none is common.
        threads: default all cores. The answer does not depend on it.

    Returns:
        A table of all matches by row and item: row, item (uint32), equal_items (uint32), matched_words (uint32: the
        item's words that the row has), coverage (float64), start, end (uint64: where the longest matching stretch
        lies in the row, in characters, so that it is `texts[row][start:end]`). Items that are the same word by word,
        in all their parts, are one: the first of them is told, with their number.

        Memory: a bit a row, about 45 bytes for each word of the questions, 48 bytes a match.

    Raises:
        ValueError: columns that are not text or of different lengths, or numbers out of range.
        DataError: more than 100 million matches.

    Examples:
        >>> found = contamination(["Q: who wrote the first part of it?"], ["Who wrote the first part?"])
        >>> found.select(["row", "item", "coverage", "start", "end"]).to_pylist()
        [{'row': 0, 'item': 0, 'coverage': 1.0, 'start': 3, 'end': 27}]
    """
    column = to_texts(texts)
    if column.num_columns != 1:
        raise ValueError(f"texts has {column.num_columns} columns\nhint: give one, or join them")
    return _find(column, _parts(items), ngram, min_coverage, common, threads=threads)[0]


def find_items(
    texts: pa.Table,
    items: pa.Table,
    spec: Decontaminate,
    *,
    sets: np.ndarray | None = None,
    field: str | None = None,
    rows: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    evidence: int | None = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[pa.Table, pa.Table]:
    """As `contamination`, and what items there are at all.

    Args:
        texts: one column of text, or the store's columns with `field`.
        items: question, answer, choices.
        spec: ngram, min_coverage and common.
        sets: uint32, the set of each item: then of each row and set only the best match is told.
        field: what of the store's rows is looked at.
        rows: the rows to look at, increasing; default all.
        groups: uint32, by row number the group whose items are told; default one group.
        evidence: adds a column `text` (large_string): the matching stretch, at most so many characters of it.
        threads: default all cores.
        progress: called with the rows done so far.

    Returns:
        The matches, and a table (group, item, first: uint32) of the items that some row of a group has, be they the
        best or not; equal items one by one, each with the first of them.
    """
    return _find(
        texts,
        _parts(items.select([*PARTS])),
        spec.ngram,
        spec.min_coverage,
        spec.common,
        field=field,
        rows=None if rows is None else pa.array(rows, pa.uint32()),
        sets=None if sets is None else pa.array(sets, pa.uint32()),
        groups=None if groups is None else pa.array(groups, pa.uint32()),
        evidence=evidence,
        threads=threads,
        progress=progress,
    )


def _find(
    texts: pa.Table, parts: list[Any], ngram: int, min_coverage: float, common: int, *, rows: Any = None, **more: Any
) -> tuple[pa.Table, pa.Table]:
    for name, number, least in (("ngram", ngram, 1), ("common", common, 0)):
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number < MOST_WORDS:
            raise ValueError(f"{name} is {number!r}, expected a whole number from {least} to {MOST_WORDS - 1}")
    more = {"field": None, "rows": rows, **more}
    matches, held = _core.contamination(
        texts, *parts, ngram=ngram, min_coverage=float(min_coverage), common=common, **more
    )
    return pa.table(matches), pa.table(held)


def _parts(items: Any) -> list[Any]:
    """Question, answer, all choices one after the other, and how many each item has."""
    columns = _columns(items)
    unknown = sorted(set(columns) - set(PARTS))
    if "question" not in columns or unknown:
        hint = "name them question, answer and choices"
        raise ValueError(f"items has the columns {', '.join(columns)}\nhint: {hint}")
    choices = columns.pop("choices", None)
    texts = to_texts(columns, "items")
    rows = len(texts)
    answer = texts["answer"] if "answer" in columns else pa.chunked_array([pa.nulls(rows, pa.string())])
    if choices is None:
        choices = pa.chunked_array([pa.nulls(rows, pa.list_(pa.string()))])
    kind = choices.type
    if pa.types.is_null(kind):
        choices = choices.cast(pa.list_(pa.string()))
    elif not (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        raise ValueError(f"items['choices'] is {kind}\nhint: give a list of texts for each item")
    if len(choices) != rows:
        raise ValueError(f"items has columns of different lengths: question {rows}, choices {len(choices)}")
    flat = to_texts(pc.list_flatten(choices), "choices")
    counts = pc.fill_null(pc.list_value_length(choices), 0).cast(pa.uint32())
    return [texts["question"], answer, flat["choices"], counts.combine_chunks()]


def _columns(items: Any) -> dict[str, Any]:
    if isinstance(items, dict):
        return {str(name): to_arrow(column, f"items[{name!r}]") for name, column in items.items()}
    if hasattr(items, "__arrow_c_stream__") and not isinstance(items, pa.ChunkedArray) and hasattr(items, "columns"):
        table = pa.table(items)
        return dict(zip(table.column_names, table.columns, strict=True))
    return {"question": to_arrow(items, "items")}


def run(
    rows: Rows,
    alive: np.ndarray,
    spec: Decontaminate,
    sets: Sequence[tuple[str, pa.Table]],
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Decisions:
    """Removes the rows that hold an item, or with `policy: flag` only says which they are.

    Args:
        rows: the store.
        alive: the rows still in, increasing. N-grams are counted over all of them, those of `except` included.
        spec: the recipe's rules.
        sets: name and items of each evaluation set.
        threads: default all cores.
        progress: called with the rows done so far.

    Returns:
        Decisions whose score is the coverage and whose reason names the set with the best match. Evidence: one line
        for each row and set that match: row (uint32), evaluation_set, item, removed, matched_words, coverage, text
        (the matching stretch, at most 300 characters). The note `items held` has, as JSON, by set and source the number
        of items that its rows have at all.
    """
    names = [name for name, _ in sets]
    if not names:
        return Decisions.none()
    items = pa.concat_tables([table for _, table in sets])
    of_set = np.repeat(np.arange(len(sets), dtype=np.uint32), [len(table) for _, table in sets])
    everyone = np.arange(len(rows.table), dtype=np.uint32)
    found, held = find_items(
        rows.table.select(STORE_TEXTS),
        items,
        spec,
        sets=of_set,
        field=spec.on,
        rows=alive,
        groups=rows.source_codes(everyone),
        evidence=EVIDENCE_CHARACTERS,
        threads=threads,
        progress=progress,
    )
    row, coverage = to_numpy(found["row"]), to_numpy(found["coverage"])
    set_of = of_set[to_numpy(found["item"])]
    goes = np.full(len(row), spec.policy == "remove")
    for source in spec.except_sources:
        start, end = rows.ranges[source]
        goes &= (row < start) | (row >= end)
    findings = pa.table(
        {
            "row": found["row"],
            "evaluation_set": pa.array(names, pa.string()).take(pa.array(set_of)),
            "item": items["id"].take(found["item"]),
            "removed": goes,
            **{name: found[name] for name in ("matched_words", "coverage", "text")},
        }
    )
    # Of a row's matches the best names the reason: most coverage, then most words, then the set named first.
    order = lexsort((set_of, -to_numpy(found["matched_words"]).astype(np.int64), -coverage, row))
    order = order[goes[order]]
    best = order[np.unique(row[order], return_index=True)[1]]
    codes = to_numpy(held["group"]).astype(np.uint64) * len(sets) + of_set[to_numpy(held["item"])]
    pairs, counts = np.unique(codes, return_counts=True)
    sources = list(rows.ranges)
    lines = [
        [names[pair % len(sets)], sources[pair // len(sets)], count]
        for pair, count in zip(pairs.tolist(), counts.tolist(), strict=True)
    ]
    notes: dict[str, int | float | str] = {ITEMS_HELD: json.dumps(lines)}
    reasons = set_of[best].astype(np.uint16)
    return Decisions(row[best], reasons, names, score=coverage[best], notes=notes, findings=findings)
