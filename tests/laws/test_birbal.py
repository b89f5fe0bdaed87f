"""Birbal's recipes, whole: on stand-ins of a fiftieth of the rows, the hundredth of all they ask for comes out."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from chaffinch.recipe.load import load_recipe
from chaffinch.synth import synthesise

FULL_SIZE = 3_108_230
SOURCES = {
    "birbal-200k": [1_000, 25_000, 100_000, 5_000, 10_000, 15_000, 50_000],
    "birbal-400k": [1_000, 25_000, 220_000, 5_000, 10_000, 28_000, 100_000],
    "birbal-700k": [1_000, 25_000, 440_000, 5_000, 10_000, 28_000, 200_000],
}
NAMES = ["lima", "open-platypus", "natural-instructions", "openbookqa", "quac", "cnn-dailymail", "mathinstruct"]
TOTALS = {"birbal-200k": 206_000, "birbal-400k": 389_000, "birbal-700k": 709_000}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("birbal")
    synthesise(folder / "data", FULL_SIZE // 50, profile="birbal", workers=1)
    return folder


def hundredth(name: str, mode: str) -> dict[str, Any]:
    """Every number of rows by the hundredth, of each task rounded up."""
    changes: dict[str, Any] = {"mode": mode}
    for step in load_recipe(name, changes).sample:
        for stratum, rows in (step.rows or {}).items():
            changes[f"sample.{step.name}.rows.{stratum}"] = -(-rows // 100)
    return changes


def built(corpus: Path, name: str, mode: str, **more: Any) -> cf.Result:
    return cf.build(
        name,
        data=corpus / "data",
        out=corpus / f"{name}-{mode}",
        cache=corpus / "cache",
        set=hundredth(name, mode) | more,
    )


@pytest.mark.parametrize("mode", ["paper", "code"])
@pytest.mark.parametrize("name", SOURCES)
def test_every_number_is_met(corpus: Path, name: str, mode: str) -> None:
    result = built(corpus, name, mode)
    rows = [*result.split("train").to_pylist(), *result.split("validation").to_pylist()]
    assert sum(SOURCES[name]) == TOTALS[name]
    assert result.summary["kept"] == len(rows) == TOTALS[name] // 100
    assert Counter(one["source"] for one in rows) == {
        source: count // 100 for source, count in zip(NAMES, SOURCES[name], strict=True)
    }
    natural = [one for one in rows if one["source"] == "natural-instructions"]
    assert Counter(one["label"] for one in natural) == dict.fromkeys(
        ("exact_match", "generation"), SOURCES[name][2] // 200
    )
    assert not [text for text in result.summary["warnings"] if "asked" in text]
    quotas = load_recipe(name, hundredth(name, mode)).sample[0].rows
    assert quotas is not None
    taken = Counter((one["task"], one["bucket"]) for one in natural if one["label"] == "exact_match")
    assert all(count <= quotas[decile] for (_, decile), count in taken.items())
    assert max(one["answer_score"] for one in natural if one["label"] == "generation") < 0.8
    for one in natural:
        if one["label"] == "exact_match":
            assert one["bucket"] == f"decile {int(one['task_accuracy'] * 100) // 10}"
    if mode == "code":
        assert {one["answer_score"] for one in natural if one["label"] == "exact_match"} == {0.0}
        assert {len(one["references"]) for one in natural if one["label"] == "generation"} == {1}
    else:
        assert min(one["task_accuracy"] for one in natural if one["label"] == "exact_match") >= 0.1
        notes = next(stage["notes"] for stage in result.summary["stages"] if stage["stage"] == "select")
        assert (notes["tasks chosen"], notes["of these listed"], notes["recall"]) == (784, 462, 1.0)
        assert notes["precision"] == round(462 / 784, 4)


def test_another_quota_asks_and_scores_nothing_again(corpus: Path) -> None:
    built(corpus, "birbal-200k", "code")
    again = built(corpus, "birbal-200k", "code", **{"sample.natural-instructions.rows.generation": 400})
    assert [stage["stage"] for stage in again.summary["stages"] if not stage["cached"]] == ["sample"]
    assert Counter(row["label"] for row in again.table.to_pylist())["generation"] <= 400


def test_ledger_tasks_and_manifest_tell_one_story(corpus: Path) -> None:
    result = built(corpus, "birbal-200k", "code")
    assert result.tasks is not None
    mixture = [*result.split("train").to_pylist(), *result.split("validation").to_pylist()]
    lines = [*mixture, *result.ledger.to_pylist()]
    labelled = [one for one in lines if one["label"] is not None]
    scored = Counter((one["label"], one["bucket"]) for one in labelled)
    kept = Counter((one["label"], one["bucket"]) for one in mixture if one["label"] is not None)
    assert [(one["label"], one["bucket"], one["rows"], one["kept"]) for one in result.summary["buckets"]] == [
        (*key, rows, kept[key]) for key, rows in sorted(scored.items())
    ]
    generation = [one for one in labelled if one["label"] == "generation"]
    bins = Counter(min(int(one["answer_score"] * 50), 49) for one in generation)
    assert [rows for rows, _ in result.summary["scores"]] == [bins[at] for at in range(50)]
    for task in result.tasks.to_pylist():
        mine = [one for one in labelled if one["row_id"].split("/")[1] == task["task"]]
        assert len(mine) == task["rows"] == task["answered"]
        assert sum("prompt" in one for one in mine) == task["kept"]
        if task["label"] == "exact_match":
            assert sum(one["answer_score"] for one in mine) / len(mine) == task["accuracy"]
            assert {one["bucket"] for one in mine} == {task["bucket"]}
    # A row that was drawn and then found to have several references is told so.
    reasons = Counter(one["reason"] for one in result.ledger.to_pylist() if one["stage"] == "sample")
    assert reasons["over 1 references"] > 0
