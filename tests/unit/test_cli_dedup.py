import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from chaffinch.cli import app
from tests.conftest import write_jsonl

SENTENCE = "the quick brown fox jumps over the lazy dog and then sleeps for the rest of the"
ROWS = [
    {"id": "a", "instruction": f"{SENTENCE} day", "output": "yes", "score": 1, "more": [1, {"x": None}]},
    {"id": "b", "instruction": f"{SENTENCE}  DAY", "output": "Yes", "score": 2, "more": None},
    {"id": "c", "instruction": f"{SENTENCE} week", "output": "yes", "score": 3, "more": "x"},
    {"id": "d", "instruction": f"{SENTENCE} week", "output": "no", "score": 4, "more": 5},
]


def run(*arguments: object) -> Any:
    return CliRunner().invoke(app, ["dedup", *(str(argument) for argument in arguments)])


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def ids(path: Path) -> list[str]:
    return [row["id"] for row in read(path)]


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    return tmp_path / "rows.jsonl"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out.jsonl"


def test_exact_then_near_with_all_columns(rows: Path, out: Path) -> None:
    gone = out.with_name("gone.jsonl")
    result = run(rows, "--priority", "score", "-o", out, "--removed", gone)
    assert result.exit_code == 0, result.stderr
    assert read(out) == [ROWS[0], ROWS[3]]
    evidence = [
        {"removed_by": "exact", "witness": 0, "witness_id": None, "similarity": None},
        {"removed_by": "near", "witness": 0, "witness_id": None, "similarity": 13 / 15},
    ]
    assert read(gone) == [ROWS[1] | evidence[0], ROWS[2] | evidence[1]]
    assert result.stdout.splitlines()[:6] == [
        "rows          4",
        "compared      instruction, output",
        "exact         1",
        "near          1",
        "largest group 3",
        "kept          2 (50.0 %)",
    ]
    assert "exact:       3 rows, 1 removed, " in result.stderr
    assert "near:        2 rows, 1 removed, " in result.stderr


def test_one_step_alone(rows: Path, out: Path) -> None:
    assert run(rows, "--exact", "none", "-o", out).exit_code == 0
    assert ids(out) == ["a", "b", "c", "d"]
    assert run(rows, "--near", "1", "--priority", "score", "-o", out).exit_code == 0
    assert ids(out) == ["a", "c", "d"]
    assert run(rows, "--near", "0.8", "--on", "instruction", "--priority", "-score", "-o", out).exit_code == 0
    assert ids(out) == ["d"]


def test_each_column_has_a_threshold_of_its_own(tmp_path: Path, out: Path) -> None:
    rows = tmp_path / "alike.jsonl"
    # Prompts 13 of 15 shingles alike, answers 12 of 14.
    write_jsonl(
        rows,
        [
            {"instruction": f"{SENTENCE} day", "output": SENTENCE},
            {"instruction": f"{SENTENCE} week", "output": f"{SENTENCE[:-3]} a"},
        ],
    )
    for near, stay in ((["0.86", "0.85"], 1), (["0.87", "0.85"], 2), (["0.86", "0.86"], 2)):
        given = [
            part
            for name, one in zip(["instruction", "output"], near, strict=True)
            for part in ("--on", name, "--near", one)
        ]
        result = run(rows, *given, "-o", out)
        assert result.exit_code == 0, result.stderr
        assert len(read(out)) == stay
    assert run(rows, "--on", "output", "--near", "0.8", "--near", "0.9", "-o", out).exit_code == 2


def test_an_exact_duplicate_of_a_near_one_points_to_the_row_that_stays(rows: Path, out: Path) -> None:
    gone = out.with_name("gone.jsonl")
    assert (
        run(rows, "--on", "instruction", "--priority", "-score", "-o", out, "--removed", gone, "--id", "id").exit_code
        == 0
    )
    evidence = [
        (row["id"], row["removed_by"], row["witness"], row["witness_id"], row["similarity"]) for row in read(gone)
    ]
    assert evidence == [("a", "exact", 3, "d", 13 / 15), ("b", "near", 3, "d", 13 / 15), ("c", "exact", 3, "d", None)]


