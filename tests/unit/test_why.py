import json
from pathlib import Path

import pytest

import chaffinch as cf
from chaffinch.errors import DataError
from tests.conftest import write_jsonl
from tests.unit.finished import finished_build, kept_id, kept_row, removed_row

KEPT = [kept_row(kept_id(number), prompt=f"question {number}") for number in range(5)]


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "datasets"])
def test_a_kept_row_knows_its_place(tmp_path: Path, kind: str) -> None:
    out = finished_build(tmp_path / "out", KEPT, kind=kind)
    story = cf.why(out, kept_id(4))
    assert story.kept
    assert (story.row_id, story.source, story.files) == (kept_id(4), "a", ["a/rows.jsonl"])
    assert story.file is not None
    assert Path(story.file).stem == "train-00001-of-00002"
    assert (out / story.file).is_file()
    assert story.index == 1
    assert story.values["prompt"] == "question 4"
    assert "licence" not in story.values
    assert story.passed == ["read", "select", "clean", "dedup", "sample"]
    assert (story.stage, story.reason, story.score, story.witness) == (None, None, None, None)


def test_a_removed_row_tells_stage_reason_score_and_witness(tmp_path: Path) -> None:
    removed = [removed_row(kept_id(7), "dedup", "near duplicate", witness=kept_id(2), score=0.93)]
    story = cf.why(finished_build(tmp_path / "out", KEPT, removed), kept_id(7))
    assert not story.kept
    assert (story.stage, story.reason, story.score) == ("dedup", "near duplicate", 0.93)
    assert story.passed == ["read", "select", "clean"]
    assert (story.file, story.index, story.values) == (None, None, {})
    assert story.witness is not None
    assert story.witness.kept
    assert story.witness.values["prompt"] == "question 2"


def test_a_witness_that_went_later_has_a_story_too(tmp_path: Path) -> None:
    removed = [
        removed_row(kept_id(7), "dedup", "duplicate", witness=kept_id(8)),
        removed_row(kept_id(8), "sample", "over the quota"),
    ]
    witness = cf.why(finished_build(tmp_path / "out", KEPT, removed), kept_id(7)).witness
    assert witness is not None
    assert (witness.kept, witness.stage, witness.reason) == (False, "sample", "over the quota")


def test_witnesses_in_a_circle_end(tmp_path: Path) -> None:
    removed = [
        removed_row(kept_id(7), "dedup", "duplicate", witness=kept_id(8)),
        removed_row(kept_id(8), "dedup", "duplicate", witness=kept_id(7)),
    ]
    witness = cf.why(finished_build(tmp_path / "out", KEPT, removed), kept_id(7)).witness
    assert witness is not None
    assert witness.witness is None


def test_the_text_of_an_example_is_told(tmp_path: Path) -> None:
    removed = [removed_row(kept_id(7), "clean", "empty response")]
    examples = {"clean": {"empty response": [{"row_id": kept_id(7), "prompt": "What?", "response": ""}]}}
    story = cf.why(finished_build(tmp_path / "out", KEPT, removed, examples=examples), kept_id(7))
    assert story.values == {"prompt": "What?", "response": ""}


def test_a_beginning_that_one_row_has_is_enough(tmp_path: Path) -> None:
    out = finished_build(tmp_path / "out", [kept_row("a/task/0f00000000000001"), kept_row("a/task/1f00000000000001")])
    assert cf.why(out, "a/task/1").row_id == "a/task/1f00000000000001"


def test_several_rows_that_begin_so_are_listed(tmp_path: Path) -> None:
    out = finished_build(tmp_path / "out", KEPT, [removed_row(kept_id(9), "clean", "short")])
    with pytest.raises(
        DataError, match=f"several rows begin with 'a/task/'\nhint: they are {kept_id(0)}, .*, \\.\\.\\."
    ):
        cf.why(out, "a/task/")


