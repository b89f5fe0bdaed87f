"""What a server may do wrong, and what becomes of the question then."""

import gzip
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest

from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.score import Score
from chaffinch.score import served
from chaffinch.score.served import ServedModel, model_identity
from tests.score.server import Reply, Server, collected, completion


def spec(address: str, **more: Any) -> Score:
    answerer = {"kind": "openai", "address": address, "model": "m", "concurrency": 4, **more}
    return Score.model_validate({"sources": ["s"], "answerer": answerer})


def model(server: Server, **more: Any) -> ServedModel:
    score = spec(server.address, **more)
    return ServedModel(score.answerer, score)


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "FIRST_PAUSE", 0.01)


def test_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    with Server(lambda body, _: completion(f"to {body['prompt']}\n\nand more")).running() as server:
        answers, refused, failed, _ = collected(model(server, api_key_from="MY_KEY").complete(["a", "b"]))
        assert (answers, refused, failed) == ({0: "to a", 1: "to b"}, {}, {})
        expected = {"model": "m", "prompt": "a", "max_tokens": 128, "temperature": 0, "stop": ["\n\n"]}
        assert expected in server.asked
        assert server.headers[0]["Authorization"] == "Bearer secret"
    reply: Reply = (200, {}, {"choices": [{"message": {"content": "hello"}}]})
    with Server(lambda *_: reply).running() as server:
        assert collected(model(server, endpoint="chat").complete(["a"]))[0] == {0: "hello"}
        assert server.asked[0]["messages"] == [{"role": "user", "content": "a"}]
        assert "Authorization" not in server.headers[0]


def test_several_are_asked_at_once_and_no_more_than_allowed() -> None:
    def slow(body: dict[str, Any], _: int) -> Reply:
        time.sleep(0.05)
        return completion(body["prompt"])

    with Server(slow).running() as server:
        answers = collected(model(server).complete([str(at) for at in range(24)]))[0]
    assert answers == {at: str(at) for at in range(24)}
    assert server.most_at_once == 4


def test_busy_broken_and_cut_off_are_asked_again() -> None:
    def moody(body: dict[str, Any], times: int) -> Reply:
        problems: list[Reply] = [(429, {"Retry-After": "0"}, {}), (503, {}, b"<html>"), None, (500, {}, {})]
        return problems[times - 1] if times <= int(body["prompt"]) else completion("right")

    with Server(moody).running() as server:
        answers, refused, failed, _ = collected(model(server).complete(["0", "1", "2", "3", "4"]))
        assert (answers, refused, failed) == (dict.fromkeys(range(5), "right"), {}, {})
        assert Counter(one["prompt"] for one in server.asked) == {"0": 1, "1": 2, "2": 3, "3": 4, "4": 5}


def test_a_question_that_goes_on_failing_is_missing() -> None:
    with Server(
        lambda body, _: (500, {}, b" out of\n memory ") if body["prompt"] == "b" else completion("x")
    ).running() as server:
        answers, refused, failed, _ = collected(model(server, attempts=3).complete(["a", "b", "c"]))
        assert (answers, refused, failed) == ({0: "x", 2: "x"}, {}, {1: "status 500 (out of memory), 3 times"})
        assert sum(one["prompt"] == "b" for one in server.asked) == 3


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_no_text_is_no_answer(endpoint: str) -> None:
    def silent(body: dict[str, Any], _: int) -> Reply:
        text = None if "b" in str(body.get("prompt") or body["messages"]) else ""
        return 200, {}, {"choices": [{"text": text, "message": {"content": text}}]}

    with Server(silent).running() as server:
        answers, refused, failed, _ = collected(model(server, endpoint=endpoint).complete(["a", "b"]))
        assert (answers, refused, failed) == ({0: ""}, {}, {1: "the server gave no text"})


