"""What is asked, and that nothing is asked twice: over recipes, added rows, failures and kills."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

import chaffinch as cf
from chaffinch.errors import DataError
from chaffinch.score import served
from tests.score.corpus import decided, kept_answers, recipe, write_task
from tests.score.server import Reply, Server, completion, own_input

EXAMPLES = [(f"example {at}", f"shown {at}") for at in range(5)]


def corpus(data: Path, rows: int = 20) -> None:
    for name in ("t1", "t2"):
        write_task(data, name, [(f"{name} question {at}", [f"echo {at}"]) for at in range(rows)], EXAMPLES)


def echo(body: dict[str, Any], _: int) -> Reply:
    return completion("echo " + own_input(body["prompt"]).rsplit(" ", 1)[-1] + "\n\nmore")


def asking(server: Server, **more: Any) -> dict[str, Any]:
    answerer = {"address": server.address, "model": "m", "concurrency": 4} | more.pop("answerer", {})
    return recipe(answerer=answerer) | more


def asked(server: Server) -> Counter[str]:
    found = Counter(own_input(one["prompt"]) for one in server.asked)
    server.asked.clear()
    return found


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(served, "FIRST_PAUSE", 0.01)


def test_every_row_is_asked_once_and_its_answer_stays(tmp_path: Path) -> None:
    corpus(tmp_path / "data")
    with Server(echo).running() as server:
        run = decided(tmp_path / "data", tmp_path, asking(server))
        table = run.rows.table
        assert table["answer"].to_pylist() == [one[0] for one in table["references"].to_pylist()]
        assert asked(server) == Counter(table["input"].to_pylist())
        notes = run.steps[-1].decisions.notes
        assert (notes["asked"], notes["known"], notes["missing"], notes["tokens"]) == (40, 0, "{}", 7 * 40)
        assert len(kept_answers(tmp_path / "cache")) == 40
        # Another quota, another way of measuring, another server: nothing is asked.
        more = asking(server, sample={"rows": {"ni": 5}})
        more["score"] |= {"generation": {"metric": "rouge1"}, "exact_match": {"normal_form": "squad"}}
        more["score"]["answerer"] |= {"concurrency": 1}
        again = decided(tmp_path / "data", tmp_path, more, until=None)
        assert asked(server) == Counter()
        assert again.rows.table["answer"].to_pylist() == table["answer"].to_pylist()
        assert len(again.alive) == 5
        # Another model or another prompt is another question.
        decided(tmp_path / "data", tmp_path, asking(server, answerer={"model": "n"}))
        assert len(asked(server)) == 40
        more["score"]["prompt"] = {"demonstrations": 1}
        decided(tmp_path / "data", tmp_path, more)
        assert len(asked(server)) == 40


def test_of_added_rows_only_these_are_asked(tmp_path: Path) -> None:
    corpus(tmp_path / "data", 20)
    with Server(echo).running() as server:
        decided(tmp_path / "data", tmp_path, asking(server))
        asked(server)
        corpus(tmp_path / "data", 23)
        values = asking(server)
        assert cf.plan(values, data=tmp_path / "data", cache=tmp_path / "cache").questions is None
        decided(tmp_path / "data", tmp_path, values, until="clean")
        assert cf.plan(values, data=tmp_path / "data", cache=tmp_path / "cache").questions == 6
        run = decided(tmp_path / "data", tmp_path, values)
        assert asked(server) == Counter(f"{task} question {at}" for task in ("t1", "t2") for at in (20, 21, 22))
        assert run.rows.table["answer"].null_count == 0
        assert run.steps[-1].decisions.notes["known"] == 40
        assert cf.plan(values, data=tmp_path / "data", cache=tmp_path / "cache").questions == 0


def test_equal_questions_are_asked_once(tmp_path: Path) -> None:
    rows = [("same", ["a"]), ("same", ["b"]), ("other", ["c"])]
    write_task(tmp_path / "data", "t", rows, EXAMPLES)
    with Server(echo).running() as server:
        run = decided(tmp_path / "data", tmp_path, asking(server))
        assert asked(server) == Counter(["same", "other"])
    assert sorted(run.rows.table["answer"].to_pylist()) == ["echo other", "echo same", "echo same"]


def test_a_failed_answer_is_missing_counted_and_asked_another_time(tmp_path: Path) -> None:
    corpus(tmp_path / "data")
    broken = {"t1 question 3", "t2 question 7"}

    def moody(body: dict[str, Any], times: int) -> Reply:
        return (500, {}, b"") if own_input(body["prompt"]) in broken else echo(body, times)

    with Server(moody).running() as server:
        values = asking(server, answerer={"attempts": 2}, sample={"rows": {"ni": 30}})
        result = cf.build(values, data=tmp_path / "data", out=tmp_path / "out")
        why = "2 of 40 rows have no answer (status 500, 2 times: 2)"
        assert result.summary["warnings"] == [why]
        asked(server)
        run = decided(tmp_path / "data", tmp_path, values)
        missing = {
            input_
            for input_, answer in zip(
                run.rows.table["input"].to_pylist(), run.rows.table["answer"].to_pylist(), strict=True
            )
            if answer is None
        }
        assert missing == broken
        assert asked(server).keys() > broken
        broken.clear()
        # Nothing that followed from the failures was kept: not the scores, not the sample.
        result = cf.build(values, data=tmp_path / "data", out=tmp_path / "out")
        assert result.summary["warnings"] == []
        assert asked(server).keys() == missing
        stages = {one["stage"]: one["cached"] for one in result.summary["stages"]}
        assert stages == {"read": True, "clean": True, "score": False, "sample": False}
        result = cf.build(values, data=tmp_path / "data", out=tmp_path / "out")
        assert all(one["cached"] for one in result.summary["stages"])


def test_a_refused_question_is_remembered(tmp_path: Path) -> None:
    corpus(tmp_path / "data")

    def strict(body: dict[str, Any], times: int) -> Reply:
        if own_input(body["prompt"]) == "t1 question 3":
            time.sleep(0.3)
            return 400, {}, {"error": "too long"}
        return echo(body, times)

    with Server(strict).running() as server:
        run = decided(tmp_path / "data", tmp_path, asking(server))
        assert json.loads(str(run.steps[-1].decisions.notes["missing"])) == {'status 400: {"error": "too long"}': 1}
        asked(server)
        more = asking(server)
        more["score"]["generation"] = {"metric": "rouge1"}
        run = decided(tmp_path / "data", tmp_path, more)
        assert asked(server) == Counter()
        assert json.loads(str(run.steps[-1].decisions.notes["missing"])) == {'status 400: {"error": "too long"}': 1}


def test_answers_before_a_servers_end_are_kept(tmp_path: Path) -> None:
    corpus(tmp_path / "data", 40)
    n = 0

    def dies(body: dict[str, Any], times: int) -> Reply:
        nonlocal n
        n += 1
        return echo(body, times) if n <= 30 else None

    with Server(dies).running() as server:
        values = asking(server, answerer={"attempts": 1})
        with pytest.raises(DataError, match="in a row failed"):
            decided(tmp_path / "data", tmp_path, values)
        assert len(kept_answers(tmp_path / "cache")) == 30
        asked(server)
        n = -1000
        decided(tmp_path / "data", tmp_path, values)
        assert sum(asked(server).values()) == 50


def test_a_killed_run_loses_the_batch_in_flight_alone(tmp_path: Path) -> None:
    corpus(tmp_path / "data", 100)
    slow = threading.Event()

    def reply(body: dict[str, Any], times: int) -> Reply:
        if not slow.is_set():
            time.sleep(0.1)
        return echo(body, times)

    with Server(reply).running() as server:
        values = asking(server)
        (tmp_path / "mine.yaml").write_text(yaml.safe_dump(values))
        command = [str(Path(sys.executable).parent / "chaffinch"), "score", str(tmp_path / "mine.yaml")]
        command += [
            "--data",
            str(tmp_path / "data"),
            "--out",
            str(tmp_path / "out"),
            "--cache",
            str(tmp_path / "cache"),
        ]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        stop = time.monotonic() + 60
        while not (tmp_path / "cache" / "answers").is_dir() or not kept_answers(tmp_path / "cache"):
            assert process.poll() is None
            assert time.monotonic() < stop
            time.sleep(0.05)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kept = kept_answers(tmp_path / "cache")
        first = asked(server)
        assert 20 < len(kept) < 200
        # In flight: what was asked since answers were handed over last, two seconds at forty a second.
        assert sum(first.values()) - len(kept) <= 2 * 40 + 8
        slow.set()
        run = decided(tmp_path / "data", tmp_path, values)
        assert sum(asked(server).values()) == 200 - len(kept)
        assert run.rows.table["answer"].null_count == 0
