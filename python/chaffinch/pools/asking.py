"""Rows asked with a template of their pool, alone or after demonstrations."""

import fnmatch
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch import draw
from chaffinch.columns import is_unicode
from chaffinch.pools.demonstrations import Circle, Numbers
from chaffinch.pools.jinja import DoesNotFitError, Jinja
from chaffinch.recipe.format import Demonstrations, Pool, PoolTemplate, PoolUse, pieces
from chaffinch.store import Rows, hash_prefixes

Fields = Callable[[], dict[str, Any]]

NAMED = ["source", "task", "category", "language", "instruction", "input", "references", "meta"]
BETWEEN, BEHIND = "\n", "\n\n"


@dataclass(frozen=True)
class Asked:
    """A prompt without demonstrations and what comes before and after where they stand, and the response."""

    before: str
    after: str
    response: str

    @property
    def prompt(self) -> str:
        """The prompt of the row alone."""
        return self.before + self.after


class Way:
    """One template, ready to be put to rows.

    Attributes:
        name: pool and template, as the mixture's column `template` has it.
        key: the template's part in the choice among those of its pool.
    """

    def __init__(self, pool: str, template: PoolTemplate, seed: int) -> None:
        self.name = f"{pool}/{template.id}"
        self.key = draw.key("template", seed, self.name)
        self._template = template
        self._jinja = None if template.jinja is None else Jinja(template.jinja, template.answer_choices)
        prompt = pieces(template.prompt or "")
        place = ("demonstrations", True)
        at = prompt.index(place) if place in prompt else 0
        self._before, self._after = prompt[:at], [part for part in prompt[at:] if part != place]
        self._response = pieces(template.response)
        self._demonstration = pieces(template.demonstration) if template.demonstration else None

    def ask(self, fields: Fields, content: bytes) -> Asked:
        """The row's prompt and response.

        Raises:
            DoesNotFitError: the row lacks a field, or has nothing where the prompt or the response is to be.
        """
        values = fields()
        if self._jinja is not None:
            prompt, response = self._jinja.render(values, content + self.key.to_bytes(8, "little"))
            asked = Asked("", prompt, response)
        else:
            self._choose(values)
            asked = Asked(*(_written(part, values) for part in (self._before, self._after, self._response)))
        if not asked.prompt.strip() or not asked.response.strip():
            raise DoesNotFitError("a blank prompt or response")
        if not is_unicode(asked.prompt + asked.response):
            raise DoesNotFitError("half a character")
        return asked

    def show(self, fields: Fields, asked: Asked) -> str:
        """The row as a demonstration."""
        if self._demonstration is None:
            return f"{asked.prompt}{BETWEEN}{asked.response}{BEHIND}"
        values = fields()
        self._choose(values)
        return _written(self._demonstration, values)

    def _choose(self, values: dict[str, Any]) -> None:
        choices = self._template.choices
        if choices:
            values["choices"] = "\n".join(f"- {choice}" for choice in choices)
        if self._template.answer is not None:
            number = str(values.get(self._template.answer))
            if not number.isascii() or not number.isdecimal() or not int(number[:9]) < len(choices):
                raise DoesNotFitError("no choice has the number of its answer")
            values["choice"] = choices[int(number[:9])]


def _written(parts: list[tuple[str, bool]], values: Mapping[str, Any]) -> str:
    texts = []
    for text, is_field in parts:
        value = values.get(text) if is_field else text
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            raise DoesNotFitError(f"no text in {text!r}")
        texts.append(str(value))
    return "".join(texts)


@dataclass
class Counts:
    """What was asked how.

    Attributes:
        templates: rows by template.
        demonstrations: rows with a template by how many demonstrations they have.
        unfit: rows by pool that none of its templates fits; they keep their own text.
    """

    templates: Counter[str] = field(default_factory=Counter)
    demonstrations: Counter[int] = field(default_factory=Counter)
    unfit: Counter[str] = field(default_factory=Counter)

    def values(self) -> dict[str, dict[str, int]]:
        """As JSON values, in an order that does not depend on the rows'."""
        return {
            "templates": dict(sorted(self.templates.items(), key=lambda item: (-item[1], item[0]))),
            "demonstrations": {str(number): rows for number, rows in sorted(self.demonstrations.items())},
            "unfit": dict(sorted(self.unfit.items())),
        }


