"""Asks a model what it was not asked before, and keeps every answer."""

from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch.progress import Progress
from chaffinch.recipe.score import Nearest, Score, Served, Transformers
from chaffinch.score import local, nearest, served
from chaffinch.score.prompts import Prompts, question_key
from chaffinch.score.protocol import Batch, Model
from chaffinch.score.store import AnswerStore
from chaffinch.store import Rows

# So many rows' prompts are at hand at a time: batches of like length are made among them.
WINDOW = 16_384


@dataclass
class Answers:
    """The answers of a stage, and what it took to get them.

    Attributes:
        column: large_string, one for each row of the store; null where there is none.
        asked: rows that were to be answered.
        known: of these, how many had an answer in the store of answers.
        missing: why rows have no answer, and how many.
        lasting: whether the same would come out again: not where an answer failed that might come another time.
        tokens: read and written by the model in this run.
        seconds: spent asking.
    """

    column: Any
    asked: int
    known: int = 0
    missing: Counter[str] = field(default_factory=Counter)
    lasting: bool = True
    tokens: int = 0
    seconds: float = 0.0


def identity(spec: Score, cache: Path) -> dict[str, Any]:
    """What the answers depend on besides rows, prompt and seed.

    Raises:
        DataError: the model is not there.
        RecipeError: what it takes to look for it is not installed.
    """
    match spec.answerer:
        case Transformers() as answerer:
            return local.model_identity(answerer, spec, cache)
        case Served() as answerer:
            return served.model_identity(answerer, spec)
        case Nearest():
            return {"kind": "nearest"}


def answers(
    rows: Rows,
    alive: np.ndarray,
    spec: Score,
    seed: int,
    cache: Path,
    *,
    threads: int | None = None,
    progress: Progress,
) -> Answers:
    """Answers the rows that the recipe names; what the cache has an answer to is not asked again.

    Raises:
        DataError: the model is not there, cannot be asked at all, or another run is asking it.
        RecipeError: what it takes to ask it is not installed.
    """
    asked = alive[rows.asked(spec.sources)[alive]]
    found = Answers(None, len(asked))
    started = perf_counter()
    parts: list[Any] = [pa.array([], pa.large_string())]
    order = [np.empty(0, np.uint32)]
    done = len(alive) - len(asked)
    for some, texts in _answered(rows, asked, spec, seed, cache, found, threads, _Watch(progress, done, len(asked))):
        order.append(some)
        parts.append(pa.array(texts, pa.large_string()))
    found.seconds = perf_counter() - started
    place = np.zeros(len(rows), np.int64)
    there = np.zeros(len(rows), bool)
    place[np.concatenate(order)] = np.arange(len(asked))
    there[asked] = True
    found.column = pa.concat_arrays(parts).take(pa.array(place, mask=~there))
    return found


def unanswered(rows: Rows, alive: np.ndarray, spec: Score, seed: int, cache: Path) -> int:
    """How many questions `answers` would put to the model."""
    if isinstance(spec.answerer, Nearest):
        return 0
    asked = alive[rows.asked(spec.sources)[alive]]
    prompts = Prompts(rows, asked, spec.prompt, seed)
    known = AnswerStore(cache, identity(spec, cache))
    missing = {
        key
        for start in range(0, len(asked), WINDOW)
        for key in map(question_key, prompts.of(asked[start : start + WINDOW]))
        if key not in known
    }
    return len(missing)


class _Watch:
    """Tells the progress how many rows are done, how fast it goes and how long it will take."""

    def __init__(self, progress: Progress, done: int, left: int) -> None:
        self._progress, self._done, self._left = progress, done, left
        self._started = perf_counter()
        self._answered = self._tokens = 0

    def known(self, rows: int) -> None:
        """Rows that need no asking."""
        self._done += rows
        self._left -= rows
        self._progress.advance(self._done)

    def answered(self, rows: int, tokens: int) -> None:
        """Rows that were asked about."""
        self._answered += rows
        self._tokens += tokens
        seconds = perf_counter() - self._started
        if self._answered and self._tokens:
            minutes = seconds / self._answered * (self._left - rows) / 60
            self._progress.note(f"{self._tokens / seconds:,.0f} tokens/s, about {max(1, round(minutes)):,} min left")
        self.known(rows)


def _answered(
    rows: Rows,
    asked: np.ndarray,
    spec: Score,
    seed: int,
    cache: Path,
    found: Answers,
    threads: int | None,
    watch: _Watch,
) -> Iterator[tuple[np.ndarray, list[str | None]]]:
    if isinstance(spec.answerer, Nearest):
        for some, texts in nearest.answers(rows, asked, spec.prompt, seed, threads=threads):
            found.missing["no other case of the task"] += texts.count(None)
            watch.known(len(some))
            yield some, texts
    elif len(asked):
        prompts = Prompts(rows, asked, spec.prompt, seed, threads)
        store = AnswerStore(cache, identity(spec, cache))
        with ExitStack() as stack:
            asking = _Asking(spec, store, found, watch, stack)
            for start in range(0, len(asked), WINDOW):
                some = asked[start : start + WINDOW]
                yield some, asking.texts(list(prompts.of(some)))
    found.missing = +found.missing


class _Asking:
    """Looks answers up, and asks for those that are not there.

    Only with the first question is the store locked, until `stack` closes, and the model loaded, which takes minutes
    and gigabytes.
    """

    def __init__(self, spec: Score, store: AnswerStore, found: Answers, watch: _Watch, stack: ExitStack) -> None:
        self._spec, self._store, self._found, self._watch, self._stack = spec, store, found, watch, stack
        self._model: Model | None = None

    def texts(self, prompts: list[str]) -> list[str | None]:
        keys = [question_key(prompt) for prompt in prompts]
        times = Counter(keys)
        if self._model is None and any(key not in self._store for key in keys):
            self._stack.enter_context(self._store.writing())
            self._model = self._load()
        new = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in self._store}
        known = len(keys) - sum(times[key] for key in new)
        self._found.known += known
        self._watch.known(known)
        failed: dict[str, str] = {}
        if new and self._model is not None:
            names = list(new)
            for batch in self._model.complete(list(new.values())):
                self._keep(batch, names, times, failed)
        for key in keys:
            why = failed.get(key) or self._store.why(key)
            if why is not None:
                self._found.missing[why] += 1
        return [self._store.get(key) for key in keys]

    def _keep(self, batch: Batch, names: list[str], times: Counter[str], failed: dict[str, str]) -> None:
        self._store.add(
            {names[at]: text for at, text in batch.answers.items()},
            {names[at]: why for at, why in batch.refused.items()},
        )
        failed |= {names[at]: why for at, why in batch.failed.items()}
        self._found.lasting &= not batch.failed
        self._found.tokens += batch.tokens
        outcomes = [*batch.answers, *batch.refused, *batch.failed]
        self._watch.answered(sum(times[names[at]] for at in outcomes), batch.tokens)

    def _load(self) -> Model:
        answerer = self._spec.answerer
        if isinstance(answerer, Served):
            return served.ServedModel(answerer, self._spec)
        assert isinstance(answerer, Transformers)
        return local.LocalModel(answerer, self._spec, self._store.identity.get("commit"))