def test_new_against_old_through_an_index(rows: Path, out: Path, tmp_path: Path) -> None:
    old, new, index, gone = (tmp_path / name for name in ("old.jsonl", "new.jsonl", "kept.index", "gone.jsonl"))
    write_jsonl(old, ROWS[:1])
    write_jsonl(new, ROWS[1:])
    assert run(old, "-o", out, "--save-index", index, "--id", "id").exit_code == 0
    result = run(new, "-o", out, "--against", index, "--save-index", index, "--id", "id", "--removed", gone, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {
        "file": str(new),
        "out": str(out),
        "rows": 3,
        "on": ["instruction", "output"],
        "exact": 0,
        "near": 2,
        "kept": 1,
        "largest_group": 0,
        "warnings": [],
    }
    assert ids(out) == ["d"]
    assert [(row["witness"], row["witness_id"], row["similarity"]) for row in read(gone)] == [
        (None, "a", 1.0),
        (None, "a", 13 / 15),
    ]
    assert run(rows, "-o", out, "--against", index, "--near", "0.8").exit_code == 0
    assert ids(out) == []
    result = run(rows, "-o", out, "--against", index, "--near", "0.8", "--ngram", "4")
    assert result.exit_code == 1
    assert "made with ngram=5, not 4\nhint: " in result.stderr


@pytest.mark.parametrize("suffix", [".parquet", ".arrow", ".csv", ".json", ".jsonl.gz"])
def test_any_format(tmp_path: Path, suffix: str, rows: Path) -> None:
    out = tmp_path / f"out{suffix}"
    assert run(rows, "--priority", "score", "-o", out).exit_code == 0
    back = tmp_path / "back.jsonl"
    assert run(out, "--exact", "none", "-o", back).exit_code == 0
    assert ids(back) == ["a", "d"]
    if suffix == ".csv":
        with out.open(encoding="utf-8", newline="") as lines:
            assert [row["score"] for row in csv.DictReader(lines)] == ["1", "4"]
        assert run(out, "--priority", "-score", "--near", "0.1", "--on", "instruction", "-o", back).exit_code == 0
        assert ids(back) == ["d"]


def test_conversations_are_compared_by_what_is_said(tmp_path: Path, out: Path) -> None:
    def row(name: str, last: str) -> dict[str, Any]:
        turns = [{"role": "user", "content": SENTENCE}, {"role": "assistant", "content": f"{SENTENCE} {last}"}]
        return {"id": name, "messages": turns, "output": name}

    write_jsonl(tmp_path / "chats.jsonl", [row("a", "day"), row("b", "week"), row("c", "day")])
    result = run(tmp_path / "chats.jsonl", "-o", out, "--json")
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["on"] == ["messages"]
    assert len(ids(out)) == 1


def test_a_giant_group_is_an_alarm(tmp_path: Path, out: Path) -> None:
    pq.write_table(pa.table({"text": ["the same in all rows"] * 1200}), tmp_path / "rows.parquet")
    result = run(tmp_path / "rows.parquet", "-o", out)
    assert result.exit_code == 0
    assert "warning: one row stands for 1,200 of 1,200 rows that are alike in the columns text: look" in result.stderr


def test_passages_that_many_rows_share(tmp_path: Path) -> None:
    template = " ".join(f"word{at}" for at in range(20))
    write_jsonl(tmp_path / "rows.jsonl", [{"text": f"{at} {template}\x1b[2J {at}"} for at in range(30)])
    result = run(tmp_path / "rows.jsonl", "--spans")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"text: 1 passages\n30 rows       {template}␛[2J\n"
    values = json.loads(run(tmp_path / "rows.jsonl", "--spans", "--json").stdout)
    assert values["spans"]["text"] == [{"text": f"{template}\x1b[2J", "words": 20, "rows": 30}]


@pytest.mark.parametrize(
    "options",
    [
        ["--near", "0"],
        ["--near", "1.5"],
        ["--near", "nan"],
        ["--near", "-1"],
        ["--exact", "nfc"],
        ["--unit", "token"],
        ["--ngram", "0"],
        ["--save-index", "x", "--near", "0.8"],
        ["--exact", "none", "--against", "x"],
        ["--spans"],
        ["--on", "output", "--on", "output", "--near", "0.7", "--near", "0.9"],
    ],
)
def test_wrong_usage_is_2(rows: Path, out: Path, options: list[str]) -> None:
    result = run(rows, "-o", out, *options)
    assert result.exit_code == 2
    assert not out.exists()
    assert run(rows).exit_code == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--on", "prompt"], "no column 'prompt'\nhint: there is id, instruction"),
        (["--id", "number"], "no column 'number'"),
        (["--priority", "-rank"], "no column 'rank'"),
        (["--priority", "instruction"], "does not hold numbers"),
        (["--against", "rows.jsonl"], "not a near index"),
        (["--on", "id", "--on", "instruction", "--on", "output", "--on", "score", "--on", "more"], "1 to 4"),
    ],
)
def test_what_is_wrong_in_the_data_is_1_with_a_hint(rows: Path, out: Path, options: list[str], message: str) -> None:
    result = run(rows, "-o", out, *[str(rows) if option == "rows.jsonl" else option for option in options])
    assert result.exit_code == 1, result.stderr
    assert message in result.stderr
    assert "\nhint: " in result.stderr
    assert not out.exists()


