"""The score stage in whole builds, and `chaffinch score`."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import chaffinch as cf
from chaffinch.cli import app
from chaffinch.errors import RecipeError
from chaffinch.recipe.load import load_recipe
from chaffinch.recipe.score import Score
from chaffinch.scoring import score
from tests.score.corpus import decided, recipe, write_task
from tests.score.test_measure import of_birbal

LABELS = {"sources": ["ni"], "tasks": {"yes_or_no": "exact_match", "words": "generation"}}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    questions = [(f"is {at} {'odd' if at % 2 else 'even'}", ["yes" if at % 3 else "no"]) for at in range(30)]
    write_task(tmp_path / "data", "yes_or_no", questions, [("is 100 odd", "yes"), ("is 200 even", "no")])
    words = "stone river light field letter count".split(" ")
    texts = [" ".join(words[(at * step) % 6] for step in range(1, 5)) for at in range(30)]
    write_task(tmp_path / "data", "words", [(f"{text} {at}", [f"{text}.", text[:9]]) for at, text in enumerate(texts)])
    return tmp_path / "data"


def labelled(**more: Any) -> dict[str, Any]:
    return recipe(**more) | {"label": LABELS}


def test_scores_and_accuracies_are_what_plain_python_says(data: Path, tmp_path: Path) -> None:
    run = decided(data, tmp_path, labelled())
    rows = run.rows.table.select(["task", "references", "answer", "score", "task_accuracy", "label"]).to_pylist()
    right = [row["answer"] in row["references"] for row in rows if row["task"] == "yes_or_no"]
    assert 0 < sum(right) < 30
    for row in rows:
        if row["task"] == "yes_or_no":
            assert row["label"] == "exact_match"
            assert row["score"] == float(row["answer"] in row["references"])
            assert row["task_accuracy"] == sum(right) / 30
        else:
            assert row["score"] == of_birbal(row["answer"], row["references"])
            assert row["task_accuracy"] is None
    assert len({row["score"] for row in rows}) > 3
    assert len(run.alive) == len(rows)


def test_a_less_strict_form_finds_more_right(data: Path, tmp_path: Path) -> None:
    path = data / "tasks" / "yes_or_no.json"
    path.write_text(path.read_text().replace('["yes"]', '[" Yes."]', 9).replace('["no"]', '["No!"]', 5))
    strict = decided(data, tmp_path, labelled()).rows.table
    loose = decided(data, tmp_path, labelled(exact_match={"normal_form": "squad"})).rows.table
    assert strict["answer"].to_pylist() == loose["answer"].to_pylist()
    expected = []
    for row in loose.to_pylist():
        if row["label"] == "exact_match":
            plain = row["answer"].strip(" .!").lower()
            row["score"] = float(plain in [one.strip(" .!").lower() for one in row["references"]])
        expected.append(row["score"])
    assert loose["score"].to_pylist() == expected
    assert sum(expected) > sum(strict["score"].to_pylist())


def test_the_command_prints_a_table_by_task(data: Path, tmp_path: Path) -> None:
    import yaml

    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(labelled()))
    command = ["score", str(tmp_path / "mine.yaml"), "--data", str(data), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*command, "-o", str(tmp_path / "rows.parquet")])
    assert result.exit_code == 0, result.stderr
    lines = [line.split() for line in result.stdout.splitlines()]
    assert any(line[:6] == ["ni/words", "generation", "30", "30", "0", line[5]] for line in lines if len(line) > 5)
    assert any(line[:3] == ["ni/yes_or_no", "exact", "match"] for line in lines)
    assert "60 of 60 rows; 0 had an answer before" in result.stdout
    rows = pq.read_table(tmp_path / "rows.parquet").to_pylist()
    assert len(rows) == 60
    assert all(one["row_id"].startswith("ni/") and one["answer"] is not None for one in rows)
    again = CliRunner().invoke(app, [*command, "--json"])
    values = json.loads(again.stdout)
    assert (values["asked"], values["answered"], values["known"], values["missing"]) == (60, 60, 60, {})
    assert values["answerer"] == {"kind": "nearest"}
    accuracy = {one["task"]: one["accuracy"] for one in values["tasks"]}
    assert accuracy["words"] is None
    assert 0 < accuracy["yes_or_no"] < 1
    # A build finds there what was scored.
    built = cf.build(labelled(), data=data, out=tmp_path / "out")
    assert {one["stage"]: one["cached"] for one in built.summary["stages"]}["score"]


def test_the_answers_do_not_depend_on_the_order_of_rows(data: Path, tmp_path: Path) -> None:
    first = score(labelled(), data=data, out=tmp_path / "a").table.sort_by("row_id")
    for path in (data / "tasks").iterdir():
        values = json.loads(path.read_text())
        values["Instances"].reverse()
        values["Positive Examples"].reverse()
        path.write_text(json.dumps(values))
    second = score(labelled(), data=data, out=tmp_path / "b", threads=1).table.sort_by("row_id")
    assert first.equals(second)


def test_a_recipe_without_the_stage_is_told(data: Path, tmp_path: Path) -> None:
    values = {name: value for name, value in recipe().items() if name != "score"}
    with pytest.raises(RecipeError, match=r"has no `score:`\nhint: --set score.sources"):
        score(values, data=data, out=tmp_path / "out")


@pytest.mark.parametrize(
    ("overrides", "kind"),
    [
        ({"score.answerer": "nearest"}, "nearest"),
        ({"score.answerer.model": "m"}, "transformers"),
        ({"score.answerer": {"address": "http://x/v1", "model": "m"}}, "openai"),
    ],
)
def test_answerers_are_told_apart(overrides: dict[str, Any], kind: str) -> None:
    found = load_recipe(recipe(), overrides).score
    assert isinstance(found, Score)
    assert found.answerer.kind == kind


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"score.answerer": {"kind": "magic"}}, "'nearest', 'transformers', 'openai'"),
        ({"score.answerer": "transformers"}, "score.answerer.transformers.model: Field required"),
        ({"score.answerer": {"address": "localhost:8000", "model": "m"}}, "address"),
        (
            {"score.answerer": {"model": "m", "modle": "n"}},
            "unknown key `score.answerer.*modle`\nhint: did you mean `model`",
        ),
        ({"score.sources": ["nii"]}, "score.sources: no source 'nii'\nhint: the sources are ni"),
        ({"score.generation.metric": "rougeLsum"}, "rouge==1.0.1 has no rougeLsum\nhint: rouge1 to rouge5 or rougeL"),
        ({"score.prompt.demonstrations": -1}, "score.prompt.demonstrations"),
    ],
)
def test_what_a_recipe_cannot_say(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message.replace("(", r"\(")):
        load_recipe(recipe(), overrides)
