"""A model behind a server that speaks OpenAI's interface."""

import json
import os
import socket
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Queue
from threading import Event, Lock, Thread, Timer
from typing import Any

from chaffinch.columns import is_unicode
from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.score import Served
from chaffinch.score.protocol import Batch, Ending, before, identity

# Seconds before the second try; every further pause is twice as long, up to the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0

# Answers are handed over (and so kept) at least this often, in seconds.
HAND_OVER = 2.0

BUSY = 429
# What a server says of itself is counted, and is not to be believed without end.
MOST_TOKENS = 1 << 32
# Of a reply, packed and unpacked.
MOST_BYTES = 16 << 20
# How an answer ends; behind a filter, an error or an abort there is none. The last two are of Hugging Face's server.
ENDS = (None, "stop", "length", "eos_token", "stop_sequence")

# The question itself is refused: too long, say. Asked again it would be again.
REFUSED = (400, 413, 422)


def model_identity(spec: Served, score: Ending) -> dict[str, Any]:
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

    def __init__(self, spec: Served, score: Ending) -> None:
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
        self._headers = headers
        self._has_answered = False

    def complete(self, prompts: Sequence[str]) -> Iterator[Batch]:
        """See `Model.complete`."""
        # Made once: it takes as long as a question.
        verify = self._http.create_ssl_context()

        def line() -> _Line:
            return _Line(self._http.Client(timeout=self._spec.timeout, headers=self._headers, verify=verify))

        workers = _Workers(self._spec.concurrency, prompts, line, self._ask)
        try:
            yield from self._collect(workers)
        finally:
            workers.stopped.set()

    def _collect(self, workers: "_Workers") -> Iterator[Batch]:
        """Outcomes as they come, every few seconds; an error once everything under way is in."""
        outcomes: dict[int, _Outcome] = {}
        handed_over = time.monotonic()
        in_a_row = 0
        error: Exception | None = None
        for at, outcome in workers.outcomes(HAND_OVER):
            if isinstance(outcome, Exception):
                error = error or outcome
                workers.stopped.set()
            elif outcome is not None:
                self._has_answered |= outcome.refused is None and outcome.failed is None
                if outcome.refused is not None and not self._has_answered:
                    # It may be the way of asking that is wrong, so nothing is said for good of the question.
                    outcome = _Outcome(failed=outcome.refused)
                outcomes[at] = outcome
                in_a_row = 0 if outcome.failed is None else in_a_row + 1
                if in_a_row > 2 * self._spec.concurrency and error is None:
                    error = DataError(
                        f"{self._url}: {in_a_row} questions in a row failed, the last one with: {outcome.failed}\n"
                        "hint: look at the server; the answers so far are kept, the same command goes on from there"
                    )
                    workers.stopped.set()
            if time.monotonic() - handed_over >= HAND_OVER:
                yield _batch(outcomes)
                outcomes, handed_over = {}, time.monotonic()
        yield _batch(outcomes)
        if error is not None:
            raise error

    def _ask(self, line: "_Line", prompt: str, stopped: Event) -> "_Outcome":
        """One question, asked again after a pause where the server is busy, broken or not to be reached."""
        pause = FIRST_PAUSE
        problem = ""
        for attempt in range(self._spec.attempts):
            if attempt and stopped.wait(pause):
                break
            pause = min(2 * pause, LONGEST_PAUSE)
            try:
                reply = line.ask(self._url, self._question(prompt), self._spec.timeout)
            except _NoReplyError as error:
                problem = str(error)
                continue
            except self._http.RequestError as error:
                problem = f"{type(error).__name__} {error}".strip()
                continue
            if reply.status == BUSY or reply.status >= 500:
                said = f" ({_said(reply.text)})" if reply.text.strip() else ""
                problem = f"status {reply.status}{said}"
                pause = max(pause, min(float(reply.after), LONGEST_PAUSE)) if reply.after.isdecimal() else pause
                continue
            return self._outcome(reply)
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
            **({} if self._score.ends_at is None else {"stop": [self._score.ends_at]}),
        }

    def _outcome(self, reply: "_Reply") -> "_Outcome":
        if reply.status in REFUSED:
            return _Outcome(refused=f"status {reply.status}: {_said(reply.text)}")
        if reply.status != 200:
            raise DataError(
                f"{self._url} answers with status {reply.status}: {_said(reply.text)}\n"
                "hint: look at `address`, `model`, `endpoint` and `api_key_from` of score.answerer"
            )
        try:
            values = json.loads(reply.body)
            choice = values["choices"][0]
            text = choice["message"]["content"] if self._spec.endpoint == "chat" else choice["text"]
            tokens = (values.get("usage") or {}).get("total_tokens") or 0
            if text is None:
                return _Outcome(failed="the server gave no text")
            if not is_unicode(text):
                return _Outcome(failed="the server gave a lone surrogate, which is no text")
            if choice.get("finish_reason") not in ENDS:
                return _Outcome(failed=f"the server ended it with {_said(str(choice['finish_reason']))}")
            answer = before(text, self._score.ends_at)
            return _Outcome(answer=answer, tokens=min(max(int(tokens), 0), MOST_TOKENS))
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError, RecursionError):
            raise DataError(
                f"{self._url} answers with something else than a completion: {_said(reply.text)}\n"
                "hint: `address` of score.answerer has to lead to OpenAI's interface, up to `/v1`"
            ) from None


