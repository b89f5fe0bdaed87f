import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from chaffinch.cli import app
from tests.conftest import alpaca_rows, write_jsonl

RECIPE = """
name: small
sources:
  - {name: a, files: a/*.jsonl}
  - {name: b, files: b/*.jsonl, optional: true}
dedup: {exact: [{on: [prompt, response]}]}
sample: {by: source, rows: {a: 50}}
"""


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def place(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "data" / "a" / "rows.jsonl", alpaca_rows(200, seed=1))
    (tmp_path / "recipe.yaml").write_text(RECIPE, encoding="utf-8")
    return tmp_path


def arguments(verb: str, place: Path, *more: object) -> list[object]:
    return [verb, place / "recipe.yaml", "--data", place / "data", "--out", place / "out", *more]


def test_a_build_ends_with_its_numbers_and_its_paths(place: Path) -> None:
    result = run(*arguments("build", place))
    assert result.exit_code == 0, result.stderr
    assert "kept          50 of 200 rows (25.0 %)\n" in result.stdout
    assert f"mixture       {place / 'out' / 'data'}\n" in result.stdout
    assert f"report        {place / 'out' / 'report.html'}\n" in result.stdout
    assert [line.split()[0] for line in result.stdout.splitlines() if line][:4] == [
        "stage",
        result.stdout.split("\n")[1],
        "read",
        "clean",
    ]
    assert "sample:      50 rows, " in result.stderr
    assert (place / "out" / "report.html").is_file()


def test_json_is_one_object_and_the_rest_goes_to_stderr(place: Path) -> None:
    result = run(*arguments("build", place, "--json", "--set", "sample.rows.a=20", "--threads", 1))
    assert result.exit_code == 0, result.stderr
    values = json.loads(result.stdout)
    assert values["kept"] == 20
    assert Path(values["report"]).is_file()
    assert values["stages"][0]["rows_in"] == 200
    assert sum(output["rows"] for output in values["outputs"]) == 20


def test_warnings_go_to_stderr(place: Path) -> None:
    result = run(*arguments("build", place))
    assert "warning: " in result.stderr
    assert "warning: " not in result.stdout


def test_every_row_of_a_build_has_a_story(place: Path) -> None:
    run(*arguments("build", place))
    import chaffinch as cf

    result = cf.Result(place / "out")
    for row_id in [*result.table["row_id"].to_pylist()[:3], *result.ledger["row_id"].to_pylist()[:3]]:
        story = json.loads(run("why", place / "out", row_id, "--json").stdout)
        assert story["row_id"] == row_id


def test_diff_of_two_quotas(place: Path) -> None:
    run(*arguments("build", place))
    other = [
        "build",
        place / "recipe.yaml",
        "--data",
        place / "data",
        "--out",
        place / "other",
        "--set",
        "sample.rows.a=30",
    ]
    assert run(*other).exit_code == 0
    values = json.loads(run("diff", place / "out", place / "other", "--json").stdout)
    assert (values["common"], values["gained"]["rows"], values["lost"]["rows"]) == (30, 0, 20)
    assert {line["stage"] for line in values["lost"]["reasons"]} == {"sample"}
    assert [change["key"] for change in values["recipe"]] == ["sample.0.rows.a"]


def test_a_plan_reads_nothing_and_knows_what_was_read(place: Path) -> None:
    before = json.loads(run(*arguments("plan", place, "--json")).stdout)
    assert not (place / "out").exists()
    assert [source["cached"] for source in before["sources"]] == [0, 0]
    run(*arguments("build", place))
    after = json.loads(run(*arguments("plan", place, "--json")).stdout)
    assert [(source["cached"], source["rows"]) for source in after["sources"]] == [(1, 200), (0, 0)]
    shown = run(*arguments("plan", place)).stdout
    size = (place / "data" / "a" / "rows.jsonl").stat().st_size
    assert "recipe        small\n" in shown
    assert f"to read       0 bytes of {size / 1024:.1f} KiB\n" in shown
    assert (before["decided"], after["decided"]) == ([], ["clean", "dedup", "sample"])
    changed = json.loads(run(*arguments("plan", place, "--json", "--set", "sample.rows.a=20")).stdout)
    assert changed["decided"] == ["clean", "dedup"]
    assert "dedup" in shown


@pytest.mark.parametrize(
    ("more", "code", "message"),
    [
        (["--set", "sed=1"], 2, "hint: did you mean `seed`?"),
        (["--set", "sample.rows.a=-1"], 2, "error: "),
        (["--set", "sources.a.files=nothing/*.jsonl"], 1, "hint: "),
        (["--set", "sources.a.registry=Limma"], 2, "source a: no data set 'Limma'"),
        (["--set", "select={tasks: {file: none.txt}}"], 2, "select.tasks.file: no file"),
        (["--threads", "0"], 2, ""),
    ],
)
def test_what_cannot_be_built(place: Path, more: list[str], code: int, message: str) -> None:
    result = run(*arguments("build", place, *more))
    assert result.exit_code == code
    assert result.stdout == ""
    assert message in result.stderr
    assert "read:" not in result.stderr
    assert not (place / "out" / "manifest.json").exists()


def test_a_missing_data_folder_is_1(place: Path) -> None:
    result = run("build", place / "recipe.yaml", "--data", place / "nowhere", "--out", place / "out")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "nowhere" in result.stderr
    assert not (place / "out").exists()


def test_an_interrupted_build_says_so_and_looks_unfinished(place: Path) -> None:
    write_jsonl(place / "data" / "a" / "more.jsonl", alpaca_rows(200_000, seed=2))
    command = [sys.executable, "-m", "chaffinch", *map(str, arguments("build", place))]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (place / "out" / ".chaffinch" / "staging").is_dir() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    assert err.endswith("interrupted: what was read and decided so far is kept, the same command goes on from there\n")
    assert not (place / "out" / "manifest.json").exists()
