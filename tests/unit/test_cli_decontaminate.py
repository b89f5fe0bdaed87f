import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from typer.testing import CliRunner, Result

from chaffinch.cli import app
from chaffinch.files import read_table, write_table
from tests.conftest import write_jsonl

ITEM = "How many eggs does the grey goose of the mill lay in the first week of a wet spring?"
ROWS = [
    {"instruction": "Say", "input": "hay", "output": "hay", "score": 1.5, "tags": ["a"], "meta": {"n": 1}},
    {"instruction": "Answer.", "input": ITEM.lower(), "output": "nine", "score": 2.0, "tags": [], "meta": {"m": [2]}},
    {"instruction": "Say", "input": "rye", "output": ITEM, "score": 0.5, "tags": ["b", "c"], "meta": {}},
]


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["decontaminate", *map(str, arguments)])


def told(*arguments: object) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "rows.jsonl", ROWS)
    write_jsonl(tmp_path / "items.jsonl", [{"question": ITEM, "answer": "9"}, {"question": "What is it?"}])
    write_jsonl(tmp_path / "gsm8k" / "test.jsonl", [{"question": ITEM, "answer": "9"}])
    return tmp_path


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".arrow", ".jsonl.gz", ".json.zst"])
def test_rows_that_stay_keep_every_column_in_every_format(folder: Path, suffix: str) -> None:
    write_table(read_table(folder / "rows.jsonl"), folder / f"in{suffix}")
    values = told(folder / f"in{suffix}", "--against", folder / "items.jsonl", "-o", folder / "out.jsonl")
    assert (values["rows"], values["matched"], values["kept"], values["on"]) == (3, 1, 2, ["instruction", "input"])
    assert values["sets"] == [{"name": str(folder / "items.jsonl"), "items": 2, "rows": 1, "items_found": 1}]
    kept = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    assert kept == [ROWS[0], ROWS[2]]


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".csv.gz"])
def test_delimited_text_stays_as_it_is(folder: Path, suffix: str) -> None:
    table = pa.table({"prompt": ["a 007", ITEM], "n": ["1.50", "x"]})
    write_table(table, folder / f"in{suffix}")
    told(folder / f"in{suffix}", "--against", "gsm8k", "--data", folder, "-o", folder / f"out{suffix}")
    assert read_table(folder / f"out{suffix}").to_pylist() == [{"prompt": "a 007", "n": "1.50"}]


def test_sets_are_named_with_commas_between_too(folder: Path) -> None:
    odd = folder / "a,b.jsonl"
    odd.write_text((folder / "items.jsonl").read_text())
    more = ("--data", folder, "-o", folder / "out.jsonl")
    both = told(folder / "rows.jsonl", "--against", f"gsm8k,{folder / 'items.jsonl'}", "--against", odd, *more)
    assert [one["name"] for one in both["sets"]] == ["gsm8k/test", str(folder / "items.jsonl"), str(odd)]
    once = told(folder / "rows.jsonl", "--against", "gsm8k,,gsm8k,", *more)
    assert [one["name"] for one in once["sets"]] == ["gsm8k/test"]
    unknown = run(folder / "rows.jsonl", "--against", "x" * 300 + ",gsm8k", *more)
    assert (unknown.exit_code, "\nhint: " in unknown.stderr) == (1, True)


def test_flagged_rows_stay(folder: Path) -> None:
    told(folder / "rows.jsonl", "--against", "gsm8k", "--data", folder, "--flag", "-o", folder / "out.parquet")
    flags = read_table(folder / "out.parquet").select(["evaluation_set", "evaluation_item", "coverage"]).to_pylist()
    none = dict.fromkeys(["evaluation_set", "evaluation_item", "coverage"])
    assert flags == [none, {"evaluation_set": "gsm8k/test", "evaluation_item": "0", "coverage": 1.0}, none]


def test_other_columns_and_conversations_can_be_looked_at(folder: Path) -> None:
    against = ("--against", "gsm8k", "--data", folder, "-o", folder / "out.jsonl")
    assert told(folder / "rows.jsonl", "--on", "output", *against)["matched"] == 1
    assert told(folder / "rows.jsonl", "--on", "input", "--on", "output", *against)["matched"] == 2
    turns = [{"from": "human", "value": "hi"}, {"from": "gpt", "value": ITEM, "weight": 1}]
    write_jsonl(folder / "talk.jsonl", [{"conversations": turns}, {"conversations": turns[:1]}])
    assert told(folder / "talk.jsonl", *against)["matched"] == 1
    result = run(folder / "rows.jsonl", "--on", "title", *against)
    assert result.exit_code == 1
    assert "no column 'title'\nhint: there is instruction, input" in result.output


