"""Exact duplicates: rows that say again what a kept row says.

Equal hashes only nominate; a row is removed when its normalised text equals its witness's. The normal forms,
each coarser than the one before, are keys for comparison and change no text:

- `none`: the bytes as they are.
- `whitespace`: every run of characters with Unicode's White_Space property is one space, none at the ends.
- `case`: NFKC, lower case, NFKC again, then `whitespace`. Digits, punctuation and accents count.

Memory: 20 bytes a row and 8 a duplicate, beside the texts, which are read in place.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_arrow, to_numpy, to_texts
from chaffinch.decisions import Decisions, Rows
from chaffinch.recipe.dedup import Dedup, Exact

WHOLE = {"whole": ["prompt", "response"]}

STORE_TEXTS = ["instruction", "input", "references", "messages"]


def exact_duplicates(
    texts: Any,
    *,
    normal_form: str = "none",
    priority: Any = None,
    content: Any = None,
    threads: int | None = None,
) -> pa.Table:
    """Finds rows whose texts are all equal under a normal form.

    Args:
        texts: a column of text, or several (a table, a mapping or a list of columns) which must all be equal.
            A null is the empty text.
        normal_form: `none`, `whitespace` or `case`.
        priority: whole numbers from 0, one per row; of equal rows the one with the lowest stays.
        content: content hashes, `fixed_size_binary[16]`, that decide next; the row number decides last.
        threads: default all cores. The answer does not depend on it.

    Returns:
        A table (row: uint32, witness: uint32) of the rows to remove, in order, each with the kept row that
        equals it. Rows whose texts are all empty are no duplicates of each other.

    Raises:
        ValueError: columns of different lengths, not of text, or an unknown normal form.

    Examples:
        >>> exact_duplicates(["a", "b", " A"], normal_form="case").to_pylist()
        [{'row': 2, 'witness': 0}]
    """
    return pa.table(
        _core.exact_duplicates(
            to_texts(texts),
            normal_form=normal_form,
            priority=None if priority is None else _priority(priority),
            content=None if content is None else to_arrow(content, "content"),
            threads=threads,
        )
    )


def _priority(priority: Any) -> pa.Array:
    numbers = to_arrow(priority, "priority")
    if not pa.types.is_integer(numbers.type):
        raise ValueError(f"priority is {numbers.type}\nhint: give whole numbers from 0, the lowest of which stays")
    try:
        return numbers.cast(pa.uint64()).combine_chunks()
    except pa.ArrowInvalid as error:
        raise ValueError(f"priority: {error}\nhint: give whole numbers from 0, the lowest of which stays") from error


def run(
    rows: pa.Table,
    alive: Rows,
    spec: Dedup,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Decisions:
    """Removes exact duplicates among the rows still in, rule by rule.

    Args:
        rows: the store's table.
        alive: the rows still in, increasing.
        spec: the recipe's rules; a later one sees what the earlier ones left.
        threads: default all cores.
        progress: called with the rows done so far.

    Returns:
        Decisions with a witness for every removed row: a row that no rule removed.
    """
    parts: list[Decisions] = []
    for rule in spec.exact:
        parts.append(_apply(rows, alive, rule, threads, progress))
        alive = parts[-1].kept(alive)
    return Decisions.join(parts)


def _fields(rule: Exact) -> list[str]:
    """What is compared: of whole rows prompt and response apart, so that no text slips from one into the other."""
    return list(dict.fromkeys(part for field in rule.on for part in WHOLE.get(field, [field])))


def _apply(
    rows: pa.Table, alive: Rows, rule: Exact, threads: int | None, progress: Callable[[int], object] | None
) -> Decisions:
    codes, _, counts = _core.factorize(rows.select(["source"]), threads=threads)
    # The store holds the sources in the recipe's order, so the order of first rows is the order of sources.
    order = np.argsort(np.argsort(to_numpy(pa.table(counts)["first"]), kind="stable"), kind="stable")
    priority = order.astype(np.uint64)[to_numpy(codes)]
    if rule.keep != "source-order":
        characters = to_numpy(_core.lengths(rows.select(STORE_TEXTS), "whole", threads=threads))
        longest = np.uint64(0xFFFF_FFFF)
        rank = np.minimum(characters, longest)
        priority |= (rank if rule.keep == "shortest" else longest - rank) << np.uint64(32)
    groups = _core.factorize(rows.select(rule.within), threads=threads)[0] if rule.within else None
    found = pa.table(
        _core.exact_duplicates(
            rows.select(STORE_TEXTS),
            normal_form=rule.normal_form,
            fields=_fields(rule),
            rows=pa.array(alive),
            groups=groups,
            priority=pa.array(priority),
            content=rows["content_hash"],
            identity=rows["row_hash"],
            threads=threads,
            progress=progress,
        )
    )
    reason = f"duplicate of {'+'.join(rule.on)}"
    return Decisions.because(reason, to_numpy(found["row"]), to_numpy(found["witness"]))
