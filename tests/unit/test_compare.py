"""Tasks chosen by rules, held against a list."""

from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from chaffinch.cli.build import _choice
from tests.conftest import write_jsonl

STEP = {"sources": "a", "not_tasks": ["*bad*"], "compare": {"file": "list.txt"}}


def built(tmp_path: Path, listed: str | None) -> dict[str, Any]:
    data = tmp_path / "data"
    tasks = ["t1", "t2", "t3", "bad1", "bad2"]
    write_jsonl(
        data / "a.jsonl", [{"instruction": f"{task} {at}", "output": "x", "t": task} for task in tasks for at in "ab"]
    )
    write_jsonl(data / "b.jsonl", [{"instruction": f"b {at}", "output": "x"} for at in range(5)])
    if listed is not None:
        (data / "list.txt").write_text(listed)
    sources = [{"name": "a", "files": "a.jsonl", "fields": {"task": "t"}}, {"name": "b", "files": "b.jsonl"}]
    recipe = {"name": "x", "sources": sources, "select": STEP}
    return cf.build(recipe, data=data, out=tmp_path / "out").summary


def test_precision_and_recall_are_of_the_tasks_that_are_there(tmp_path: Path) -> None:
    summary = built(tmp_path, "t1\nt2\nbad1\nelsewhere\nb\n")
    notes = summary["stages"][1]["notes"]
    assert notes == {
        "tasks chosen": 3,
        "of these listed": 2,
        "listed tasks in the data": 3,
        "precision": 0.6667,
        "recall": 0.6667,
        "list": "list.txt",
    }
    assert summary["stages"][1]["removed"] == {"task excluded": 4}
    assert _choice(summary["stages"]) == [("tasks", "3 chosen; against list.txt: precision 66.7 %, recall 66.7 %")]


def test_another_list_is_compared_with_again(tmp_path: Path) -> None:
    built(tmp_path, "t1\n")
    assert built(tmp_path, "t1\nt2\nt3\n")["stages"][1]["notes"]["precision"] == 1.0


def test_a_list_that_is_not_there_is_a_warning(tmp_path: Path) -> None:
    summary = built(tmp_path, None)
    assert summary["stages"][1]["notes"] == {}
    assert "the tasks chosen were not held against list.txt: it is not in the data folder" in summary["warnings"]
    assert _choice(summary["stages"]) == []


def test_a_list_alone_is_no_condition(tmp_path: Path) -> None:
    with pytest.raises(cf.RecipeError, match="a select step needs a condition"):
        cf.build(
            {"name": "x", "sources": [{"name": "a", "files": "a"}], "select": {"compare": {"file": "list.txt"}}},
            data=tmp_path,
            out=tmp_path / "out",
        )