def test_columns_of_the_evidence_are_not_overwritten(tmp_path: Path, out: Path) -> None:
    write_jsonl(tmp_path / "rows.jsonl", [{"text": "x", "witness": 1}])
    result = run(tmp_path / "rows.jsonl", "-o", out)
    assert result.exit_code == 1
    assert "a column witness already\nhint: " in result.stderr
    assert run(tmp_path / "rows.jsonl", "-o", out.with_suffix(".xls")).exit_code == 1
    write_jsonl(tmp_path / "none.jsonl", [{"a": 1, "b": 2}])
    assert "no column is known to hold texts\nhint: name it with --on" in run(tmp_path / "none.jsonl", "-o", out).stderr


def test_a_file_without_rows(tmp_path: Path, out: Path) -> None:
    pq.write_table(pa.table({"text": pa.array([], pa.string())}), tmp_path / "rows.parquet")
    result = run(tmp_path / "rows.parquet", "-o", out, "--removed", tmp_path / "gone.jsonl")
    assert result.exit_code == 0, result.stderr
    assert read(out) == []


def test_no_output_is_written_over_what_is_read_or_written(rows: Path, out: Path, tmp_path: Path) -> None:
    before = rows.read_bytes()
    index = tmp_path / "." / out.name
    for options in (
        ["-o", rows],
        ["-o", out, "--removed", rows],
        ["-o", out, "--removed", out],
        ["-o", out, "--near", 0.8, "--save-index", index, "--id", "id"],
    ):
        result = run(rows, *options)
        assert result.exit_code == 1
        assert "would be written" in result.stderr
        assert "\nhint: " in result.stderr
    assert rows.read_bytes() == before
    assert not out.exists()


def test_a_file_that_is_not_there_has_a_hint(tmp_path: Path, rows: Path, out: Path) -> None:
    for options in (
        [tmp_path / "none.jsonl", "-o", out],
        [rows, "-o", out, "--near", 0.8, "--against", tmp_path / "none"],
    ):
        result = run(*options)
        assert (result.exit_code, "\nhint: " in result.stderr) == (1, True)


def test_texts_that_json_alone_can_hold(tmp_path: Path, out: Path) -> None:
    path = tmp_path / "odd.jsonl"
    path.write_text('{"messages": [{"content": "a \\ud800 b"}]}\n{"messages": [{"content": "a ? b"}]}\n')
    assert run(path, "-o", out).exit_code == 0
    assert out.read_text() == path.read_text()