class Asking:
    """What the stage `format` does before a template of prompts: each row with a pool is put in its words.

    The row's content, the template's name and the seed decide with which template of the pool a row is asked: the
    highest of a keyed hash for each template wins, so a new template changes only the rows that it wins. Where it does
    not fit the row, the next highest is taken.

    Args:
        rows: the store.
        pools: the recipe's uses and what they name.
        seed: the recipe's.
        demonstrations: the recipe's, and the row numbers that may be shown; None when no row has any.
        threads: default all cores; the answer does not depend on it.
    """

    def __init__(
        self,
        rows: Rows,
        pools: list[tuple[PoolUse, Pool]],
        seed: int,
        demonstrations: tuple[Demonstrations, Numbers] | None = None,
        *,
        threads: int | None = None,
    ) -> None:
        self._rows = rows
        self._uses = [use for use, _ in pools]
        self._names = [pool.name for _, pool in pools]
        # By name: the order of templates in a file means nothing.
        self._ways = [
            sorted((Way(pool.name, one, seed) for one in pool.templates), key=lambda way: way.name) for _, pool in pools
        ]
        self._of: dict[tuple[str, str], int | None] = {}
        self._most = demonstrations[0].max_characters if demonstrations else 0
        self._circle = (
            Circle(rows, demonstrations[1], demonstrations[0], seed, threads=threads) if demonstrations else None
        )
        self.counts = Counts()
        self._counted = np.zeros(len(rows), bool)
        self._lock = Lock()

    def __call__(self, part: Numbers, *, count: bool = True) -> dict[str, list[Any]]:
        """How the rows `part` are asked.

        Args:
            part: row numbers; of those that were counted before, none is counted again.
            count: whether to count them.

        Returns:
            Columns instruction and response (None where a row keeps its own text), template (None there, too) and
            demonstrations (lists of row numbers, empty where it has none).
        """
        given = _Given(self._rows, part)
        uses = [self._use(*pair) if single else None for pair, single in zip(given.tasks, given.single, strict=True)]
        picks = self._circle.picks(part, given.content) if self._circle else [(0, [])] * len(part)
        picks = [pick if use is not None else (0, []) for pick, use in zip(picks, uses, strict=True)]
        others = np.unique(np.array([row for _, rows in picks for row in rows], np.uint32))
        shown = _Given(self._rows, others)
        shown_at = {row: at for at, row in enumerate(others.tolist())}
        orders = [self._order(ways, given.content) for ways in self._ways]
        columns: dict[str, list[Any]] = {
            name: [None] * len(part) for name in ("instruction", "response", "template", "demonstrations")
        }
        counts = Counts()
        new = self._first_seen(part) if count else np.zeros(len(part), bool)
        for at, use in enumerate(uses):
            columns["demonstrations"][at] = []
            if use is None:
                continue
            found = self._ask(given, at, use, orders[use][at])
            if found is None:
                counts.unfit[self._names[use]] += int(new[at])
                continue
            way, asked = found
            number, rows = picks[at]
            text, used = self._with(way, asked, number, [shown_at[row] for row in rows], given.hashes[at], shown, use)
            columns["instruction"][at] = text
            columns["response"][at] = asked.response
            columns["template"][at] = way.name
            columns["demonstrations"][at] = [int(others[one]) for one in used]
            counts.templates[way.name] += int(new[at])
            counts.demonstrations[len(used)] += int(new[at])
        with self._lock:
            for name in ("templates", "demonstrations", "unfit"):
                # Adding leaves out what was counted 0 times.
                setattr(self.counts, name, getattr(self.counts, name) + getattr(counts, name))
        return columns

    def _first_seen(self, part: Numbers) -> np.ndarray:
        """Which are counted: each row once, however many documents it gives."""
        with self._lock:
            new = ~self._counted[part]
            new &= np.concatenate([[True], part[1:] != part[:-1]])[: len(part)]
            self._counted[part] = True
        return new

    def _use(self, source: str, task: str) -> int | None:
        """Which use is the first to name a source and task."""
        if (source, task) not in self._of:
            fits = (
                at
                for at, use in enumerate(self._uses)
                if source in use.sources
                and (use.tasks is None or any(fnmatch.fnmatchcase(task, name) for name in use.tasks))
            )
            self._of[source, task] = next(fits, None)
        return self._of[source, task]

    @staticmethod
    def _order(ways: list[Way], content: np.ndarray) -> list[list[int]]:
        scores = np.stack([draw.draws(way.key, content, 1)[:, 0] for way in ways], axis=1)
        # Bits turned over sort descending; ties, if there ever are any, go to the first name.
        order: list[list[int]] = np.argsort(~scores, axis=1, kind="stable").tolist()
        return order

    def _ask(self, given: "_Given", at: int, use: int, order: list[int]) -> tuple[Way, Asked] | None:
        fields = given.fields(at, self._uses[use].fields)
        for one in order:
            try:
                return self._ways[use][one], self._ways[use][one].ask(fields, given.hashes[at])
            except DoesNotFitError:
                continue
        return None

    def _with(
        self, way: Way, asked: Asked, number: int, candidates: list[int], content: bytes, shown: "_Given", use: int
    ) -> tuple[str, list[int]]:
        """The prompt after the first `number` candidates that are other rows, other questions and not too long."""
        texts: list[str] = []
        used: list[int] = []
        left = self._most - len(asked.prompt)
        asked_before = {asked.prompt}
        for other in candidates:
            if len(used) == number:
                break
            fields = shown.fields(other, self._uses[use].fields)
            if shown.hashes[other] == content:
                continue
            try:
                another = way.ask(fields, shown.hashes[other])
                text = way.show(fields, another)
            except DoesNotFitError:
                continue
            if another.prompt in asked_before or len(text) > left:
                continue
            asked_before.add(another.prompt)
            left -= len(text)
            texts.append(text)
            used.append(other)
        return "".join([asked.before, *texts, asked.after]), used


