"""Puts an evaluation's prompts before a model, and keeps every answer as the score stage does."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaffinch.cache import key_of
from chaffinch.errors import DataError, RecipeError
from chaffinch.progress import Progress
from chaffinch.recipe.score import Served, Transformers
from chaffinch.score import local, served
from chaffinch.score.prompts import question_key
from chaffinch.score.protocol import Batch, Model
from chaffinch.score.store import AnswerStore

LABELS = ("A", "B")
_BATCH = 64


@dataclass(frozen=True)
class Until:
    """When an answer ends: see `score.protocol.Ending`."""

    max_new_tokens: int
    ends_at: str | None = None


class Answerer:
    """A model that is asked; it is loaded with the first question that has no answer yet.

    Args:
        spec: which model.
        cache: the folder in which answers are kept.
        progress: told how far it is.
    """

    def __init__(self, spec: Transformers | Served, cache: Path, progress: Progress) -> None:
        self._spec, self._cache, self._progress = spec, cache, progress
        self._local: local.LocalModel | None = None
        self.missing: Counter[str] = Counter()

    def identity(self, until: Until) -> dict[str, Any]:
        """What the answers depend on besides the prompt.

        Raises:
            DataError: the model is not there.
            RecipeError: what it takes to look for it is not installed.
        """
        if isinstance(self._spec, Served):
            return served.model_identity(self._spec, until)
        return local.model_identity(self._spec, until, self._cache)

    def hash(self) -> str:
        """The hash of the model's files, or of its name and commit, and of how it is run."""
        found = self.identity(Until(1))
        return key_of({name: value for name, value in found.items() if name not in ("max_new_tokens", "ends_at")})

    def lengths(self, prompts: Sequence[str]) -> list[int] | None:
        """The prompts' tokens; None where only a server knows."""
        if isinstance(self._spec, Served):
            return None
        return self._loaded(self._spec).lengths(prompts)

    def answers(self, prompts: Sequence[str], until: Until) -> list[str | None]:
        """The answer to each prompt; None where there is none, counted in `missing`.

        Raises:
            DataError: a server could not be reached, or did not answer all.
        """
        identity = self.identity(until)
        if isinstance(self._spec, Served):
            return self._asked(prompts, identity, lambda: served.ServedModel(self._spec, until))
        spec = self._spec
        return self._asked(prompts, identity, lambda: self._loaded(spec).ending(until))

    def logits(self, prompts: Sequence[str]) -> list[str | None]:
        """The logits of `A` and `B` as the next token, as a JSON list.

        Raises:
            RecipeError: the model is behind a server, which does not tell.
        """
        if isinstance(self._spec, Served):
            raise RecipeError("a server does not tell the logits of A and B\nhint: give the model's folder")
        spec = self._spec
        until = Until(1)
        identity = {**self.identity(until), "kind": "logits", "words": LABELS}
        return self._asked(prompts, identity, lambda: _Logits(self._loaded(spec)))

    def parts(self) -> tuple[Any, Any]:
        """Transformers' own model and tokenizer.

        Raises:
            RecipeError: the model is behind a server.
            DataError: it cannot be loaded, or computes NaN.
        """
        if isinstance(self._spec, Served):
            raise RecipeError("the harness is given models that run here\nhint: give the model's folder")
        model = self._loaded(self._spec)
        # Whoever takes the parts looks at no logits.
        model.logits("A", LABELS)
        return model.parts

    def _loaded(self, spec: Transformers) -> local.LocalModel:
        if self._local is None:
            self._local = local.LocalModel(spec, Until(1), self.identity(Until(1)).get("commit"))
        return self._local

    def _asked(self, prompts: Sequence[str], identity: dict[str, Any], model: Any) -> list[str | None]:
        store = AnswerStore(self._cache, identity)
        keys = [question_key(prompt) for prompt in prompts]
        new = {key: prompt for key, prompt in zip(keys, prompts, strict=True) if key not in store}
        failed: dict[str, str] = {}
        done = len(prompts) - len(new)
        self._progress.advance(done)
        with ExitStack() as stack:
            if new:
                stack.enter_context(store.writing())
                asked: Model = model()
                names = list(new)
                for batch in asked.complete(list(new.values())):
                    store.add(
                        {names[at]: text for at, text in batch.answers.items()},
                        {names[at]: why for at, why in batch.refused.items()},
                    )
                    failed |= {names[at]: why for at, why in batch.failed.items()}
                    done += len(batch.answers) + len(batch.refused) + len(batch.failed)
                    self._progress.advance(done)
        if failed and isinstance(self._spec, Served):
            # A server that was away says nothing of the model: asked again, the prompt may well have an answer.
            raise DataError(
                f"{self._spec.address}: {len(failed):,} of {len(prompts):,} prompts got no answer: "
                f"{next(iter(failed.values()))}\n"
                "hint: look at the server; the answers so far are kept, the same command goes on from there"
            )
        for key in keys:
            why = failed.get(key) or store.why(key)
            if why is not None:
                self.missing[why] += 1
        return [store.get(key) for key in keys]


class _Logits:
    """A model that answers a prompt with the logits of `A` and `B`; one at a time, for padding would change them."""

    def __init__(self, model: local.LocalModel) -> None:
        self._model = model

    def complete(self, prompts: Sequence[str]) -> Iterator[Batch]:
        """See `Model.complete`."""
        for start in range(0, len(prompts), _BATCH):
            some = range(start, min(start + _BATCH, len(prompts)))
            yield Batch(answers={at: json.dumps(self._model.logits(prompts[at], LABELS)) for at in some})
