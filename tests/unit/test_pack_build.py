"""A recipe's mixture as packs: every kept row is in them, and the manifest and the report tell how full they are."""

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import chaffinch as cf
from tests.conftest import write_jsonl
from tests.made_tokenizers import llama2, save
from tests.unit.test_cli import CHAFFINCH

ROWS = 300


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rows = [{"instruction": f"question {at}", "input": "", "output": "word " * (at % 40) + "end"} for at in range(ROWS)]
    write_jsonl(tmp_path / "data" / "rows.jsonl", rows)
    save(tmp_path / "tokenizer", llama2())
    return tmp_path / "data"


def build(data: Path, out: Path, trainer: str, pack: dict[str, Any] | None, **more: Any) -> cf.Result:
    recipe = {
        "name": "x",
        "sources": [{"name": "a", "files": "rows.jsonl"}],
        "tokenize": {"tokenizer": str(data.parent / "tokenizer"), "max_length": 200, **more.pop("tokenize", {})},
        "pack": pack,
        "write": {"trainer": trainer},
        "validation_fraction": 0.2,
        **more,
    }
    return cf.build(recipe, data=data, out=out)


def packed(out: Path, split: str) -> list[dict[str, Any]]:
    return pa.concat_tables(map(pq.read_table, sorted((out / "trainer").glob(f"{split}-*.parquet")))).to_pylist()


@pytest.mark.parametrize("tokenize", [{}, {"max_length": 40, "too_long": "split"}])
def test_every_kept_row_is_packed(tokenize: dict[str, Any], data: Path, tmp_path: Path) -> None:
    result = build(data, tmp_path / "out", "trl", {"length": 256, "ranks": 2}, tokenize=tokenize)
    places = pq.read_table(tmp_path / "out" / "packs.parquet").to_pylist()
    for split in ("train", "validation"):
        rows = packed(tmp_path / "out", split)
        told = result.summary["pack"]["splits"][split]
        assert told["packs"] == len(rows) >= told["lower_bound"]
        assert len(rows) % 2 == 0
        assert told["fill"] == pytest.approx(told["tokens"] / (len(rows) * 256))
        table = result.split(split).to_pylist()
        mine = {(one["row_id"], one["part"]): one for one in places if one["split"] == split}
        assert {(row["row_id"], row["part"]) for row in table} == set(mine)
        assert told["documents"] == len(mine) == len(table)
        assert told["tokens"] == sum(len(row["input_ids"]) for row in table)
        for row in table:
            place = mine[row["row_id"], row["part"]]
            pack, part = rows[place["pack"]], slice(place["offset"], place["offset"] + place["tokens"])
            assert pack["input_ids"][part] == row["input_ids"]
            assert pack["labels"][part] == row["labels"]
            assert pack["position_ids"][part] == list(range(place["tokens"]))
    html = result.report.read_text(encoding="utf-8")
    assert "lower bound" in html
    assert "Documents: validation" in html


def test_equal_builds_write_equal_packs(data: Path, tmp_path: Path) -> None:
    lines = (data / "rows.jsonl").read_text().splitlines(keepends=True)
    contents = []
    for out in ("one", "two"):
        build(data, tmp_path / out, "trl", {"length": 256})
        contents.append([path.read_bytes() for path in sorted((tmp_path / out / "trainer").iterdir())])
        (data / "rows.jsonl").write_text("".join(reversed(lines)))
    assert contents[0] == contents[1]


def test_an_earlier_hand_over_does_not_stay(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    build(data, out, "torch", {"length": 256})
    assert (out / "packs.parquet").exists()
    result = build(data, out, "axolotl", None)
    assert not (out / "packs.parquet").exists()
    assert {path.suffix for path in (out / "trainer").iterdir()} == {".parquet"}
    rows = packed(out, "train")
    assert [row["input_ids"] for row in rows] == result.table["input_ids"].to_pylist()
    assert [row["labels"] for row in rows] == result.table["labels"].to_pylist()


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"tokenize": None, "pack": {"length": 256}}, "write.trainer: trl takes tokens\nhint: "),
        ({"pack": {"length": 100}}, "tokenize.max_length: documents have up to 200 tokens, a pack holds 100\nhint: "),
    ],
)
def test_recipes_that_cannot_be_packed_are_refused(keys: dict[str, Any], said: str, data: Path, tmp_path: Path) -> None:
    tokenize = {"tokenizer": str(data.parent / "tokenizer"), "max_length": 200}
    recipe = {"name": "x", "sources": [{"name": "a", "files": "rows.jsonl"}], "write": {"trainer": "trl"}}
    with pytest.raises(cf.RecipeError) as refused:
        cf.build({**recipe, "tokenize": tokenize, **keys}, data=data, out=tmp_path / "out")
    assert said in str(refused.value)


