"""Task files of Natural Instructions as whole files: one row an instance, in every schema."""

import gzip
import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from chaffinch.cli import app
from chaffinch.errors import DataError
from chaffinch.files import read_table
from tests.conftest import write_jsonl

DEFINITION = (
    "Given a sentence, say whether what it tells of can be seen by someone who stands where the speaker stands."
)
INPUTS = [
    "the grey goose of the mill lays nine eggs in the first week of a wet and windy spring",
    "The grey goose of the mill lays nine eggs in the first week of a wet and windy  spring",
    "what the miller thinks of his goose nobody knows but the miller and perhaps the old goose",
]
RELEASED = {
    "Contributors": ["A"],
    "URL": [float("nan")],
    "Categories": ["Grounding"],
    "Definition": [DEFINITION],
    "Input_language": ["English"],
    "Output_language": ["English"],
    "Positive Examples": [{"input": "x", "output": "y", "explanation": "z"}],
    "Instances": [
        {"id": f"task7-{at}", "input": text, "output": ["Yes"], "seen": at} for at, text in enumerate(INPUTS)
    ],
    "Instance License": ["MIT"],
}
EARLY = {
    "Definition": DEFINITION,
    "Positive Examples": [],
    "Instances": [{"input": text, "output": "Yes"} for text in INPUTS],
}
FIRST = {
    "Title": "Seeing",
    "Prompt": "Say yes or no.",
    "Definition": DEFINITION,
    "Things to Avoid": "-",
    "Emphasis & Caution": "-",
    "Instances": [{"input": text, "output": ["Yes"]} for text in INPUTS],
    "Examples": {"Positive Examples": []},
}
OF_TASK = {"task": "task7_seen", "instruction": DEFINITION}
MORE = {"category": "Grounding", "language": "English", "licence": "MIT"}


def write(path: Path, task: dict[str, Any]) -> Path:
    text = json.dumps(task, indent=4)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return path


def run(verb: str, *arguments: object) -> Result:
    return CliRunner().invoke(app, [verb, *map(str, arguments)])


@pytest.mark.parametrize("suffix", [".json", ".json.gz"])
@pytest.mark.parametrize(
    ("task", "of_task", "own"),
    [
        (RELEASED, OF_TASK | MORE, [{"id": f"task7-{at}", "seen": at} for at in range(3)]),
        (EARLY, OF_TASK, [{}] * 3),
        (FIRST, OF_TASK, [{}] * 3),
    ],
)
def test_each_instance_is_a_row(
    tmp_path: Path, task: dict[str, Any], of_task: dict[str, Any], own: list[dict[str, Any]], suffix: str
) -> None:
    table = read_table(write(tmp_path / f"task7_seen{suffix}", task))
    assert table.to_pylist() == [
        of_task | {"input": text, "output": ["Yes"]} | more for text, more in zip(INPUTS, own, strict=True)
    ]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet", ".arrow", ".csv", ".tsv"])
def test_dedup_writes_its_rows_in_every_format(tmp_path: Path, suffix: str) -> None:
    file = write(tmp_path / "task7_seen.json", RELEASED)
    result = run("dedup", file, "--id", "id", "-o", tmp_path / f"out{suffix}", "--json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert (told["rows"], told["kept"], told["on"]) == (3, 2, ["instruction", "input", "output"])
    rows = read_table(tmp_path / f"out{suffix}")
    assert {"task", "category", "language", "licence", "instruction", "input", "output", "id", "seen"} == {
        *rows.column_names
    }
    assert len({*rows["input"].to_pylist()} & {*INPUTS}) == 2, "rows differ in the input, whatever their definition"
    if suffix == ".parquet":
        assert pq.read_table(tmp_path / "out.parquet")["output"].to_pylist() == [["Yes"], ["Yes"]]


def test_decontaminate_looks_at_the_instances(tmp_path: Path) -> None:
    file = write(tmp_path / "task7_seen.json", EARLY)
    write_jsonl(tmp_path / "items.jsonl", [{"question": INPUTS[2]}])
    out = tmp_path / "out.jsonl"
    result = run("decontaminate", file, "--against", tmp_path / "items.jsonl", "-o", out, "--json")
    assert result.exit_code == 0, result.output
    assert [json.loads(line)["input"] for line in out.read_text().splitlines()] == INPUTS[:2]


def test_a_format_that_cannot_hold_a_row_says_which_can(tmp_path: Path) -> None:
    task = EARLY | {"Instances": [{"input": "two\nlines", "output": "Yes"}]}
    result = run("dedup", write(tmp_path / "task7.json", task), "-o", tmp_path / "out.tsv")
    assert result.exit_code == 1
    assert "hint: no cell may hold a tab or a line break, and no row be empty; write .csv or .jsonl" in result.stderr
    assert not (tmp_path / "out.tsv").exists()


def test_an_instance_that_is_no_row_is_told_of(tmp_path: Path) -> None:
    task = EARLY | {"Instances": [{"input": "a", "output": "b"}, {"input": "c"}, 3]}
    with pytest.raises(DataError, match=r"task7\.json: /Instances/1: .*, one of 2 bad records\nhint: mend or remove"):
        read_table(write(tmp_path / "task7.json", task))


def test_no_instances_are_no_rows(tmp_path: Path) -> None:
    assert len(read_table(write(tmp_path / "task7.json", EARLY | {"Instances": []}))) == 0
