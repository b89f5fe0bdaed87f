"""Which tasks have one right answer."""

from pathlib import Path

import numpy as np
import pytest

import chaffinch as cf
from chaffinch.errors import RecipeError
from chaffinch.pipeline import Run
from chaffinch.progress import NoProgress
from chaffinch.recipe.label import Label
from chaffinch.recipe.load import load_recipe
from chaffinch.stages import label
from tests.conftest import write_jsonl
from tests.rows import everyone, row, store

WORDS = [f"word{number}" for number in range(400)]
TASKS = {
    "polarity": [["POS", "NEG"][at % 2] for at in range(200)],
    "completion": [f"Completion {'ABCD'[at % 4]}" for at in range(200)],
    "two yes": ["Yes.", "no"],
    "one word": WORDS[:100],
    "one word or two": [*WORDS[:60], *(f"{word} two" for word in WORDS[:60])],
    "short": [f"{one} {two}" for one, two in zip(WORDS[:100], WORDS[100:200], strict=True)],
    "long": [" ".join(WORDS[at : at + 30]) for at in range(300)],
    "empty": ["", "", ""],
    "few but long": [" ".join(WORDS[at % 2 : at % 2 + 12]) for at in range(200)],
}


def labelled(tasks, known=None, **options):
    table = store(
        [row(text, task=task, input=f"{at}") for task, texts in tasks.items() for at, text in enumerate(texts)]
    )
    decisions = label.run(table, everyone(table), Label(sources="s", **options), known or {})
    assert decisions.check(everyone(table)).tolist() == everyone(table).tolist()
    found = {line["task"]: line for line in decisions.findings.to_pylist()}
    column = dict(zip(table["task"].to_pylist(), decisions.columns["label"].to_pylist(), strict=True))
    assert column == {task: line["label"] for task, line in found.items()}
    return found, decisions


def test_tasks_are_labelled_by_their_outputs():
    found, decisions = labelled(TASKS)
    assert {task: line["label"] for task, line in found.items()} == {
        "polarity": "exact_match",
        "completion": "exact_match",
        "two yes": "exact_match",
        "one word": "exact_match",
        "one word or two": "exact_match",
        "short": "generation",
        "long": "generation",
        "empty": "exact_match",
        "few but long": "generation",
    }
    assert decisions.notes == {"tasks of exact match": 6, "tasks of generation": 3, "borderline tasks": 2}
    assert {task for task, line in found.items() if line["borderline"]} == {"one word or two", "short"}


def test_the_numbers_are_those_of_a_plain_count():
    found, _ = labelled(TASKS)
    for task, texts in TASKS.items():
        words = np.mean([min(len(text.split()), 10) for text in texts])
        distinct, rows = len(set(texts)), len(texts)
        few = max(distinct / 50, distinct / rows / 0.05, words / 5)
        outside = np.mean(
            [text.strip().casefold().removesuffix(".") not in Label(sources="s").closed for text in texts]
        )
        ratio = min(few, words / 1.5, outside / 0.05 if distinct <= 50 else np.inf)
        line = found[task]
        assert (line["rows"], line["distinct"]) == (rows, distinct)
        assert line["words"] == pytest.approx(words)
        assert line["ratio"] == pytest.approx(ratio)
        assert line["label"] == ("exact_match" if ratio <= 1 else "generation")


def test_the_edges_are_the_recipe_s():
    outputs = [f"a label of words {at % 10}" for at in range(200)]
    assert labelled({"t": outputs})[0]["t"]["label"] == "exact_match"
    for options in ({"max_distinct": 9}, {"max_distinct_share": 0.04}, {"max_label_words": 4.9}):
        assert labelled({"t": outputs}, **options)[0]["t"]["label"] == "generation"
    inside = labelled({"t": outputs}, max_distinct=9, closed=[text.upper() for text in outputs[:10]])
    assert inside[0]["t"]["label"] == "exact_match"


def test_a_label_that_is_known_goes_over_the_rule():
    found, decisions = labelled(
        TASKS, known={"polarity": "generation", "long": "exact_match", "elsewhere": "generation"}
    )
    assert found["polarity"]["label"] == "generation"
    assert found["long"]["label"] == "exact_match"
    assert [line["decided_by"] for line in found.values()].count("recipe") == 2
    assert decisions.notes["tasks labelled by the recipe"] == 2