def run(*words: Any) -> subprocess.CompletedProcess[str]:
    command = [*CHAFFINCH, *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_file_of_tokens_is_packed(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    rows = [generator.integers(1, 99, n).tolist() for n in generator.integers(0, 80, 200)]
    write_jsonl(tmp_path / "rows.jsonl", [{"input_ids": ids, "labels": ids} for ids in rows])
    out = tmp_path / "out"
    done = run("pack", tmp_path / "rows.jsonl", "--length", 64, "--ranks", 3, "-o", out, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    ledger = pq.read_table(out / "ledger.parquet").to_pylist()
    places = pq.read_table(out / "packs.parquet").to_pylist()
    assert sorted(row["row_id"] for row in [*ledger, *places]) == sorted(f"rows.jsonl/{at}" for at in range(200))
    for row in ledger:
        length = len(rows[int(row["row_id"].split("/")[1])])
        expected = "empty" if not length else "no_labels" if length == 1 else "longer_than_a_pack"
        assert (row["stage"], row["reason"]) == ("pack", expected)
        assert not 2 <= length <= 64
    packs = packed(out, "train")
    assert len(packs) == told["pack"]["splits"]["train"]["packs"]
    for place in places:
        ids = rows[int(place["row_id"].split("/")[1])]
        assert packs[place["pack"]]["input_ids"][place["offset"] : place["offset"] + place["tokens"]] == ids
    again = run("pack", tmp_path / "rows.jsonl", "--length", 64, "--format", "torch", "-o", out)
    assert again.returncode == 0, again.stderr
    assert "lower bound" in again.stdout
    assert {path.suffix for path in (out / "trainer").iterdir()} == {".bin", ".arrow"}


def test_a_file_of_text_is_tokenised_and_packed(data: Path, tmp_path: Path) -> None:
    file, out, tokenizer = data / "rows.jsonl", tmp_path / "out", tmp_path / "tokenizer"
    options = ["--tokenizer", tokenizer, "--template", "alpaca", "--length", 150, "--json"]
    done = run("pack", file, *options, "-o", out)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["stages"]
    assert [stage["stage"] for stage in told] == ["tokenize", "pack"]
    assert told[0]["rows_in"] == ROWS == told[1]["rows_out"] + sum(told[0]["removed"].values())
    expected = cf.tokenize(cf.files.read_table(file), tokenizer, template="alpaca", max_length=150)
    assert min(len(expected.table), len(expected.dropped)) > 10
    assert told[0]["removed"] == {"too_long": len(expected.dropped)}
    places = {one["row_id"]: one for one in pq.read_table(out / "packs.parquet").to_pylist()}
    ledger = pq.read_table(out / "ledger.parquet").to_pylist()
    assert {(row["row_id"], row["stage"], row["reason"]) for row in ledger} == {
        (f"rows.jsonl/{row}", "tokenize", "too_long") for row in expected.dropped["row"].to_pylist()
    }
    packs = packed(out, "train")
    for row in expected.table.to_pylist():
        place = places.pop(f"rows.jsonl/{row['row']}")
        part = slice(place["offset"], place["offset"] + place["tokens"])
        assert packs[place["pack"]]["input_ids"][part] == row["input_ids"]
        assert packs[place["pack"]]["labels"][part] == row["labels"]
    assert not places


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--length", 10**13], "--length"),
        (["--length", 63, "--format", "llama-factory"], "a multiple of 8"),
        (["--length", 64, "--too-long", "split"], "are for text"),
    ],
)
def test_lengths_that_cannot_be_are_told(options: list[Any], said: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [{"input_ids": [1, 2], "labels": [1, 2]}])
    done = run("pack", tmp_path / "rows.jsonl", *options, "-o", tmp_path / "out")
    assert done.returncode == 2
    assert said in done.stderr
    assert "pydantic" not in done.stderr


def test_several_files_are_packed_as_one(data: Path, tmp_path: Path) -> None:
    lines = (data / "rows.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "more").mkdir()
    (tmp_path / "a.jsonl").write_text("".join(lines[:20]))
    (tmp_path / "more" / "b.jsonl").write_text("".join(lines[20:]))
    options = ["--tokenizer", tmp_path / "tokenizer", "--template", "alpaca", "--length", 150]
    assert run("pack", data / "rows.jsonl", *options, "-o", tmp_path / "one").returncode == 0
    parts = [tmp_path / "a.jsonl", tmp_path / "more" / "b.jsonl"]
    assert run("pack", *parts, *options, "-o", tmp_path / "two").returncode == 0
    assert packed(tmp_path / "one", "train") == packed(tmp_path / "two", "train")
    for name in ("packs.parquet", "ledger.parquet"):
        one, two = (pq.read_table(tmp_path / out / name)["row_id"].to_pylist() for out in ("one", "two"))
        at = [int(row_id.removeprefix("rows.jsonl/")) for row_id in one]
        assert two == [f"a.jsonl/{row}" if row < 20 else f"b.jsonl/{row - 20}" for row in at]
    twice = run("pack", parts[0], tmp_path / "more" / ".." / "a.jsonl", *options, "-o", tmp_path / "three")
    assert "is given twice\nhint: " in twice.stderr
    write_jsonl(tmp_path / "more" / "a.jsonl", [{"input_ids": [1, 2], "labels": [1, 2]}])
    write_jsonl(tmp_path / "b.jsonl", [{"input_ids": "x", "labels": [1, 2]}])
    tokens = ["pack", tmp_path / "more" / "a.jsonl", "--length", 64, "-o", tmp_path / "four"]
    assert "have other columns: " in run(*tokens, tmp_path / "b.jsonl").stderr
    write_jsonl(tmp_path / "a.jsonl", [{"input_ids": [3, 4, 5], "labels": [3, 4, 5]}])
    assert run(*tokens, tmp_path / "a.jsonl").returncode == 0
    ids = pq.read_table(tmp_path / "four" / "packs.parquet")["row_id"].to_pylist()
    assert sorted(ids) == sorted([f"{tmp_path}/more/a.jsonl/0", f"{tmp_path}/a.jsonl/0"])


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"input_ids": [1, 2], "labels": [1]}], "row 0 has 2 input_ids and 1 labels"),
        ([{"input_ids": [1, 2], "labels": [1, 2**40]}], "row 0: labels holds 1099511627776"),
        ([{"input_ids": [1, 2]}], "no column labels"),
        ([{"input_ids": [], "labels": []}], r"none of 1 rows can be packed (empty: 1)"),
        ([], "no column input_ids"),
    ],
)
def test_what_cannot_be_packed_is_refused(rows: list[dict[str, Any]], said: str, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", rows)
    done = run("pack", tmp_path / "rows.jsonl", "--length", 64, "-o", tmp_path / "out")
    assert done.returncode == 1
    assert said in done.stderr
    assert "hint: " in done.stderr
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_killed_while_writing(tmp_path: Path) -> None:
    ids = np.arange(1, 1001, dtype=np.int32)
    offsets = pa.array(np.arange(0, 20_001) * 1000, pa.int32())
    tokens = pa.ListArray.from_arrays(offsets, pa.array(np.tile(ids, 20_000)))
    pq.write_table(pa.table({"input_ids": tokens, "labels": tokens}), tmp_path / "rows.parquet")
    out = tmp_path / "out"
    command = [*CHAFFINCH, "pack", str(tmp_path / "rows.parquet"), "--length", "2048", "-o"]
    process = subprocess.Popen([*command, str(out)], stderr=subprocess.DEVNULL)
    while process.poll() is None and not list(out.glob(".chaffinch/staging/trainer/*")):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert {path.name for path in out.iterdir()} == {".chaffinch"}
    done = subprocess.run([*command, str(out)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(out / "trainer").num_rows == 10_000
