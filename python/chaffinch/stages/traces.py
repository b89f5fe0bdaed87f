"""Traces of a model in the text: the second half of `provenance`, see `chaffinch.provenance.traces` for the rules."""

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_arrow, to_texts
from chaffinch.decisions import Rows
from chaffinch.provenance.traces import TraceRule, chosen
from chaffinch.recipe.provenance import Action

STORE_TEXTS = ["instruction", "input", "references", "messages"]


@dataclass(frozen=True)
class Found:
    """The traces in some rows: a line for each row, part and rule, in the order of rows, prompts first, and of rules.

    Attributes:
        rules: the ids of the rules that were looked for.
        row: uint32 row number of each line.
        rule: uint32 index into `rules`.
        response: whether it is in the response; else it is in the prompt.
        action: what the recipe wants done about it.
        words: Arrow strings, the first match.
    """

    rules: list[str]
    row: np.ndarray
    rule: np.ndarray
    response: np.ndarray
    action: np.ndarray
    words: Any

    @classmethod
    def of(cls, table: pa.Table, actions: Mapping[str, Action]) -> Self:
        """From the table of `find` for the rules of `actions`, in their order."""
        columns = {name: table[name].combine_chunks() for name in table.column_names}
        rule = columns["rule"].to_numpy()
        return cls(
            list(actions),
            columns["row"].to_numpy(),
            rule,
            columns["response"].to_numpy(zero_copy_only=False),
            np.array(list(actions.values()), object)[rule],
            columns["words"],
        )

    def names(self) -> tuple[np.ndarray, Any]:
        """The rows with traces, each once, and for each the ids of its rules, joined by commas."""
        pairs = np.unique(self.row.astype(np.uint64) << np.uint64(32) | self.rule)
        rows, counts = np.unique((pairs >> np.uint64(32)).astype(np.uint32), return_counts=True)
        ends = np.cumsum([0, *counts]).tolist()
        ids = [self.rules[rule] for rule in (pairs & np.uint64(0xFFFF_FFFF)).tolist()]
        joined = [",".join(ids[start:end]) for start, end in itertools.pairwise(ends)]
        return rows, pa.array(joined, pa.string())


def generated_traces(
    texts: Any,
    *,
    rules: Iterable[str] | None = None,
    part: Literal["prompt", "response"] = "response",
    threads: int | None = None,
) -> pa.Table:
    """Finds what only a model says of itself, and what its tooling left in the text.

    Args:
        texts: a column of text. A null is the empty text.
        rules: names of rules or families, as `chaffinch sources --traces` lists them; all when None.
        part: what the texts are; a rule that reads only the other part finds nothing.
        threads: default all cores. The answer does not depend on it.

    Returns:
        A table with a line for each text and rule that matches it, in the order of rows and rules: row (uint32), rule
        (dictionary of strings), start and end (uint32, in characters, so that `text[start:end]` is the first match),
        match (string: these characters).

    Raises:
        RecipeError: no such rule; the hint has the nearest.
        ValueError: `texts` is no column of text, or `part` is neither.

    Examples:
        >>> generated_traces(["Hm. As an AI, I pass.", "What is an AI?"]).to_pylist()
        [{'row': 0, 'rule': 'as-an-ai', 'start': 4, 'end': 15, 'match': 'As an AI, I'}]
    """
    if part not in ("prompt", "response"):
        raise ValueError(f"part is {part!r}\nhint: `prompt` or `response`")
    taken = chosen([rules] if isinstance(rules, str) else rules)
    column = to_texts({"texts": to_arrow(texts, "texts")})["texts"]
    found = pa.table(_core.text_traces(column, _plain(taken), part=part, threads=threads))
    return found.set_column(1, "rule", _names(found["rule"], taken))


def find(
    table: pa.Table,
    alive: Rows,
    rules: Sequence[TraceRule],
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> pa.Table:
    """The traces in rows of the store.

    Args:
        table: the store's table.
        alive: the rows to look at.
        rules: the rules to look for.
        threads: default all cores.
        progress: called with the rows done so far.

    Returns:
        A table with a line for each row, part and rule: row (uint32), rule (uint32, an index into `rules`), response
        (bool: found there, else in the prompt), words (string: the first match).
    """
    texts = table.select(STORE_TEXTS)
    return pa.table(_core.row_traces(texts, pa.array(alive), _plain(rules), threads=threads, progress=progress))


def _plain(rules: Sequence[TraceRule]) -> list[dict[str, object]]:
    plain: list[dict[str, object]] = []
    for rule in rules:
        phrases, then = rule.spelt_out()
        more = {name: getattr(rule, name) for name in ("part", "place", "quoted", "not_after", "not_before")}
        plain.append({"phrases": phrases, "then": then, **more})
    return plain


def _names(codes: Any, rules: Sequence[TraceRule]) -> pa.Array:
    names = pa.array([rule.id for rule in rules], pa.string())
    return pa.DictionaryArray.from_arrays(codes.combine_chunks().cast(pa.int32()), names)
