"""provenance: who wrote the prompt and the response of each row, and whether that is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
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
from chaffinch.stages.traces import Found

ORIGINS: tuple[Origin, ...] = ("human", "model", "unknown")
HUMAN, MODEL, UNKNOWN = range(3)
REASONS = [
    "response by a model",
    "prompt by a model",
    "response of unknown origin",
    "prompt of unknown origin",
]
KEPT = np.uint16(0xFFFF)
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
        traced: increasing uint32 numbers of the rows in whose text a trace of a model was found.
        traces: Arrow strings, for each of these the names of the rules, joined by commas.
    """

    prompt_origin: np.ndarray
    response_origin: np.ndarray
    generator: np.ndarray
    generators: list[str]
    traced: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint32))
    traces: Any = field(default_factory=lambda: pa.nulls(0, pa.string()))

    def columns(self, rows: np.ndarray) -> dict[str, Any]:
        """The marks of some rows as Arrow string arrays.

        Args:
            rows: row numbers, in any order.

        Returns:
            prompt_origin, response_origin, generator and traces; the last two are null for none.
        """
        names = pa.array(list(ORIGINS), pa.string())
        generators = pa.array([name or None for name in self.generators], pa.string())
        at = np.searchsorted(self.traced, rows)
        is_traced = np.isin(rows, self.traced)
        return {
            "prompt_origin": names.take(pa.array(self.prompt_origin[rows])),
            "response_origin": names.take(pa.array(self.response_origin[rows])),
            "generator": generators.take(pa.array(self.generator[rows])),
            "traces": self.traces.take(pa.array(at, mask=~is_traced)),
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


def with_traces(marks: Marks, found: Found) -> Marks:
    """The marks after the traces with action `origin` have spoken: where there is one, a model wrote that part."""
    prompt, response = marks.prompt_origin.copy(), marks.response_origin.copy()
    speaks = found.action == "origin"
    prompt[found.row[speaks & ~found.response]] = MODEL
    response[found.row[speaks & found.response]] = MODEL
    traced, traces = found.names()
    return replace(marks, prompt_origin=prompt, response_origin=response, traced=traced, traces=traces)


def run(rows: Rows, alive: np.ndarray, spec: Provenance, marks: Marks, found: Found | None = None) -> Decisions:
    """Removes the rows of which a model wrote a part that it must not have written, and those with a trace to remove.

    Where several reasons hold, the first in `REASONS` is given, then the row's first trace. Traces with action `origin`
    speak before the origins are looked at. The words of a trace that decides are the row's evidence.

    Args:
        rows: the store.
        alive: sorted uint32 row numbers still in.
        spec: the recipe's `provenance`.
        marks: what `origins` says of every row.
        found: the traces in `alive`.

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
    told = marks if found is None else with_traces(marks, found)
    codes = {"prompt": told.prompt_origin[alive], "response": told.response_origin[alive]}
    verdict = np.full(len(alive), KEPT, np.uint16)
    # From the last reason to the first, so that the first has the last word.
    for reason, (part, origin) in reversed(list(enumerate(DENIED))):
        if part in spec.deny and (origin == MODEL or spec.unknown == "deny"):
            verdict[watched & (codes[part] == origin)] = reason
    traces = None if found is None else _Traces(found, alive, marks)
    if traces is not None:
        traces.decide(verdict, watched)
    out = verdict != KEPT
    notes: dict[str, int | float | str] = {
        f"kept with a {part} of unknown origin": int(np.count_nonzero(~out & (codes[part] == UNKNOWN)))
        for part in spec.deny
    }
    if traces is None:
        return Decisions(row=alive[out], reason=verdict[out], reasons=list(REASONS), notes=notes)
    evidence, evidences = traces.evidence(out)
    return Decisions(
        row=alive[out],
        reason=verdict[out],
        reasons=traces.reasons(),
        notes={**notes, **traces.notes(out)},
        evidence=evidence,
        evidences=evidences,
    )


class _Traces:
    """What the traces in the rows still in decide, beside the origins.

    Their reasons follow those of `REASONS`, four for each rule: found in the prompt or the response, and the same again
    where it told who wrote that part.
    """

    def __init__(self, found: Found, alive: np.ndarray, marks: Marks) -> None:
        self._found = found
        self._at = np.searchsorted(alive, found.row)
        origins = np.where(found.response, marks.response_origin[found.row], marks.prompt_origin[found.row])
        self._tells = (found.action == "origin") & (origins != MODEL)
        self._decisive = np.empty(0, np.intp)

    def reasons(self) -> list[str]:
        """The text of every reason."""
        of_rules = [
            reason.format(rule)
            for rule in self._found.rules
            for reason in (
                "trace {} in the prompt",
                "trace {} in the response",
                "prompt by a model: trace {}",
                "response by a model: trace {}",
            )
        ]
        return [*REASONS, *of_rules]

    def decide(self, verdict: np.ndarray, watched: np.ndarray) -> None:
        """Says in `verdict`, in place, which rows go for a trace, and which trace told a denied origin."""
        found, before = self._found, verdict[self._at]
        removes = (found.action == "remove") & watched[self._at] & (before == KEPT)
        of_part = np.where(found.response, DENIED.index(("response", MODEL)), DENIED.index(("prompt", MODEL)))
        decides = np.flatnonzero(removes | (self._tells & (before == of_part)))
        self._decisive = decides[np.unique(self._at[decides], return_index=True)[1]]
        lines = self._decisive
        kind = 2 * self._tells[lines] + found.response[lines]
        verdict[self._at[lines]] = len(REASONS) + 4 * found.rule[lines] + kind

    def evidence(self, out: np.ndarray) -> tuple[np.ndarray, list[str]]:
        """The words that decided: for each removed row an index into the list."""
        encoded = self._found.words.take(pa.array(self._decisive)).dictionary_encode()
        codes = np.zeros(len(out), np.uint32)
        codes[self._at[self._decisive]] = encoded.indices.to_numpy().astype(np.uint32) + 1
        return codes[out], ["", *encoded.dictionary.to_pylist()]

    def notes(self, out: np.ndarray) -> dict[str, int | float | str]:
        """Rows kept with a flagged trace, and rows of which a trace told the origin, by rule."""
        found = self._found
        flagged = (found.action == "flag") & ~out[self._at]
        counts: dict[str, int | float | str] = {}
        for what, lines in (("kept with trace", flagged), ("origin told by trace", self._tells)):
            for code, rule in enumerate(found.rules):
                rows = len(np.unique(self._at[lines & (found.rule == code)]))
                counts |= {f"{what} {rule}": rows} if rows else {}
        return counts


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