@pytest.mark.parametrize("reason", ["content_filter", "error", "abort", {"odd": 1}])
def test_what_a_filter_or_an_error_cut_off_is_no_answer(reason: object) -> None:
    def cut(body: dict[str, Any], _: int) -> Reply:
        ends = {"a": None, "b": "stop", "c": "length"}
        return 200, {}, {"choices": [{"text": "x", "finish_reason": ends.get(body["prompt"], reason)}]}

    with Server(cut).running() as server:
        answers, refused, failed, _ = collected(model(server).complete(["a", "b", "c", "d"]))
        assert (answers, refused, list(failed)) == ({0: "x", 1: "x", 2: "x"}, {}, [3])
        assert failed[3].startswith("the server ended it with ")


def test_what_a_server_counts_is_not_believed_without_end() -> None:
    def boasting(body: dict[str, Any], _: int) -> Reply:
        return (
            200,
            {},
            {"choices": [{"text": "x"}], "usage": {"total_tokens": 10**400 if body["prompt"] == "a" else -5}},
        )

    with Server(boasting).running() as server:
        found = list(model(server).complete(["a", "b"]))
        assert sum(batch.tokens for batch in found) == 1 << 32
    with Server(lambda *_: (200, {}, b"[" * 100_000)).running() as server, pytest.raises(DataError, match="hint: "):
        collected(model(server).complete(["a"]))


def test_a_body_that_cannot_be_unpacked_is_asked_for_again() -> None:
    def torn(_: dict[str, Any], times: int) -> Reply:
        return (200, {"Content-Encoding": "gzip"}, b"no gzip") if times == 1 else completion("x")

    with Server(torn).running() as server:
        assert collected(model(server).complete(["a"]))[:3] == ({0: "x"}, {}, {})


def test_a_lone_surrogate_is_a_missing_answer() -> None:
    with Server(lambda body, _: completion("hello \ud800" if body["prompt"] == "a" else "x")).running() as server:
        answers, refused, failed, _ = collected(model(server).complete(["a", "b"]))
    assert (answers, refused, failed) == ({1: "x"}, {}, {0: "the server gave a lone surrogate, which is no text"})


@contextmanager
def dripping(first: bytes, drop: bytes) -> Iterator[str]:
    """The address of a server that sends `first` at once and then `drop` every tenth of a second, without end."""
    stopped = threading.Event()

    def drip(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(first)
            while not stopped.wait(0.1):
                connection.sendall(drop)

    def serve(listening: socket.socket) -> None:
        with suppress(OSError):
            while True:
                threading.Thread(target=drip, args=(listening.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"
        finally:
            stopped.set()
            listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("first", "drop"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\nX-", b"a"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"),
    ],
)
def test_a_server_that_drips_is_not_waited_for(first: bytes, drop: bytes) -> None:
    with dripping(first, drop) as address:
        score = spec(address, timeout=0.7, attempts=2)
        started = time.monotonic()
        answers, _, failed, _ = collected(ServedModel(score.answerer, score).complete(["a", "b"]))
    assert (answers, {*failed}) == ({}, {0, 1})
    assert all("within 0.7 seconds" in why or "ReadTimeout" in why for why in failed.values()), failed
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    ("headers", "body", "why"),
    [
        ({}, b" " * (2 << 20), "more than 1,048,576 bytes"),
        ({"Content-Encoding": "gzip"}, gzip.compress(b" " * (64 << 20)), "unpacks to more than 1,048,576 bytes"),
        ({"Content-Encoding": "zstd"}, b"x", "packed as zstd"),
    ],
)
def test_a_reply_without_end_is_no_answer(
    headers: dict[str, str], body: bytes, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served, "MOST_BYTES", 1 << 20)
    with Server(lambda *_: (200, headers, body)).running() as server:
        failed = collected(model(server, attempts=1).complete(["a"]))[2]
    assert why in failed[0]
    packed = gzip.compress(b'{"choices": [{"text": "x"}]}')
    with Server(lambda *_: (200, {"Content-Encoding": "gzip"}, packed)).running() as server:
        assert collected(model(server).complete(["a"]))[0] == {0: "x"}


