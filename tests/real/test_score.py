"""Positive examples of every real Natural Instructions file, and answers to the rows of some."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from chaffinch.pipeline import Run
from chaffinch.progress import NoProgress
from chaffinch.recipe.load import load_recipe
from chaffinch.score.prompts import task_examples

pytestmark = pytest.mark.real

FILES = ["natural-instructions/**/*.json*", "natural-instructions-v1/tasks/*.json*", "cl-long-sequence/**/*.json*"]


def plain(path: Path) -> set[tuple[str, str]]:
    """The positive examples of a file, by `json`."""
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        values: Any = json.load(file)
    examples = values.get("Positive Examples") or (values.get("Examples") or {}).get("Positive Examples") or []
    return {(one["input"], one["output"]) for one in examples if isinstance(one, dict)}


def run_of(real: Path, place: Path, files: list[str], **more: Any) -> Run:
    exclude = ["natural-instructions/task_table.json*", "natural-instructions/splits/**"]
    source = {"name": "ni", "files": files, "exclude": exclude, "format": "natural-instructions"}
    values = {"name": "real", "sources": [source], **more}
    run = Run(load_recipe(values, {}), real, place / "out", place / "cache", 2, NoProgress())
    run.read()
    return run


def test_examples_are_those_that_json_finds(real: Path, tmp_path: Path) -> None:
    run = run_of(real, tmp_path, FILES)
    expected: dict[tuple[str, str], set[tuple[str, str]]] = {}
    for shard in run.rows.shards:
        name = Path(shard.file).name.removesuffix(".gz").removesuffix(".json")
        if found := plain(real / shard.file):
            expected.setdefault(("ni", name), set()).update(found)
    found = {task: {tuple(case) for case in cases} for task, cases in task_examples(run.rows, 1).items()}
    assert found == expected
    assert len(found) > 50


def test_the_nearest_answers_are_often_right_and_never_the_rows_own(real: Path, tmp_path: Path) -> None:
    files = [
        "natural-instructions/tasks/task363*",
        "natural-instructions/tasks/task843*",
        "natural-instructions/tasks/task1590*",
    ]
    files += ["natural-instructions/tasks-variant/*"]
    more = {"label": {"sources": ["ni"]}, "score": {"sources": ["ni"]}}
    run = run_of(real, tmp_path, [file for file in files if list(real.glob(file))], **more)
    run.decide(until="score")
    table = run.rows.table
    accuracy = {
        (task, share)
        for task, share, label in zip(
            table["task"].to_pylist(), table["task_accuracy"].to_pylist(), table["label"].to_pylist(), strict=True
        )
        if label == "exact_match"
    }
    # Two or three labels: better than chance, far from perfect.
    assert len(accuracy) >= 2
    assert all(0.4 < share < 0.95 for _, share in accuracy)
    assert table["answer"].null_count == 0
