"""A model behind a server that speaks OpenAI's interface."""

import os
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from threading import Event
from typing import Any

from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.score import Score, Served
from chaffinch.score.protocol import Batch, before, identity

# Seconds before the second try; every further pause is twice as long, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0

# Answers are handed over (and so kept) at least this often, in seconds.
HAND_OVER = 2.0

BUSY = 429
# The question itself is refused: too long, say. Asked again it would be again.
REFUSED = (400, 413, 422)


def model_identity(spec: Served, score: Score) -> dict[str, Any]:
    """What the answers depend on: the model's name. Where the server is does not matter."""
    return identity(
        "openai",
        model=spec.model,
        revision=spec.revision,
        endpoint=spec.endpoint,
        max_new_tokens=score.max_new_tokens,
        ends_at=score.ends_at,
    )


class ServedModel:
    """Asks a server, several questions at a time.

    Args:
        spec: which server, which model.
        score: when an answer ends.
    """

    def __init__(self, spec: Served, score: Score) -> None:
        try:
            import httpx2
        except ImportError:
            hint = "hint: pip install 'chaffinch[serve]' brings it"
            raise RecipeError(f"score.answerer: kind openai needs httpx2\n{hint}") from None
        self._http = httpx2
        self._spec, self._score = spec, score
        headers = {}
        if spec.api_key_from is not None:
            if not os.environ.get(spec.api_key_from):
                raise RecipeError(
                    f"score.answerer: api_key_from is {spec.api_key_from}, which is not set\n"
                    "hint: put the key into this environment variable"
                )
            headers["Authorization"] = f"Bearer {os.environ[spec.api_key_from]}"
        self._url = f"{spec.address.rstrip('/')}/{'chat/' if spec.endpoint == 'chat' else ''}completions"
        limits = httpx2.Limits(max_connections=spec.concurrency, max_keepalive_connections=spec.concurrency)
        self._client = httpx2.Client(timeout=spec.timeout, limits=limits, headers=headers)
        self._stopped = Event()
        self._has_answered = False

    def complete(self, prompts: Sequence[str]) -> Iterator[Batch]:
        """See `Model.complete`."""
        pool = ThreadPoolExecutor(self._spec.concurrency, thread_name_prefix="asking")
        try:
            yield from self._complete(pool, prompts)
        finally:
            self._stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
            self._stopped = Event()

    def _complete(self, pool: ThreadPoolExecutor, prompts: Sequence[str]) -> Iterator[Batch]:
        stopped = self._stopped
        under_way: dict[Future[_Outcome], int] = {
            pool.submit(self._ask, prompt, stopped): at for at, prompt in enumerate(prompts)
        }
        waiting = set(under_way)
        outcomes: dict[int, _Outcome] = {}
        in_a_row = 0
        handed_over = time.monotonic()
        while waiting:
            done, waiting = wait(waiting, timeout=HAND_OVER, return_when=FIRST_COMPLETED)
            for future in done:
                outcome = future.result()
                self._has_answered |= outcome.refused is None and outcome.failed is None
                if outcome.refused is not None and not self._has_answered:
                    # It may be the way of asking that is wrong, so nothing is said for good of the question.
                    outcome = _Outcome(failed=outcome.refused)
                outcomes[under_way[future]] = outcome
                in_a_row = 0 if outcome.failed is None else in_a_row + 1
            if in_a_row > 2 * self._spec.concurrency:
                yield _batch(outcomes)
                raise DataError(
                    f"{self._url}: {in_a_row} questions in a row failed, the last one with: {outcome.failed}\n"
                    "hint: look at the server; the answers so far are kept, the same command goes on from there"
                )
            if time.monotonic() - handed_over >= HAND_OVER:
                yield _batch(outcomes)
                outcomes, handed_over = {}, time.monotonic()
        yield _batch(outcomes)

    def _ask(self, prompt: str, stopped: Event) -> "_Outcome":
        """One question, asked again after a pause where the server is busy, broken or not to be reached."""
        pause = FIRST_PAUSE
        problem = ""
        for attempt in range(self._spec.attempts):
            if attempt and stopped.wait(pause):
                break
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                response = self._client.post(self._url, json=self._question(prompt))
            except self._http.TransportError as error:
                problem = f"{type(error).__name__} {error}".strip()
                continue
            if response.status_code == BUSY or response.status_code >= 500:
                problem = f"status {response.status_code}"
                after = response.headers.get("retry-after", "")
                pause = max(pause, min(float(after), LONGEST_PAUSE)) if after.isdecimal() else pause
                continue
            return self._outcome(response)
        return _Outcome(failed=f"{problem}, {self._spec.attempts} times")

    def _question(self, prompt: str) -> dict[str, Any]:
        asked = (
            {"messages": [{"role": "user", "content": prompt}]} if self._spec.endpoint == "chat" else {"prompt": prompt}
        )
        return {
            "model": self._spec.model,
            **asked,
            "max_tokens": self._score.max_new_tokens,
            "temperature": 0,
            "stop": [self._score.ends_at],
        }

    def _outcome(self, response: Any) -> "_Outcome":
        if response.status_code in REFUSED:
            return _Outcome(refused=f"status {response.status_code}: {_said(response.text)}")
        if response.status_code != 200:
            raise DataError(
                f"{self._url} answers with status {response.status_code}: {_said(response.text)}\n"
                "hint: look at `address`, `model`, `endpoint` and `api_key_from` of score.answerer"
            )
        try:
            values = response.json()
            choice = values["choices"][0]
            text = choice["message"]["content"] if self._spec.endpoint == "chat" else choice["text"]
            tokens = (values.get("usage") or {}).get("total_tokens") or 0
            return _Outcome(answer=before(text or "", self._score.ends_at), tokens=int(tokens))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError):
            raise DataError(
                f"{self._url} answers with something else than a completion: {_said(response.text)}\n"
                "hint: `address` of score.answerer has to lead to OpenAI's interface, up to `/v1`"
            ) from None


@dataclass(frozen=True)
class _Outcome:
    """What became of one question."""

    answer: str = ""
    refused: str | None = None
    failed: str | None = None
    tokens: int = 0


def _batch(outcomes: dict[int, _Outcome]) -> Batch:
    return Batch(
        answers={at: one.answer for at, one in outcomes.items() if one.refused is None and one.failed is None},
        refused={at: one.refused for at, one in outcomes.items() if one.refused is not None},
        failed={at: one.failed for at, one in outcomes.items() if one.failed is not None},
        tokens=sum(one.tokens for one in outcomes.values()),
    )


def _said(text: str) -> str:
    """The beginning of what a server said, in one line."""
    return " ".join(text.split())[:200] or "nothing"