def test_the_self_test_finds_everything_hidden_as_it_is(folder: Path) -> None:
    choices = ["the red one", "the blue one"]
    more = [
        {"question": "Which is it?", "choices": choices, "answer": "the blue one"},
        {"question": "4 + 3", "choices": ["7", "1"], "answer": "7"},
        {"question": "Is it so?"},
        {"question": ITEM, "answer": "9"},
        {"question": "我们今天去公园看很多鸟和花"},
    ]
    write_jsonl(folder / "more.jsonl", more)
    arguments = (folder / "rows.jsonl", "--against", "gsm8k", "--against", folder / "more.jsonl", "--data", folder)
    lines = told(*arguments, "--self-test", "--seed", 3)["self_test"]
    exact = [line for line in lines if line["kind"] not in ("word", "number")]
    assert [line["recall"] for line in exact] == [1.0] * 8
    assert {line["hidden"] for line in exact} == {1, 5}
    assert {line["whole"] for line in exact} == {0, 2}
    assert told(*arguments, "--self-test", "--seed", 3)["self_test"] == lines
    shown = run(*arguments, "--self-test")
    assert shown.exit_code == 0
    assert "100.0 %" in shown.output


def test_what_is_wrong_is_told_before_anything_is_written(folder: Path) -> None:
    rows, out = folder / "rows.jsonl", folder / "out.jsonl"
    for arguments, code, message in [
        ((rows, "--against", "gsm9k", "--data", folder, "-o", out), 1, "did you mean gsm8k"),
        ((rows, "--against", "gsm8k/dev", "-o", out), 2, "no split 'dev'"),
        ((rows, "--against", "mmlu", "--data", folder, "-o", out), 1, "hub:mmlu to load it from the hub"),
        (
            (rows, "--against", "gsm8k", "--data", folder, "-o", folder / "out.xlsx"),
            1,
            ".xlsx is no format that is known",
        ),
        ((rows, "--against", "gsm8k", "--data", folder), 2, "--out"),
        ((rows, "-o", out), 2, "--against"),
        ((rows, "--against", "gsm8k", "--min-coverage", "nan", "-o", out), 2, "--min-coverage"),
        ((rows, "--against", "gsm8k", "--ngram", "0", "-o", out), 2, "--ngram"),
        ((folder / "absent.jsonl", "--against", "gsm8k", "--data", folder, "-o", out), 1, "absent.jsonl"),
    ]:
        result = run(*arguments)
        assert result.exit_code == code, result.output
        assert message in result.output
        assert not out.exists()


def test_known_sets_are_listed() -> None:
    listed = told("--list")["evaluation_sets"]
    assert {"gsm8k", "mmlu", "drop"} <= {entry["name"] for entry in listed}
    assert "gsm8k" in run("--list").output


def test_rows_and_items_that_json_alone_can_hold(folder: Path) -> None:
    rows = folder / "odd.jsonl"
    rows.write_text('{"messages": [{"role": "user", "content": "a \\ud800 b"}]}\n')
    items = folder / "odd-items.jsonl"
    items.write_text(json.dumps({"question": f"What is {'7' * 5000} and a bit more than that?"}) + "\n")
    values = told(rows, "--against", items, "--out", folder / "clean.jsonl", "--self-test")
    assert (values["rows"], values["kept"]) == (1, 1)
    assert {line["kind"]: line["hidden"] for line in values["self_test"]}["number"] == 1
    assert "\\ud800" in (folder / "clean.jsonl").read_text()
    rows.write_text(f'{{"messages": {"[" * 900}1{"]" * 900}}}\n')
    assert told(rows, "--against", items, "--out", folder / "clean.jsonl")["kept"] == 1
    rows.write_text(f'{{"messages": {"[" * 9000}1{"]" * 9000}}}\n')
    result = run(rows, "--against", items, "--out", folder / "clean.jsonl")
    assert result.exit_code == 1
    assert "recursion depth exceeded" in result.stderr
    assert "\nhint: " in result.stderr


def test_a_number_out_of_range_is_told_in_a_line(folder: Path) -> None:
    result = run(folder / "rows.jsonl", "--against", "gsm8k", "-o", folder / "x.jsonl", "--min-coverage", "nan")
    assert result.exit_code == 2
    assert "--min-coverage is nan: Input should be" in result.stderr
    assert "pydantic" not in result.stderr