class _Given:
    """Some rows of the store as Python values."""

    def __init__(self, rows: Rows, part: Numbers) -> None:
        table = rows.gather(part, [*NAMED, "messages", "content_hash"])
        hashes = table["content_hash"].combine_chunks()
        self.content = np.concatenate([np.empty(0, np.uint64), *(hash_prefixes(one) for one in _chunks(hashes))])
        self.hashes: list[bytes] = hashes.to_pylist()
        self.single: list[bool] = table["messages"].is_null().to_pylist()
        self._columns = {name: table[name].to_pylist() for name in NAMED}
        self.tasks = list(zip(self._columns["source"], self._columns["task"], strict=True))

    def fields(self, at: int, renamed: Mapping[str, str]) -> Fields:
        """Makes a row's fields, anew for each that may change them."""
        own = {name: column[at] for name, column in self._columns.items() if column[at] is not None}
        meta, references = own.pop("meta", None), own["references"]

        def make() -> dict[str, Any]:
            values = _fields(meta) | own | {"references": [*references]}
            values |= {"output": references[0]} if references else {}
            return values | {name: values[one] for name, one in renamed.items() if one in values}

        return make


def _fields(meta: str | None) -> dict[str, Any]:
    try:
        values: dict[str, Any] = json.loads(meta) if meta else {}
    except (ValueError, RecursionError) as error:
        # A number of five thousand digits is JSON, and nothing that Python reads.
        raise DoesNotFitError(f"its meta is not read: {error}") from None
    return values


def _chunks(array: Any) -> list[Any]:
    return array.chunks if isinstance(array, pa.ChunkedArray) else [array]
