"""What holds for every build, whatever the data: see the issue's guarantees."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from tests.conftest import alpaca_rows, write_jsonl

SOURCES = ("a", "b", "c")
PARTS = {".chaffinch", "data", "ledger.parquet", "manifest.json", "quarantine.parquet", "report.html"}
QUOTAS = {"a": 120, "b": 60, "c": 200}


def recipe(sources: tuple[str, ...] = SOURCES, **more: Any) -> dict[str, Any]:
    return {
        "name": "laws",
        "seed": 7,
        "sources": [{"name": name, "files": f"{name}/*.jsonl"} for name in sources],
        "clean": {"lengths": [{"field": "response", "min": 2}]},
        "dedup": {
            "exact": [{"on": ["prompt", "response"], "normal_form": "case"}],
            "near": [{"on": "prompt", "min_similarity": 0.5, "ngram": 1}],
        },
        "sample": {"by": ["source"], "rows": {name: QUOTAS[name] for name in sources}},
        "format": {"template": "birbal"},
        **more,
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for number, name in enumerate(SOURCES):
        write_jsonl(folder / name / "rows.jsonl", alpaca_rows(500, seed=number))
    return folder


def mixture_bytes(out: Path) -> dict[str, bytes]:
    files = [*sorted((out / "data").rglob("*")), out / "ledger.parquet"]
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files if path.is_file()}


def build(data: Path, out: Path, values: dict[str, Any] | None = None, **more: Any) -> cf.Result:
    return cf.build(values or recipe(), data=data, out=out, **more)


@pytest.fixture
def undisturbed(data: Path, tmp_path: Path) -> dict[str, bytes]:
    return mixture_bytes(build(data, tmp_path / "undisturbed").out)


def test_no_row_vanishes(data: Path, tmp_path: Path) -> None:
    result = build(data, tmp_path / "out")
    kept = result.table["row_id"].to_pylist()
    removed = result.ledger["row_id"].to_pylist()
    assert len(kept) == sum(QUOTAS.values())
    assert len({*kept, *removed}) == len(kept) + len(removed) == 1500
    for stage in result.summary["stages"]:
        assert stage["rows_in"] == stage["rows_out"] + sum(stage["removed"].values())
    for after, before in zip(result.summary["stages"][1:], result.summary["stages"], strict=False):
        assert after["rows_in"] == before["rows_out"]


def test_every_witness_was_kept_by_its_stage(data: Path, tmp_path: Path) -> None:
    ledger = build(data, tmp_path / "out").ledger.to_pylist()
    duplicates = [row for row in ledger if row["stage"] == "dedup"]
    assert {row["reason"] for row in duplicates} == {"duplicate of prompt+response", "near duplicate of prompt"}
    gone = {row["row_id"] for row in ledger if row["stage"] in {"clean", "dedup"}}
    assert not [row for row in duplicates if row["witness"] in gone]


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_the_same_bytes_for_any_number_of_threads(
    data: Path, tmp_path: Path, undisturbed: dict[str, bytes], threads: int
) -> None:
    assert mixture_bytes(build(data, tmp_path / "out", threads=threads).out) == undisturbed


@pytest.mark.parametrize("seed", range(3))
def test_the_same_bytes_for_shuffled_and_split_files(
    data: Path, tmp_path: Path, undisturbed: dict[str, bytes], seed: int
) -> None:
    chance = random.Random(seed)
    shuffled = tmp_path / "shuffled"
    for name in SOURCES:
        lines = (data / name / "rows.jsonl").read_text().splitlines(keepends=True)
        chance.shuffle(lines)
        cuts = [0, *sorted(chance.sample(range(len(lines)), 4)), len(lines)]
        parts = [lines[start:end] for start, end in pairwise(cuts)]
        chance.shuffle(parts)
        (shuffled / name).mkdir(parents=True)
        for number, part in enumerate(parts):
            (shuffled / name / f"part{number}.jsonl").write_text("".join(part))
    assert mixture_bytes(build(shuffled, tmp_path / "out").out) == undisturbed


def test_adding_a_source_leaves_the_others_picks_as_they_were(data: Path, tmp_path: Path) -> None:
    two = build(data, tmp_path / "two", recipe(("a", "b"))).table
    three = build(data, tmp_path / "three").table
    before = two["row_id"].to_pylist()
    after = [row for row in three["row_id"].to_pylist() if not row.startswith("c/")]
    assert before == after


def test_removing_an_input_and_adding_it_again_changes_nothing(
    data: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    out, aside = tmp_path / "out", tmp_path / "aside.jsonl"
    more = data / "a" / "more.jsonl"
    write_jsonl(more, alpaca_rows(50, seed=99))
    build(data, out)
    shutil.move(more, aside)
    assert mixture_bytes(build(data, out).out) == undisturbed


def test_a_larger_quota_keeps_the_smaller_ones_rows(data: Path, tmp_path: Path) -> None:
    small = set(build(data, tmp_path / "small").table["row_id"].to_pylist())
    larger = build(data, tmp_path / "large", set={"sample.rows.a": 200})
    assert small < set(larger.table["row_id"].to_pylist())


def test_a_new_quota_decides_nothing_but_the_sample_again(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "out")
    again = build(data, tmp_path / "out", set={"sample.rows.a": 10})
    cached = {stage["stage"]: stage["cached"] for stage in again.summary["stages"]}
    assert cached == {"read": True, "clean": True, "dedup": True, "sample": False}


def test_a_shortfall_is_an_error_that_names_the_stratum(data: Path, tmp_path: Path) -> None:
    with pytest.raises(cf.DataError, match=r"b.*100,?000[\s\S]*hint:"):
        build(data, tmp_path / "out", set={"sample.rows.b": 100_000})
    assert not (tmp_path / "out" / "manifest.json").exists()


def test_killed_at_any_moment_it_builds_the_same_the_next_time(
    data: Path, tmp_path: Path, undisturbed: dict[str, bytes]
) -> None:
    script = "import sys, json, chaffinch as cf\ncf.build(json.loads(sys.argv[1]), data=sys.argv[2], out=sys.argv[3])\n"
    import json

    command = [sys.executable, "-c", script, json.dumps(recipe()), str(data)]
    started = time.perf_counter()
    subprocess.run([*command, str(tmp_path / "timed")], check=True)
    whole = time.perf_counter() - started
    out, chance = tmp_path / "out", random.Random(0)
    killed = 0
    for _ in range(20):
        started = time.perf_counter()
        process = subprocess.Popen([*command, str(out)])
        try:
            process.wait(chance.uniform(0.2, 1.0) * whole)
            # The machine has become faster, or most of the build is cached.
            whole = min(whole, time.perf_counter() - started)
        except subprocess.TimeoutExpired:
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
            process.wait()
        if (out / "manifest.json").exists():
            assert mixture_bytes(out) == undisturbed
            shutil.rmtree(out)
    assert killed > 5
    assert mixture_bytes(build(data, out).out) == undisturbed
    assert not [path for path in out.glob("*") if path.name not in PARTS]
