"""What a stranger may hand to the verbs for files: each time a clear error with a hint, or the right answer."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

import chaffinch as cf
from chaffinch import files
from chaffinch.cli import app
from chaffinch.errors import DataError
from chaffinch.files import read_table, write_table
from tests.conftest import write_jsonl

ROWS = [{"instruction": f"row {at} of a file of many words", "output": f"so it is {at}"} for at in range(2000)]
ITEM = "How many eggs does the grey goose of the mill lay in the first week of a wet spring?"


def run(verb: str, *arguments: object) -> Result:
    return CliRunner().invoke(app, [verb, *map(str, arguments)])


def both(tmp_path: Path, file: Path) -> list[Result]:
    write_jsonl(tmp_path / "items.jsonl", [{"question": ITEM}])
    against = ("--against", tmp_path / "items.jsonl")
    return [
        run("dedup", file, "-o", tmp_path / "deduped.jsonl"),
        run("decontaminate", file, *against, "-o", tmp_path / "clean.jsonl"),
    ]


def refused(result: Result, message: str) -> None:
    assert result.exit_code == 1, result.output
    assert message in result.stderr
    assert "\nhint: " in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".json.zst", ".csv.gz", ".tsv.zst"])
def test_a_bomb_is_refused_before_it_fills_memory(tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = tmp_path / f"bomb{suffix}"
    write_table(pa.table({"instruction": ["a" * 5_000_000]}), bomb)
    assert len(read_table(bomb)) == 1, "by itself a file that packs well is none"
    monkeypatch.setattr(files, "BOMB_BYTES", 1_000_000)
    for result in both(tmp_path, bomb):
        refused(result, "bytes unpack to more than 1,")
        assert "unpack it yourself if you trust it" in result.stderr
    assert not (tmp_path / "deduped.jsonl").exists()


def test_an_item_file_may_be_a_bomb_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "BOMB_BYTES", 1_000_000)
    write_table(pa.table({"question": ["a" * 5_000_000]}), tmp_path / "items.jsonl.gz")
    write_jsonl(tmp_path / "rows.jsonl", ROWS[:2])
    options = ("--against", tmp_path / "items.jsonl.gz", "-o", tmp_path / "out.jsonl")
    refused(run("decontaminate", tmp_path / "rows.jsonl", *options), "unpack to more than")


@pytest.mark.parametrize("suffix", [".jsonl.gz", ".jsonl.zst"])
@pytest.mark.parametrize("left", [3, 40, 0.5, -9, -1])
def test_a_packed_file_cut_short(tmp_path: Path, suffix: str, left: float) -> None:
    file = tmp_path / f"rows{suffix}"
    write_table(pa.Table.from_pylist(ROWS), file)
    whole = file.read_bytes()
    file.write_bytes(whole[: left if isinstance(left, int) else int(len(whole) * left)])
    for result in both(tmp_path, file):
        refused(result, "the file is damaged or cut short")


def test_control_characters_stay_and_are_shown_harmless(tmp_path: Path) -> None:
    odd = [{"instruction": f"a\0b \x1b[2J\u202e {at}", "output": "\0"} for at in range(3)]
    write_jsonl(tmp_path / "odd.jsonl", odd)
    for result in both(tmp_path, tmp_path / "odd.jsonl"):
        assert result.exit_code == 0, result.output
        assert "\0" not in result.output
        assert "\x1b" not in result.output
    for name in ("deduped", "clean"):
        assert [json.loads(line) for line in (tmp_path / f"{name}.jsonl").read_text().splitlines()] == odd


def test_a_lone_surrogate_is_told_with_its_row(tmp_path: Path) -> None:
    (tmp_path / "odd.jsonl").write_text('{"instruction": "fine"}\n{"instruction": "\\udc00"}\n')
    for result in both(tmp_path, tmp_path / "odd.jsonl"):
        refused(result, "row 1: 'instruction' holds a lone surrogate")


def test_a_row_of_fifty_megabytes(tmp_path: Path) -> None:
    large = "no two words of it the same " + " ".join(map(str, range(7_000_000)))
    write_jsonl(tmp_path / "rows.jsonl", [{"instruction": large}, {"instruction": f"{large} {ITEM}"}])
    deduped, clean = both(tmp_path, tmp_path / "rows.jsonl")
    assert (deduped.exit_code, clean.exit_code) == (0, 0)
    assert len(read_table(tmp_path / "deduped.jsonl")) == 1
    assert read_table(tmp_path / "clean.jsonl")["instruction"].to_pylist() == [large]


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "1.1", "x"])
def test_thresholds_that_make_no_sense(tmp_path: Path, value: str) -> None:
    write_jsonl(tmp_path / "rows.jsonl", ROWS[:2])
    out = tmp_path / "out.jsonl"
    assert run("dedup", tmp_path / "rows.jsonl", "--near", value, "-o", out).exit_code == 2
    against = ("--against", tmp_path / "rows.jsonl", "-o", out)
    assert run("decontaminate", tmp_path / "rows.jsonl", *against, "--min-coverage", value).exit_code == 2
    assert not out.exists()


def test_a_threshold_of_one_is_equality_of_shingles(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [ROWS[0], ROWS[0] | {"output": "so it is  0"}, ROWS[1]])
    assert run("dedup", tmp_path / "rows.jsonl", "--near", "1", "-o", tmp_path / "out.jsonl").exit_code == 0
    assert len(read_table(tmp_path / "out.jsonl")) == 2


def test_an_index_that_is_damaged_or_of_another_version(tmp_path: Path) -> None:
    index = tmp_path / "kept.index"
    cf.NearIndex.build([row["instruction"] for row in ROWS], list(range(len(ROWS)))).save(index)
    whole = index.read_bytes()
    write_jsonl(tmp_path / "rows.jsonl", [{"instruction": row["instruction"]} for row in ROWS[:2]])
    command: tuple[Any, ...] = ("dedup", tmp_path / "rows.jsonl", "--near", "0.8", "--against", index)
    assert run(*command, "-o", tmp_path / "out.jsonl").exit_code == 0
    (tmp_path / "out.jsonl").unlink()
    for content in (b"", whole[:100], whole[: len(whole) // 2], whole[:-1], whole[:5000] + b"xyz" + whole[5003:]):
        index.write_bytes(content)
        refused(run(*command, "-o", tmp_path / "out.jsonl"), "kept.index")
    old = pa.ipc.open_file(pa.BufferReader(whole)).read_all()
    made = json.loads(old.schema.metadata[b"chaffinch"])
    version = next(name for name in made if "version" in name)
    write_table(old.replace_schema_metadata({"chaffinch": json.dumps(made | {version: 99})}), tmp_path / "new.arrow")
    index.write_bytes((tmp_path / "new.arrow").read_bytes())
    refused(run(*command, "-o", tmp_path / "out.jsonl"), "kept.index")
    assert not (tmp_path / "out.jsonl").exists()


def test_a_build_quarantines_or_refuses_the_same(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    rows = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    (data / "cut.jsonl.gz").write_bytes(gzip.compress(rows)[:-100])
    (data / "odd.jsonl").write_text(
        '{"instruction": "a\\u0000b", "output": "c"}\n{"instruction": "\\ud800", "output": "d"}\n'
    )
    recipe = {"name": "hostile", "sources": [{"name": name, "files": f"{name}.*"} for name in ("cut", "odd")]}
    result = cf.build(recipe, data=data, out=tmp_path / "out")
    reasons = {line["source"]: line["reason"] for line in result.quarantine.to_pylist()}
    assert set(reasons) == {"cut", "odd"}
    assert "surrogate" in reasons["odd"]
    near = recipe | {"dedup": {"near": {"min_similarity": -1}}}
    with pytest.raises(cf.RecipeError):
        cf.build(near, data=data, out=tmp_path / "out")


def test_a_file_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").mkdir()
    with pytest.raises((DataError, OSError)):
        read_table(tmp_path / "rows.jsonl")
