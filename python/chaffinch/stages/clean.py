"""Rows that are broken, too short, too long, or say what must not be said."""

from collections.abc import Callable, Sequence
from typing import TypedDict

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.columns import to_numpy
from chaffinch.decisions import Decisions, Rows
from chaffinch.recipe.clean import Clean, Forbid, Length, Limits

UNITS = {"characters": "characters", "space": "space-split words", "whitespace": "words"}


class Rule(TypedDict):
    """One test as the core takes it; `sources` says by source code whether it holds there."""

    test: str
    field: str | None
    unit: str | None
    min: int | None
    max: int | None
    texts: list[str]
    sources: list[bool] | None


def run(
    rows: pa.Table,
    alive: Rows,
    spec: Clean,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Decisions:
    """Removes the rows that break a rule, in one pass over their text.

    Conversations without an assistant's turn, or with an empty one, go first; then empty prompts and
    responses (nothing but white space, by Python's `str.strip`), then lengths, then forbidden texts. The
    first rule that a row breaks is its reason.

    Args:
        rows: the store's table.
        alive: the rows still in, increasing.
        spec: the recipe's rules.
        threads: default all cores.
        progress: called with the rows done so far.
    """
    codes, tuples, _ = _core.factorize(rows.select(["source"]), threads=threads)
    names: list[str] = pa.table(tuples)["source"].to_pylist()
    reasons, rules = _rules(spec, names)
    if not rules:
        return Decisions.none()
    broken = to_numpy(
        _core.clean(
            rows.select(["instruction", "input", "references", "messages"]),
            pa.array(alive),
            codes,
            rules,
            threads=threads,
            progress=progress,
        )
    )
    goes = broken > 0
    return Decisions(alive[goes], broken[goes] - np.uint16(1), reasons)


def limits(rows: pa.Table, alive: Rows, spec: Limits, *, threads: int | None = None) -> Decisions:
    """Removes the rows with more references than the limits allow, and then those too short or too long."""
    parts = []
    if spec.max_references is not None:
        references = pc.list_value_length(rows["references"]).to_numpy()[alive]
        many = alive[references > spec.max_references]
        parts.append(Decisions.because(f"over {spec.max_references} references", many))
        alive = parts[0].kept(alive)
    lengths = Clean(empty_prompt="keep", empty_response="keep", lengths=spec.lengths)
    return Decisions.join([*parts, run(rows, alive, lengths, threads=threads)])


def _rules(spec: Clean, names: list[str]) -> tuple[list[str], list[Rule]]:
    reasons: list[str] = []
    rules: list[Rule] = []

    def add(reason: str, test: str, field: str | None = None, rule: Length | Forbid | None = None) -> None:
        length = rule if isinstance(rule, Length) else None
        texts = rule.texts if isinstance(rule, Forbid) else []
        reasons.append(reason)
        rules.append(
            {
                "test": test,
                "field": field,
                "unit": length.unit if length else None,
                "min": length.min if length else None,
                "max": length.max if length else None,
                "texts": texts,
                "sources": _holds(rule.sources if rule else None, names),
            }
        )

    if spec.empty_response == "remove":
        add("no assistant turn", "no assistant turn")
        if spec.turns != "merge":
            add("empty assistant turn", "empty assistant turn")
    if spec.empty_prompt == "remove":
        add("empty prompt", "blank", "prompt")
    if spec.empty_response == "remove":
        add("empty response", "blank", "response")
    for length in spec.lengths:
        unit = UNITS[length.unit]
        for bound, text in (("min", f"under {length.min} {unit}"), ("max", f"over {length.max} {unit}")):
            if getattr(length, bound) is not None:
                other = {"min": "max", "max": "min"}[bound]
                add(f"{length.field} {text}", "length", length.field, length.model_copy(update={other: None}))
    for forbid in spec.forbid:
        add(
            f"{forbid.field} contains {' or '.join(map(repr, forbid.texts))}",
            "contains",
            forbid.field,
            forbid,
        )
    return reasons, rules


def _holds(sources: Sequence[str] | None, names: list[str]) -> list[bool] | None:
    return None if sources is None else [name in sources for name in names]
