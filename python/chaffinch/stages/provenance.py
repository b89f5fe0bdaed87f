"""provenance: who wrote the prompt and the response of each row, and whether that is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.decisions import Decisions
from chaffinch.errors import RecipeError
from chaffinch.provenance import Entry, registry
from chaffinch.recipe.provenance import Provenance
from chaffinch.recipe.source import Origin, RowOrigin, Source

ORIGINS: tuple[Origin, ...] = ("human", "model", "unknown")
HUMAN, MODEL, UNKNOWN = range(3)
REASONS = [
    "response by a model",
    "prompt by a model",
    "response of unknown origin",
    "prompt of unknown origin",
]
# What each of them is about: the part of the row, and its origin.
DENIED = [("response", MODEL), ("prompt", MODEL), ("response", UNKNOWN), ("prompt", UNKNOWN)]
# The columns that a source's own field may have gone to instead of `meta`.
MAPPED = ("task", "category", "language", "licence")


class Rows(Protocol):
    """The part of the store that this stage needs."""

    @property
    def table(self) -> Any:
        """The store's columns."""

    @property
    def ranges(self) -> dict[str, tuple[int, int]]:
        """Source name -> half-open range of row numbers."""


@dataclass(frozen=True)
class Marks:
    """The origin of every row.

    Attributes:
        prompt_origin: uint8 per row, an index into `ORIGINS`.
        response_origin: the same of the response.
        generator: uint16 per row, an index into `generators`.
        generators: names of models; the first is empty and stands for none.
    """

    prompt_origin: np.ndarray
    response_origin: np.ndarray
    generator: np.ndarray
    generators: list[str]

    def columns(self, rows: np.ndarray) -> dict[str, Any]:
        """The marks of some rows as Arrow string arrays.

        Args:
            rows: row numbers, in any order.

        Returns:
            prompt_origin, response_origin and generator; the last is null for none.
        """
        names = pa.array(list(ORIGINS), pa.string())
        generators = pa.array([name or None for name in self.generators], pa.string())
        return {
            "prompt_origin": names.take(pa.array(self.prompt_origin[rows])),
            "response_origin": names.take(pa.array(self.response_origin[rows])),
            "generator": generators.take(pa.array(self.generator[rows])),
        }


def origins(rows: Rows, sources: Sequence[Source]) -> Marks:
    """Tells who wrote each row.

    Prompt, response and generator are each told by the first of these that has something to say: the source's
    `row_origins`, the registry's rules for rows, the source's own `prompt_origin`, `response_origin` and
    `generator`, the registry's entry. What none of them tells is unknown. A generator is named only where a
    model wrote prompt or response.

    Args:
        rows: the store.
        sources: the recipe's sources.

    Raises:
        RecipeError: a source names a data set that the registry does not have.
    """
    count = len(rows.table)
    prompt, response = np.full(count, UNKNOWN, np.uint8), np.full(count, UNKNOWN, np.uint8)
    generator, names = np.zeros(count, np.uint16), [""]
    for source in sources:
        start, end = rows.ranges[source.name]
        entry = registry().lookup(source.registry) if source.registry else None
        part = slice(start, end)
        prompt[part] = _code(source.prompt_origin or (entry.prompt_origin if entry else None))
        response[part] = _code(source.response_origin or (entry.response_origin if entry else None))
        generator[part] = _name(source.generator or _joined(entry), names)
        rules: list[RowOrigin] = [*source.row_origins, *(entry.row_rules if entry else [])]
        if rules and start < end:
            _apply(rules, _Fields(rows, source, start, end), prompt[part], response[part], generator[part], names)
    generator[(prompt != MODEL) & (response != MODEL)] = 0
    return Marks(prompt, response, generator, names)


def run(rows: Rows, alive: np.ndarray, spec: Provenance, marks: Marks) -> Decisions:
    """Removes the rows of which a model wrote a part that it must not have written.

    Where several reasons hold, the first in `REASONS` is given.

    Args:
        rows: the store.
        alive: sorted uint32 row numbers still in.
        spec: the recipe's `provenance`.
        marks: what `origins` says of every row.

    Raises:
        RecipeError: `except` names a source that the recipe does not have.
    """
    watched = np.ones(len(alive), bool)
    for name in spec.except_sources:
        if name not in rows.ranges:
            known = ", ".join(rows.ranges)
            raise RecipeError(f"provenance.except: no source {name!r}\nhint: the sources are {known}")
        start, end = rows.ranges[name]
        watched[np.searchsorted(alive, start) : np.searchsorted(alive, end)] = False
    codes = {"prompt": marks.prompt_origin[alive], "response": marks.response_origin[alive]}
    verdict = np.full(len(alive), len(REASONS), np.uint16)
    # From the last reason to the first, so that the first has the last word.
    for reason, (part, origin) in reversed(list(enumerate(DENIED))):
        if part in spec.deny and (origin == MODEL or spec.unknown == "deny"):
            verdict[watched & (codes[part] == origin)] = reason
    out = verdict < len(REASONS)
    notes: dict[str, int | float | str] = {
        f"kept with a {part} of unknown origin": int(np.count_nonzero(~out & (codes[part] == UNKNOWN)))
        for part in spec.deny
    }
    return Decisions(row=alive[out], reason=verdict[out], reasons=list(REASONS), notes=notes)


def _code(origin: Origin | None) -> int:
    return ORIGINS.index(origin or "unknown")


def _joined(entry: Entry | None) -> str:
    return " | ".join(entry.generators) if entry else ""


def _name(name: str | None, names: list[str]) -> int:
    name = name or ""
    if name not in names:
        names.append(name)
    return names.index(name)


class _Fields:
    """The rows' own fields, each read once: which of its distinct values a row has."""

    def __init__(self, rows: Rows, source: Source, start: int, end: int) -> None:
        self._table = rows.table.slice(start, end - start)
        self._source = source
        self._seen: dict[str, tuple[np.ndarray, list[str | None]]] = {}

    def __getitem__(self, field: str) -> tuple[np.ndarray, list[str | None]]:
        """A code per row, and the value that each code stands for."""
        if field not in self._seen:
            values = pa.array(_core.meta_field(self._table["meta"], field)).cast(pa.string())
            for column in MAPPED:
                if field in (getattr(self._source.fields, column) or []):
                    mapped = self._table[column].cast(pa.string()).combine_chunks()
                    values = pc.coalesce(values, mapped)
            encoded = values.dictionary_encode(null_encoding="encode")
            self._seen[field] = (encoded.indices.to_numpy(), encoded.dictionary.to_pylist())
        return self._seen[field]


def _apply(
    rules: Sequence[RowOrigin],
    fields: _Fields,
    prompt: np.ndarray,
    response: np.ndarray,
    generator: np.ndarray,
    names: list[str],
) -> None:
    """Lets the rules speak in turn, in place; what one has told no later one changes."""
    told = {part: np.zeros(len(prompt), bool) for part in ("prompt", "response", "generator")}
    for rule in rules:
        codes, values = fields[rule.field]
        hit = np.array([value in rule.values for value in values], bool)[codes]
        for part, column, code in (
            ("prompt", prompt, rule.prompt and _code(rule.prompt)),
            ("response", response, rule.response and _code(rule.response)),
            ("generator", generator, rule.generator and _name(rule.generator, names)),
        ):
            if code is not None:
                fresh = hit & ~told[part]
                column[fresh] = code
                told[part] |= fresh