def test_only_the_named_sources_and_rows_still_in_have_labels():
    table = store([row("Yes", source=source, task="t", input=f"{at}") for source in "ab" for at in range(4)])
    alive = np.array([0, 2, 5, 6], np.uint32)
    decisions = label.run(table, alive, Label(sources="b"), {})
    assert decisions.columns["label"].to_pylist() == [None] * 5 + ["exact_match"] * 2 + [None]
    assert decisions.findings["rows"].to_pylist() == [2]
    nobody = label.run(table, alive[:0], Label(sources="b"), {})
    assert nobody.findings.num_rows == 0
    assert nobody.columns["label"].null_count == 8


@pytest.mark.parametrize("seed", range(3))
def test_neither_order_nor_threads_decide(seed):
    rows = [row(text, task=task, input=f"{at}") for task, texts in TASKS.items() for at, text in enumerate(texts)]
    order = np.random.default_rng(seed).permutation(len(rows))
    tables = [store(rows), store([rows[at] for at in order], chunk=100)]
    found = [label.run(table, everyone(table), Label(sources="s"), {}, threads=1 + seed) for table in tables]
    assert found[0].findings.equals(found[1].findings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- task1", "holds no tasks with labels"),
        ("task1: exact", "'task1': 'exact' is no label"),
        ("task1: [exact_match]", "is no label"),
        ("task1: exact_match\ntask1: generation", "stands twice"),
        ("{", "is not YAML"),
        ("", "holds no tasks"),
    ],
)
def test_a_file_of_labels_says_what_is_wrong_with_it(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "labels.yaml").write_text(text)
    spec = Label(sources=["s"], tasks={"file": "labels.yaml"})
    with pytest.raises(RecipeError, match=message) as error:
        label.known_labels(spec, tmp_path)
    assert "\nhint: one line for each task" in str(error.value)


def test_a_file_of_labels_is_under_the_data_folder(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no file"):
        label.known_labels(Label(sources=["s"], tasks={"file": "labels.yaml"}), tmp_path)
    with pytest.raises(RecipeError, match=r"label\.tasks\.file"):
        label.known_labels(Label(sources=["s"], tasks={"file": "../labels.yaml"}), tmp_path)
    (tmp_path / "labels.yaml").write_bytes(b"\xef\xbb\xbftask1: generation\n")
    assert label.known_labels(Label(sources=["s"], tasks={"file": "labels.yaml"}), tmp_path) == {"task1": "generation"}


RECIPE = {
    "name": "x",
    "sources": [{"name": "a", "files": "a.jsonl", "task": "t"}, {"name": "b", "files": "b.jsonl"}],
    "label": {"sources": "a", "tasks": {"file": "labels.yaml"}},
    "sample": {"by": ["label"], "rows": {"generation": 5, "none": 4}},
}


def test_labels_reach_mixture_ledger_and_report(tmp_path: Path) -> None:
    data = tmp_path / "data"
    for name in "ab":
        write_jsonl(data / f"{name}.jsonl", [{"instruction": f"{name} {at}", "output": "Yes"} for at in range(9)])
    (data / "labels.yaml").write_text("t: generation\n")
    for form in ("parquet", "jsonl", "datasets"):
        out = tmp_path / form
        result = cf.build(RECIPE, data=data, out=out, set={"write.format": form})
        assert sorted(result.table["label"].to_pylist(), key=str) == [None] * 4 + ["generation"] * 5
        assert sorted(result.ledger["label"].to_pylist(), key=str) == [None] * 5 + ["generation"] * 4
        assert result.tasks is not None
        assert result.tasks.to_pylist()[0]["kept"] == 5
        kept = next(one for one in result.table.to_pylist() if one["source"] == "a")
        assert cf.why(out, kept["row_id"]).values["label"] == "generation"
        gone = next(one for one in result.ledger.to_pylist() if one["label"])
        assert cf.why(out, gone["row_id"]).values["label"] == "generation"
        stages = {stage["stage"]: stage for stage in result.summary["stages"]}
        assert stages["label"]["notes"]["tasks labelled by the recipe"] == 1


def test_another_file_of_labels_is_another_decision(tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    for name in "ab":
        write_jsonl(data / f"{name}.jsonl", [{"instruction": f"{name} {at}", "output": "Yes"} for at in range(9)])
    (data / "labels.yaml").write_text("t: generation\n")
    cf.build(RECIPE, data=data, out=out)
    run = Run(load_recipe(RECIPE), data, out, out / ".chaffinch", None, NoProgress())
    run.read()
    run.decide()
    assert all(step.cached for step in run.steps)
    (data / "labels.yaml").write_text("t: exact_match\n")
    with pytest.raises(RecipeError, match="no quota for exact_match"):
        cf.build(RECIPE, data=data, out=out)