def test_a_refused_question_is_not_asked_again() -> None:
    def strict(body: dict[str, Any], _: int) -> Reply:
        if len(body["prompt"]) > 5:
            time.sleep(0.3)
            return 400, {}, {"error": {"message": "too\nlong"}}
        return completion("x")

    with Server(strict).running() as server:
        answers, refused, failed, _ = collected(model(server).complete(["a", "b" * 9, "c"]))
        assert (answers, failed) == ({0: "x", 2: "x"}, {})
        assert refused == {1: 'status 400: {"error": {"message": "too\\nlong"}}'}
        assert len(server.asked) == 3


def test_what_refuses_everything_is_asked_wrongly() -> None:
    with Server(lambda *_: (400, {}, {"error": "no such field"})).running() as server:
        few = collected(model(server).complete(["a", "b"]))
        # Nothing is said for good: it may be the server's setting.
        assert (few[1], {*few[2]}) == ({}, {0, 1})
        with pytest.raises(DataError, match=r"9 questions in a row failed, .*no such field.*\nhint: "):
            collected(model(server).complete([str(at) for at in range(500)]))
        assert len(server.asked) < 50


@pytest.mark.parametrize(
    ("reply", "message"),
    [
        ((401, {}, {"error": "who are you"}), r"status 401: .*who are you.*\nhint: .*api_key_from"),
        ((404, {}, b"<h1>lost\n\nhere</h1>"), r"status 404: <h1>lost here</h1>\nhint: .*address"),
        ((200, {}, b"<html>hello"), r"something else than a completion: <html>hello\nhint: .*`/v1`"),
        ((200, {}, {"choices": []}), r"something else than a completion"),
        ((200, {}, [1]), r"something else than a completion"),
        ((200, {}, {"choices": [{"text": 3}]}), r"something else than a completion"),
        ((200, {}, b'{"choices": [{"text": "x"}], "usage": {"total_tokens": Infinity}}'), r"else than a completion"),
    ],
)
def test_what_is_no_such_server_is_told_at_once(reply: Reply, message: str) -> None:
    with Server(lambda *_: reply).running() as server, pytest.raises(DataError, match=message):
        collected(model(server).complete([str(at) for at in range(100)]))
    assert len(server.asked) < 60


def test_a_server_that_is_not_there_is_told() -> None:
    server = Server(lambda *_: completion("x"))
    with server.running():
        pass
    with pytest.raises(
        DataError, match=r"in a row failed, the last one with: Connect\w+ .*\nhint: .*goes on from there"
    ):
        collected(model(server, attempts=2).complete([str(at) for at in range(100)]))


def test_answers_are_handed_over_while_others_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "HAND_OVER", 0.05)
    release = threading.Event()

    def one_hangs(body: dict[str, Any], _: int) -> Reply:
        if body["prompt"] == "0":
            release.wait(20)
        return completion("x")

    with Server(one_hangs).running() as server:
        batches = model(server).complete([str(at) for at in range(9)])
        early: set[int] = set()
        while len(early) < 8:
            early |= next(batches).answers.keys()
        assert 0 not in early
        release.set()
        assert {at for batch in batches for at in batch.answers} >= {0}


def test_a_key_that_is_not_set_is_told() -> None:
    score = spec("http://127.0.0.1:1/v1", api_key_from="NOT_SET_ANYWHERE")
    with pytest.raises(RecipeError, match=r"api_key_from is NOT_SET_ANYWHERE, which is not set\nhint: "):
        ServedModel(score.answerer, score)


def test_where_the_server_is_does_not_matter() -> None:
    here, there = spec("http://a/v1"), spec("http://b:8/v1", concurrency=9, attempts=2, timeout=3.0)
    other = spec("http://a/v1", revision="2")
    assert model_identity(here.answerer, here) == model_identity(there.answerer, there)
    assert model_identity(other.answerer, other) != model_identity(here.answerer, here)
