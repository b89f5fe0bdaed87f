"""What a build refuses, warns of and gives back."""

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from tests.conftest import write_jsonl


def lines(numbers: range) -> list[dict[str, Any]]:
    return [{"instruction": f"question {number}", "output": f"answer {number}"} for number in numbers]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "data" / "rows.jsonl", lines(range(100)))
    return tmp_path / "data"


def build(data: Path, out: Path, **more: Any) -> cf.Result:
    return cf.build({"name": "x", "sources": [{"name": "a", "files": "rows.jsonl"}], **more}, data=data, out=out)


def test_a_file_whose_bad_rows_cannot_be_counted_stops_the_build(data: Path, tmp_path: Path) -> None:
    rows = [json.dumps(row) for row in lines(range(200, 1200))]
    (data / "broken.json").write_text(f"[{rows[0]}, {rows[1]} {', '.join(rows[2:])}]")
    sources = [{"name": "a", "files": "rows.jsonl"}, {"name": "b", "files": "broken.json"}]
    with pytest.raises(cf.DataError, match=r"broken\.json: broken in the middle(?s:.*)hint: .*quarantine\.parquet"):
        build(data, tmp_path / "out", sources=sources)
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_lists_outside_the_data_folder_are_not_read(data: Path, tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text("t\n")
    with pytest.raises(cf.RecipeError, match=r"select\.tasks\.file: '\.\./list\.txt' names nothing inside"):
        build(data, tmp_path / "out", select={"tasks": {"file": "../list.txt"}})


def test_an_empty_mixture_is_warned_of(data: Path, tmp_path: Path) -> None:
    result = build(data, tmp_path / "out", select={"tasks": ["none"]})
    assert result.summary["kept"] == 0
    assert "the mixture is empty: every row was removed" in result.summary["warnings"]


def test_a_stratum_that_is_not_there_is_warned_of(data: Path, tmp_path: Path) -> None:
    result = build(data, tmp_path / "out", sample={"fraction": {"a": 0.5, "typo": 0.5}})
    assert "typo: sample names it, but no row is of it" in result.summary["warnings"]


@pytest.mark.parametrize("form", ["parquet", "jsonl", "datasets"])
def test_every_format_gives_the_same_table(data: Path, tmp_path: Path, form: str) -> None:
    # A date that a reader might guess, a row longer than a reader's block, and a split without rows.
    write_jsonl(data / "rows.jsonl", [{"instruction": "x" * 2_000_000, "output": "2020-01-01"}])
    whole = build(data, tmp_path / "whole", write={"format": form}).table
    assert whole.schema == build(data, tmp_path / "parquet").table.schema
    assert whole["output"].to_pylist() == ["2020-01-01"]
    held_out = build(data, tmp_path / "held", write={"format": form}, validation_fraction=0.6)
    assert (len(held_out.table), len(held_out.split("validation"))) == (0, 1)
    with pytest.raises(cf.DataError, match="no split 'test'\nhint: it has train, validation"):
        held_out.split("test")


def test_a_wrong_template_is_refused_before_anything_is_read(data: Path, tmp_path: Path) -> None:
    with pytest.raises(cf.RecipeError, match="no template 'brbal'"):
        build(data, tmp_path / "out", format={"template": "brbal"})
    assert not (tmp_path / "out").exists()


def test_the_manifest_holds_the_template_itself(data: Path, tmp_path: Path) -> None:
    template = tmp_path / "own.yaml"
    template.write_text('prompt:\n  - text: "Q: {instruction}"\n')
    result = build(data, tmp_path / "out", format={"template": str(template)})
    assert result.summary["template"]["prompt"][0]["text"] == "Q: {instruction}"


def test_the_data_is_never_taken_for_an_earlier_mixture(data: Path, tmp_path: Path) -> None:
    (tmp_path / ".chaffinch").mkdir()
    with pytest.raises(cf.DataError, match="is where the mixture goes"):
        build(data, tmp_path)
    assert (data / "rows.jsonl").exists()


def test_what_a_build_writes_is_never_its_own_source(data: Path) -> None:
    sources = [{"name": "a", "files": "**/*.*", "exclude": ["**/*.json", "**/*.html"]}]
    first = build(data, data / "out", sources=sources)
    with pytest.raises(cf.DataError, match=r"out/data/train-.* is what a build into .*\nhint: give an --out outside"):
        build(data, data / "out", sources=sources)
    assert cf.Result(data / "out").table == first.table
    assert build(data, data / "out").table == first.table


def test_files_that_are_cut_or_empty_are_warned_of(data: Path, tmp_path: Path) -> None:
    (data / "none.jsonl").touch()
    (data / "nothing.jsonl").touch()
    packed = gzip.compress((data / "rows.jsonl").read_bytes())
    (data / "cut.jsonl.gz").write_bytes(packed[: len(packed) * 2 // 3])
    result = build(data, tmp_path / "out", sources=[{"name": "a", "files": "*"}], max_bad_fraction=0.1)
    assert result.summary["warnings"] == [
        "1 file cut off in the middle, rows behind that are lost: cut.jsonl.gz",
        "2 files empty: none.jsonl, nothing.jsonl",
    ]


def test_where_every_row_is_bad_the_hint_names_the_quarantine(data: Path, tmp_path: Path) -> None:
    write_jsonl(data / "rows.jsonl", [{"instruction": "no answer"}])
    with pytest.raises(cf.DataError, match=r"no source has a single row\nhint: .*quarantine\.parquet"):
        build(data, tmp_path / "out", max_bad_fraction=1.0)


def test_a_build_whose_cache_was_deleted_is_still_ours(data: Path, tmp_path: Path) -> None:
    before = build(data, tmp_path / "out").table
    (tmp_path / "out" / ".chaffinch").rename(tmp_path / "gone")
    assert build(data, tmp_path / "out").table == before


def test_an_edit_that_sets_its_time_back_is_seen(data: Path, tmp_path: Path) -> None:
    path = data / "rows.jsonl"
    for output in ("one", "two"):
        write_jsonl(path, [{"instruction": "q", "output": output}])
        os.utime(path, (1_000_000_000, 1_000_000_000))
        assert build(data, tmp_path / "out").table["output"].to_pylist() == [output]


def test_an_example_shows_the_answer_of_a_conversation(data: Path, tmp_path: Path) -> None:
    turns = [("user", "hello"), ("assistant", "x"), ("user", "thanks")]
    write_jsonl(data / "rows.jsonl", [{"messages": [{"role": role, "content": text} for role, text in turns]}])
    result = build(data, tmp_path / "out", clean={"lengths": {"field": "response", "min": 2}})
    [example] = result.summary["examples"]["clean"]["response under 2 words"]
    assert (example["prompt"], example["response"]) == ("user: hello", "x")


def test_a_file_name_that_is_no_text_is_named(data: Path, tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(data) + b"/\xff.jsonl")).write_text("{}")
    with pytest.raises(cf.DataError, match=r"'\\udcff\.jsonl' is no Unicode text\nhint:"):
        build(data, tmp_path / "out", sources=[{"name": "a", "files": "*.jsonl"}])


def test_a_file_that_is_no_parquet_is_named(data: Path, tmp_path: Path) -> None:
    (data / "p.parquet").write_bytes(b"PAR1" + bytes(50) + b"\x10\x00\x00\x00PAR1")
    with pytest.raises(cf.DataError, match=r"p\.parquet: [\s\S]*hint:"):
        build(data, tmp_path / "out", sources=[{"name": "a", "files": "p.parquet"}])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            {"clean": {"lengths": {"field": "prompt", "max": 1, "sources": "b"}}},
            "recipe: clean.lengths.sources: no",
        ),
        ({"clean": {"forbid": [{"field": "prompt", "texts": "x", "sources": "b"}]}}, "clean.forbid.sources: no source"),
        ({"provenance": {"deny": ["prompt"], "except": "b"}}, "provenance.except: no source 'b'"),
        ({"sources": [{"name": "a", "files": []}]}, "sources.0.files"),
        ({"sources": [{"name": "a", "files": "x", "edits": [{"name": "blank"}]}]}, "need `values:`"),
        (
            {"sources": [{"name": "a", "files": "x", "edits": [{"name": "blank", "values": "n", "fraction": 0.5}]}]},
            "goes with lowercase-input",
        ),
    ],
)
def test_what_would_do_nothing_is_refused(data: Path, tmp_path: Path, more: dict[str, Any], message: str) -> None:
    with pytest.raises(cf.RecipeError, match=message):
        build(data, tmp_path / "out", **more)


@pytest.mark.parametrize("threads", [0, 1_000_000])
def test_absurd_numbers_of_threads_are_refused(data: Path, tmp_path: Path, threads: int) -> None:
    with pytest.raises(ValueError, match=f"threads is {threads}, expected 1 to 1024\nhint: "):
        cf.build("quickstart", data=data, out=tmp_path / "out", threads=threads)
