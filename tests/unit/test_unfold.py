"""Formats that Python takes apart: what is hostile or broken in them costs itself alone."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from chaffinch.errors import DataError
from chaffinch.readers import Shard, read_source
from chaffinch.recipe.source import Source

QUESTION = {"id": "1", "question": "q", "answers": [{"text": "a"}]}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def read(data: Path, name: str, content: bytes, form: str) -> Shard:
    (data / name).write_bytes(content)
    [shard] = read_source(Source.model_validate({"name": "s", "files": name, "format": form}), data, data / "cache")
    return shard


def rejects(shard: Shard) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all().to_pylist()
    return rows


def quac(*questions: Any) -> bytes:
    return json.dumps({"data": [{"paragraphs": [{"context": "c", "qas": list(questions)}]}]}).encode()


def test_a_broken_question_costs_itself_alone(data: Path) -> None:
    # The last, or else it would be in the next one's dialogue.
    questions = [QUESTION, {"id": "2"}, 3, {**QUESTION, "answers": 5}, QUESTION, {**QUESTION, "question": "\ud800"}]
    shard = read(data, "q.json", quac(*questions), "quac")
    assert (shard.rows, shard.rejected) == (2, 4)
    assert "lone surrogate: no Unicode text holds it" in {bad["reason"] for bad in rejects(shard)}


def test_a_broken_article_costs_itself_alone(data: Path) -> None:
    good = json.loads(quac(QUESTION))["data"][0]
    shard = read(data, "q.json", json.dumps({"data": [{}, good, 3]}).encode(), "quac")
    assert (shard.rows, shard.rejected) == (1, 2)


@pytest.mark.parametrize("content", [b"[" * 100_000, b"[1, 2]", b"{", b'{"data": 3}', b"\xff"])
def test_a_file_that_is_no_quac_is_quarantined(data: Path, content: bytes) -> None:
    shard = read(data, "q.json", content, "quac")
    assert shard.rows == 0
    assert next(bad["pointer"] for bad in rejects(shard)) == "/0"


@pytest.mark.parametrize(("form", "name"), [("openbookqa", "o.jsonl"), ("apps", "metadata.json")])
def test_deep_nesting_does_not_end_the_build(data: Path, form: str, name: str) -> None:
    if form == "apps":
        (data / "p").mkdir()
        (data / "p" / "question.txt").write_text("q")
        (data / "p" / "solutions.json").write_text('["s"]')
        (data / "p" / name).write_bytes(b"[" * 100_000)
        [shard] = read_source(Source.model_validate({"name": "s", "files": "p", "format": form}), data, data / "cache")
    else:
        shard = read(data, name, b"[" * 100_000, form)
    assert (shard.rows, shard.rejected) == (0, 1)


@pytest.mark.parametrize("end", ["gz", "zst"])
def test_packed_files_are_unpacked(data: Path, end: str) -> None:
    def packed(content: bytes) -> bytes:
        return gzip.compress(content) if end == "gz" else pa.compress(content, codec="zstd", asbytes=True)

    assert read(data, f"q.json.{end}", packed(quac(QUESTION)), "quac").rows == 1
    assert read(data, f"1.story.{end}", packed(b"text\r\n\r\n@highlight\r\n\r\npoint"), "cnn-stories").rows == 1


def test_a_truncated_packed_file_is_named(data: Path) -> None:
    with pytest.raises(DataError, match=r"q\.json\.gz.*\nhint:"):
        read(data, "q.json.gz", gzip.compress(quac(QUESTION))[:-6], "quac")


def test_text_files_are_a_document_each(data: Path) -> None:
    for name, content in {
        "b.txt": b"\xef\xbb\xbf two\r\nlines\n",
        "a.part.txt": "caf\u00e9".encode(),
        "c.txt.gz": gzip.compress(b"packed"),
        "empty.txt": b" \n",
        "bytes.txt": b"\xff",
    }.items():
        (data / name).write_bytes(content)
    source = Source.model_validate({"name": "s", "files": ".", "format": "text", "instruction": "Go on."})
    [shard] = read_source(source, data, data / ".cache")
    rows = pa.ipc.open_file(pa.memory_map(str(shard.path))).read_all().to_pylist()
    assert [(row["instruction"], row["input"], row["references"], json.loads(row["meta"])) for row in rows] == [
        ("Go on.", "", ["caf\u00e9"], {"id": "a.part"}),
        ("Go on.", "", [" two\r\nlines\n"], {"id": "b"}),
        ("Go on.", "", ["packed"], {"id": "c"}),
    ]
    assert sorted(bad["reason"] for bad in rejects(shard)) == ["invalid UTF-8", "no reference"]


def test_each_solution_of_a_problem_is_a_row(data: Path, tmp_path: Path) -> None:
    problems = {
        "0": '["one", "two", "one\\ntwo"]',
        "1": "[]",
        "2": "not JSON",
        "3": '["good", null]',
        "4": "[" * 10_000,
        "5": '{"a": "b"}',
    }
    for name, solutions in problems.items():
        (data / "apps" / name).mkdir(parents=True)
        (data / "apps" / name / "question.txt").write_text(f"question {name}")
        (data / "apps" / name / "solutions.json").write_text(solutions)
    source = Source(name="s", files=["apps/*"], format="apps-solutions")
    [shard] = read_source(source, data, tmp_path / "cache")
    rows = pa.ipc.open_file(pa.memory_map(str(shard.path))).read_all().to_pylist()
    found = [(row["instruction"], row["references"]) for row in rows]
    assert found == [
        ("question 0", ["one"]),
        ("question 0", ["two"]),
        ("question 0", ["one\ntwo"]),
        ("question 3", ["good"]),
    ]
    assert shard.rejected == 5
