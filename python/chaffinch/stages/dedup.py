"""dedup: rows that say again, or nearly, what a kept row says. Near duplicates are told in `stages.near`.

Of exact duplicates, equal hashes only nominate; a row is removed when its normalised text equals its witness's. The
normal forms, each coarser than the one before, are keys for comparison and change no text:

- `none`: the bytes as they are.
- `whitespace`: every run of characters with Unicode's White_Space property is one space, none at the ends.
- `case`: NFKC, lower case, NFKC again, then `whitespace`. Digits, punctuation and accents count.

Memory: 20 bytes a row and 8 a duplicate, beside the texts, which are read in place.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.columns import to_arrow, to_numpy, to_texts
from chaffinch.decisions import Decisions, Rows
from chaffinch.recipe.dedup import ByNumber, Dedup, Exact, Near
from chaffinch.stages.near import ranks
from chaffinch.stages.spans import shared_passages

WHOLE = {"whole": ["prompt", "response"]}
PROMPT = ["instruction", "input-or-turns"]
NEAR_PARTS = {"prompt": PROMPT, "whole": [*PROMPT, "response"]}

PASSAGES = "passages"
NUMBER = r"^-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]+)?$"
LARGEST = "largest group of near duplicates"
GIANT_ROWS, GIANT_SHARE = 1000, 0.01

STORE_TEXTS = ["instruction", "input", "references", "messages"]


def exact_duplicates(
    texts: Any,
    *,
    normal_form: str = "none",
    priority: Any = None,
    content: Any = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> pa.Table:
    """Finds rows whose texts are all equal under a normal form.

    Args:
        texts: a column of text, or several (a table, a mapping or a list of columns) which must all be equal.
            A null is the empty text.
        normal_form: `none`, `whitespace` or `case`.
        priority: numbers, one per row, or a list of such columns, the first of which counts most; of equal rows the
            one with the lowest stays. NaN and null rank last.
        content: content hashes, `fixed_size_binary[16]`, that decide next; the row number decides last.
        threads: default all cores. The answer does not depend on it.
        progress: called with the rows read so far.

    Returns:
        A table (row: uint32, witness: uint32) of the rows to remove, in order, each with the kept row that
        equals it. Rows whose texts are all empty are no duplicates of each other.

    Raises:
        ValueError: columns of different lengths, not of text, or an unknown normal form.

    Examples:
        >>> exact_duplicates(["a", "b", " A"], normal_form="case").to_pylist()
        [{'row': 2, 'witness': 0}]
    """
    table = to_texts(texts)
    return pa.table(
        _core.exact_duplicates(
            table,
            normal_form=normal_form,
            priority=None if priority is None else pa.array(ranks(priority, len(table))),
            content=None if content is None else to_arrow(content, "content"),
            threads=threads,
            progress=progress,
        )
    )


def run(
    rows: pa.Table,
    alive: Rows,
    spec: Dedup,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Decisions:
    """Removes exact and then near duplicates among the rows still in, rule by rule.

    Args:
        rows: the store's table.
        alive: the rows still in, increasing.
        spec: the recipe's rules; a later one sees what the earlier ones left.
        threads: default all cores.
        progress: called with the rows done so far.

    Returns:
        Decisions with a witness for every removed row: a row that no rule removed. Of near duplicates the score is the
        similarity; the notes tell the largest group, how many rows rules that only flag have found, and as `passages`,
        in JSON, the passages that many of the rows left share. The findings have a line for each flagged row: row,
        witness (uint32: a row of which the rule says that it would stay), similarity and reason.
    """
    parts: list[Decisions] = []
    for exact in spec.exact:
        parts.append(_apply_exact(rows, alive, exact, threads, progress))
        alive = parts[-1].kept(alive)
    for near in spec.near:
        parts.append(_apply_near(rows, alive, near, threads, progress))
        alive = parts[-1].kept(alive)
    if spec.spans:
        found = json.dumps(shared_passages(rows.select(STORE_TEXTS), alive, threads=threads))
        parts.append(replace(Decisions.none(), notes={PASSAGES: found}))
    return Decisions.join(parts)


def _common(rows: pa.Table, alive: Rows, rule: Exact | Near, threads: int | None) -> dict[str, Any]:
    """What both kernels are told alike: which rows, in which groups, and which of two stays."""
    codes, _, counts = _core.factorize(rows.select(["source"]), threads=threads)
    # The store holds the sources in the recipe's order, so the order of first rows is the order of sources.
    order = np.argsort(np.argsort(to_numpy(pa.table(counts)["first"]), kind="stable"), kind="stable")
    priority = order.astype(np.uint64)[to_numpy(codes)]
    if isinstance(rule.keep, ByNumber):
        priority = ranks([_by_number(rows, rule.keep), priority], len(rows))
    elif rule.keep != "source-order":
        characters = to_numpy(_core.lengths(rows.select(STORE_TEXTS), "whole", threads=threads))
        longest = np.uint64(0xFFFF_FFFF)
        rank = np.minimum(characters, longest)
        priority |= (rank if rule.keep == "shortest" else longest - rank) << np.uint64(32)
    groups = _core.factorize(rows.select(rule.within), threads=threads)[0] if rule.within else None
    return {
        "rows": pa.array(alive),
        "groups": groups,
        "priority": pa.array(priority),
        "content": rows["content_hash"],
        "identity": rows["row_hash"],
        "threads": threads,
    }


def _apply_exact(
    rows: pa.Table, alive: Rows, rule: Exact, threads: int | None, progress: Callable[[int], object] | None
) -> Decisions:
    # Of whole rows prompt and response are compared apart, so that no text slips from one into the other.
    fields = list(dict.fromkeys(part for field in rule.on for part in WHOLE.get(field, [field])))
    found = pa.table(
        _core.exact_duplicates(
            rows.select(STORE_TEXTS),
            normal_form=rule.normal_form,
            fields=fields,
            progress=progress,
            **_common(rows, alive, rule, threads),
        )
    )
    reason = f"duplicate of {'+'.join(rule.on)}"
    return Decisions.because(reason, to_numpy(found["row"]), to_numpy(found["witness"]))


def _apply_near(
    rows: pa.Table, alive: Rows, rule: Near, threads: int | None, progress: Callable[[int], object] | None
) -> Decisions:
    thresholds = _thresholds(rule)
    if rule.min_response:
        characters = to_numpy(_core.lengths(rows.select(STORE_TEXTS), "response", threads=threads))
        alive = alive[characters[alive] >= rule.min_response]
    found = pa.table(
        _core.near_duplicates(
            rows.select(STORE_TEXTS),
            fields=list(thresholds),
            min_similarity=list(thresholds.values()),
            ngram=rule.ngram,
            unit=rule.unit,
            progress=progress,
            **_common(rows, alive, rule, threads),
        )
    )
    what = "+".join(rule.on)
    row, witness = to_numpy(found["row"]), to_numpy(found["witness"])
    notes: dict[str, int | float | str] = {f"{LARGEST} of {what}": largest_group(witness)}
    reason = f"near duplicate of {what}"
    if rule.action == "flag":
        findings = pa.table({name: found[name] for name in ("row", "witness", "similarity")})
        findings = findings.append_column("reason", pa.repeat(reason, len(row)))
        notes = {f"flagged as near duplicates of {what}": len(row), **notes}
        return replace(Decisions.none(), notes=notes, findings=findings)
    return Decisions(
        row=row,
        reason=np.zeros(len(row), np.uint16),
        reasons=[reason],
        witness=witness,
        score=to_numpy(found["similarity"]),
        notes=notes,
    )


def _by_number(rows: pa.Table, keep: ByNumber) -> np.ndarray:
    """Of each row the number that decides, the lowest first; NaN where it has none."""
    texts = pa.chunked_array(_core.meta_field(rows["meta"], keep.highest or keep.lowest or "")).cast(pa.string())
    is_number = pc.match_substring_regex(texts, NUMBER)
    numbers: np.ndarray = pc.if_else(is_number, texts, None).cast(pa.float64()).to_numpy()
    return -numbers if keep.highest else numbers


def largest_group(witness: np.ndarray) -> int:
    """How many rows the row that is most often a witness stands for, itself included; 0 when there is none."""
    sizes = np.unique(witness, return_counts=True)[1]
    return int(sizes.max()) + 1 if len(sizes) else 0


def giant_group(size: int, rows: int, what: str) -> list[str]:
    """A warning when a group is more than a hundredth of `rows` and more than 1,000 of them; else none."""
    if size <= max(GIANT_ROWS, GIANT_SHARE * rows):
        return []
    share = f"{size:,} of {rows:,} rows"
    return [f"one row stands for {share} that are alike in {what}: look whether a template makes them so"]


def warnings(notes: Mapping[str, int | float | str], rows: int) -> list[str]:
    """What is worth a warning in the notes of a run over so many rows."""
    groups = ((name.removeprefix(f"{LARGEST} of "), size) for name, size in notes.items() if name.startswith(LARGEST))
    return [warning for what, size in groups for warning in giant_group(int(size), rows, what)]


def _thresholds(rule: Near) -> dict[str, float]:
    """The texts that must be alike, each by itself: a definition that a task's rows share does not make them so."""
    parts: dict[str, float] = {}
    for field in rule.on:
        least = rule.min_similarity[field] if isinstance(rule.min_similarity, dict) else rule.min_similarity
        for part in NEAR_PARTS.get(field, [field]):
            parts[part] = max(least, parts.get(part, 0.0))
    return parts
