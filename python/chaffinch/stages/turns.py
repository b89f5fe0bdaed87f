"""Conversations that a template cannot write: which they are, and what of them can be mended."""

from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_numpy
from chaffinch.conversations import mended
from chaffinch.decisions import Decisions, Rows
from chaffinch.errors import DataError
from chaffinch.recipe.clean import Turns
from chaffinch.recipe.format import Template
from chaffinch.stages import format as formatting

EMPTY = "empty turn"
# What the codes of `_core.examine` say of a row.
REFUSED = {1: "role without a pattern", 2: "turns out of order", 3: "no assistant turn"}


def run(
    rows: pa.Table, alive: Rows, handling: Turns, template: Template | None, *, threads: int | None = None
) -> Decisions:
    """Removes conversations with an empty turn, and those whose roles or whose order the template cannot write.

    Args:
        rows: the store's table.
        alive: the rows still in, increasing.
        handling: `drop`: they go; `merge`: they are looked at as `mended` leaves them; `refuse`: none may be there.
        template: what writes them; None where a tokenizer's own does, which refuses when documents are made.
        threads: default all cores.

    Raises:
        DataError: the recipe refuses them, and there are some; it says how many and which is the first.
    """
    texts = rows.select(formatting.TEXTS)
    talks = alive[rows["messages"].is_valid().to_numpy()[alive]]
    parts: list[Decisions] = []
    if handling != "merge" and len(talks):
        parts.append(Decisions.because(EMPTY, talks[_empty(texts, talks, threads)]))
        talks = parts[0].kept(talks)
    if template is not None:
        for start in range(0, len(talks), formatting.BATCH):
            part = talks[start : start + formatting.BATCH]
            codes = _codes(texts, part, template, handling == "merge", threads)
            parts += [Decisions.because(why, part[codes == code]) for code, why in REFUSED.items()]
    decisions = Decisions.join(parts)
    if handling == "refuse" and len(decisions.row):
        first = rows.slice(int(decisions.row[0]), 1).select(["source", "task", "position"]).to_pylist()[0]
        where = f"{first['source']}/{first['task']}, position {first['position']}"
        raise DataError(
            f"{len(decisions.row):,} conversations cannot be written, the first: {where}: "
            f"{decisions.reasons[decisions.reason[0]]}\n"
            "hint: with `clean: {turns: drop}` they go and are counted, with `merge` they are mended where that helps"
        )
    return decisions


def _empty(texts: pa.Table, talks: Rows, threads: int | None) -> Any:
    nothing: dict[str, Any] = dict.fromkeys(("field", "unit", "min", "max", "sources"))
    rule = {"test": EMPTY, "texts": [], **nothing}
    one_source = pa.array(np.zeros(len(texts), np.uint32))
    return to_numpy(_core.clean(texts, pa.array(talks), one_source, [rule], threads=threads)) > 0


def _codes(texts: pa.Table, part: Rows, template: Template, merge: bool, threads: int | None) -> Any:
    if merge:
        texts = mended(pa.table(_core.gather(texts, pa.array(part))))
        part = np.arange(len(part), dtype=np.uint32)
    marks = formatting.marks_of([], "keep")
    return to_numpy(_core.examine(texts, pa.array(part), formatting.plain(template), marks, threads=threads))