def test_a_row_and_its_copies_are_told_apart(tmp_path: Path) -> None:
    first = kept_id(1)
    removed = [removed_row(f"{first}.{copy}", "dedup", "identical", witness=first) for copy in (2, 3)]
    out = finished_build(tmp_path / "out", KEPT, removed)
    assert cf.why(out, first).kept
    copy = cf.why(out, f"{first}.3")
    assert (copy.kept, copy.row_id) == (False, f"{first}.3")


@pytest.mark.parametrize(
    ("asked", "hint"),
    [
        ("task/000000000000000", f"did you mean {kept_id(0)}, {kept_id(1)}"),
        (f"{kept_id(3)}ff", rf"did you mean {kept_id(3)}\?"),
        ("a/task/ffff", f"did you mean {kept_id(0)}"),
        ("b/task/ffff", "there is no source 'b'; did you mean 'bb'"),
        ("zzzzz", "ids look like source/task/"),
        ("", "ids look like source/task/"),
        ("<script>\x1b[31m", "ids look like source/task/"),
    ],
)
def test_an_unknown_row_gets_a_hint(tmp_path: Path, asked: str, hint: str) -> None:
    out = finished_build(tmp_path / "out", KEPT, [removed_row("bb/x/00ff00ff00ff00ff", "clean", "short")])
    with pytest.raises(DataError, match=f"no row .*\nhint: {hint}"):
        cf.why(out, asked)


def test_a_witness_that_no_file_knows_is_an_error(tmp_path: Path) -> None:
    out = finished_build(tmp_path / "out", KEPT, [removed_row(kept_id(7), "dedup", "copy", witness=kept_id(66))])
    with pytest.raises(DataError, match="neither in the mixture nor in the ledger"):
        cf.why(out, kept_id(7))


def test_a_ledger_that_is_damaged_is_named(tmp_path: Path) -> None:
    out = finished_build(tmp_path / "out", KEPT)
    (out / "ledger.parquet").write_bytes(b"PAR1 and no more")
    with pytest.raises(DataError, match=r"ledger\.parquet: .*\nhint: the file is damaged"):
        cf.why(out, kept_id(77))


@pytest.mark.parametrize("bad_first", [False, True])
def test_a_row_knows_the_line_or_element_that_it_was_read_from(tmp_path: Path, bad_first: bool) -> None:
    rows = [{"instruction": f"question {number}", "output": "yes"} for number in (1, 2, 1, 3)]
    first = [{"instruction": "no answer"}] if bad_first else [{"instruction": "question 0", "output": "yes"}]
    write_jsonl(tmp_path / "data" / "lines.jsonl", first + rows)
    (tmp_path / "data" / "array.json").write_text(json.dumps([*first, *rows[:2]]), encoding="utf-8")
    recipe = {
        "name": "read-from",
        "max_bad_fraction": 1,
        "sources": [{"name": "all", "files": ["array.json", "lines.jsonl"]}],
        "dedup": {"exact": [{"on": ["prompt"]}]},
    }
    result = cf.build(recipe, data=tmp_path / "data", out=tmp_path / "out", cache=tmp_path / "cache")
    texts = dict(result.table.select(["row_id", "instruction"]).to_pandas().itertuples(index=False))
    one = next(row_id for row_id, text in texts.items() if text == "question 1").partition(".")[0]
    found = [cf.why(result.out, row_id, cache=tmp_path / "cache") for row_id in (one, f"{one}.2", f"{one}.3")]
    assert [(story.input_file, story.input_position) for story in found] == [
        ("array.json", "element 1"),
        ("lines.jsonl", "line 2"),
        ("lines.jsonl", "line 4"),
    ]
    without = cf.why(result.out, one)
    assert (without.input_file, without.input_position) == (None, None)
    for shard in (tmp_path / "cache" / "read").glob("*.arrow"):
        shard.write_bytes(shard.read_bytes()[:100])
    damaged = cf.why(result.out, one, cache=tmp_path / "cache")
    assert (damaged.input_file, damaged.input_position) == (None, None)