class _NoReplyError(Exception):
    """The server did not send a reply that can be read."""


@dataclass(frozen=True)
class _Reply:
    """What a server sent: its status, what it says of when to ask again, and its body, unpacked."""

    status: int
    after: str
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


class _Line:
    """One worker's connection: a question has so many seconds in all, and a reply so many bytes."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._socket: socket.socket | None = None
        self._over = False

    def ask(self, url: str, question: dict[str, Any], seconds: float) -> _Reply:
        """Asks, and reads the whole reply.

        Raises:
            _NoReplyError: it took too long, is too large, or cannot be unpacked.
            RequestError: httpx2's, of a server that cannot be reached.
        """
        self._over = False
        # The client's own timeout is for each read, so a byte now and then would put it off for ever.
        clock = Timer(seconds, self._cut)
        clock.daemon = True
        clock.start()
        headers = {"Accept-Encoding": "identity"}
        try:
            with self._client.stream(
                "POST", url, json=question, headers=headers, extensions={"trace": self._trace}
            ) as response:
                body = bytearray()
                for piece in response.iter_raw():
                    body += piece
                    if len(body) > MOST_BYTES:
                        raise _NoReplyError(f"a reply of more than {MOST_BYTES:,} bytes")
                packing = response.headers.get("content-encoding", "identity")
                after = response.headers.get("retry-after", "")
                return _Reply(response.status_code, after, _unpacked(bytes(body), packing))
        except Exception:
            if self._over:
                raise _NoReplyError(f"no whole reply within {seconds:g} seconds") from None
            raise
        finally:
            clock.cancel()

    def close(self) -> None:
        self._client.close()

    def _trace(self, event: str, info: dict[str, Any]) -> None:
        """Remembers the connection's socket; called by the client at each of its steps."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._socket = info["return_value"].get_extra_info("socket")
            if self._over:
                self._cut()

    def _cut(self) -> None:
        self._over = True
        if self._socket is not None:
            with suppress(OSError):
                # Whoever is reading from it wakes up. Of TLS, too: the method of its own class would say goodbye first.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _unpacked(body: bytes, packing: str) -> bytes:
    """What a body holds, packed although nobody asked for that."""
    if packing == "identity":
        return body
    if packing not in ("gzip", "x-gzip", "deflate"):
        raise _NoReplyError(f"a reply packed as {_said(packing)}")
    try:
        unpacked = zlib.decompressobj(32 + zlib.MAX_WBITS).decompress(body, MOST_BYTES + 1)
    except zlib.error as error:
        raise _NoReplyError(f"a reply that cannot be unpacked: {error}") from None
    if len(unpacked) > MOST_BYTES:
        raise _NoReplyError(f"a reply that unpacks to more than {MOST_BYTES:,} bytes")
    return unpacked


class _Workers:
    """Threads that ask, each one question at a time. They hold nobody up who leaves before they are done."""

    def __init__(
        self, n: int, prompts: Sequence[str], line: Callable[[], _Line], ask: "Callable[[_Line, str, Event], _Outcome]"
    ) -> None:
        self.stopped = Event()
        self._prompts, self._line, self._ask = prompts, line, ask
        self._numbers = iter(range(len(prompts)))
        self._next = Lock()
        self._found: Queue[tuple[int, _Outcome | Exception]] = Queue()
        self._threads = [Thread(target=self._work, daemon=True) for _ in range(min(n, len(prompts)))]
        for thread in self._threads:
            thread.start()

    def _work(self) -> None:
        line = self._line()
        try:
            while not self.stopped.is_set():
                with self._next:
                    at = next(self._numbers, None)
                if at is None:
                    break
                try:
                    self._found.put((at, self._ask(line, self._prompts[at], self.stopped)))
                except Exception as error:
                    self._found.put((at, error))
        finally:
            line.close()

    def outcomes(self, patience: float) -> "Iterator[tuple[int, _Outcome | Exception | None]]":
        """What became of each question, and None when nothing came for so many seconds; ends with the last thread."""
        while any(thread.is_alive() for thread in self._threads):
            try:
                yield self._found.get(timeout=min(patience, 0.2))
            except Empty:
                yield 0, None
        for thread in self._threads:
            thread.join()
        while not self._found.empty():
            yield self._found.get()


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
