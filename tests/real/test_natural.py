"""Real task files of Natural Instructions as whole files."""

import gzip
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from chaffinch.cli import app
from chaffinch.files import read_table

pytestmark = pytest.mark.real

FOLDERS = (
    "natural-instructions/tasks",
    "natural-instructions/tasks-variant",
    "natural-instructions/tasks-2021-schema",
    "natural-instructions-v1/tasks",
)


@pytest.mark.parametrize("folder", FOLDERS)
def test_rows_are_the_instances(real: Path, folder: str) -> None:
    files = sorted((real / folder).rglob("*.json*"))
    assert files
    for file in files:
        content = file.read_bytes()
        task = json.loads(gzip.decompress(content) if file.suffix == ".gz" else content)
        definition = task["Definition"]
        table = read_table(file)
        inputs = [instance["input"] for instance in task["Instances"]]
        assert table["input"].to_pylist() == inputs
        assert {*table["instruction"].to_pylist()} == {definition if isinstance(definition, str) else definition[0]}
        outputs = [instance["output"] for instance in task["Instances"]]
        references = [[one] if isinstance(one, str) else [*dict.fromkeys(one)] for one in outputs]
        assert table["output"].to_pylist() == references, "a reference that is there twice is one"
        if "id" in task["Instances"][0]:
            assert table["id"].to_pylist() == [instance["id"] for instance in task["Instances"]]


def test_the_verbs_take_a_task(real: Path, tmp_path: Path) -> None:
    file = min((real / FOLDERS[2]).rglob("*.json*"), key=lambda path: path.stat().st_size)
    rows = len(read_table(file))
    gone = tmp_path / "gone.parquet"
    run = CliRunner().invoke(app, ["dedup", str(file), "-o", str(tmp_path / "kept.parquet"), "--removed", str(gone)])
    assert run.exit_code == 0, run.output
    assert len(read_table(tmp_path / "kept.parquet")) + len(read_table(gone)) == rows
    arguments = ["--against", "gsm8k", "--data", str(real), "-o", str(tmp_path / "clean.jsonl")]
    run = CliRunner().invoke(app, ["decontaminate", str(file), *arguments])
    assert run.exit_code == 0, run.output
    assert len(read_table(tmp_path / "clean.jsonl")) == rows
