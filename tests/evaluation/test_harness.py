"""lm-evaluation-harness over local files and the hub's."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation_sets import find, items
from chaffinch.recipe.decontaminate import Against
from tests.evaluation import sets
from tests.score.tiny import save_tiny_model


def test_the_harness_asks_the_same_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data = tmp_path / "data"
    sets.mmlu(data)
    sets.gsm8k(data)
    examples = [{"input": f"not ( {at} ) is", "target": "True" if at % 2 else "False"} for at in range(4)]
    sets.write_json(data / "bbh/boolean_expressions.json", {"examples": examples})
    model = save_tiny_model(tmp_path / "model", positions=4096)
    found = cf.evaluate(model, suite="instructeval,gsm8k", data=data, out=tmp_path / "out", protocol="harness", limit=2)
    assert [(one["set"], one["shots"], one["metric"], one["items"]) for one in found.results] == [
        ("mmlu/test", 0, "acc,none", 3),
        ("bbh/test", 3, "exact_match,none", 2),
        ("gsm8k/test", 5, "exact_match,strict-match", 2),
        ("gsm8k/test", 5, "exact_match,flexible-extract", 2),
    ]
    assert {one["protocol"] for one in found.results} == {"lm-eval==0.4.13"}
    assert {one["revision"] for one in found.results} == {None}
    assert [one["set"] for one in found.skipped] == ["drop", "crass", "humaneval", "hhh", "impact"]
    sets.write_json(data / "bbh/no_such_task.json", {"examples": examples})
    with pytest.raises(DataError, match=r"knows no task bbh/fewshot/no_such_task.yaml(.|\n)*hint: "):
        cf.evaluate(model, suite="bbh", data=data, out=tmp_path / "out", protocol="harness")


def test_further_sets_are_asked_by_its_own_tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    data, out = tmp_path / "data", tmp_path / "out"
    sets.drop(data, passages=1)
    sets.others(data)
    sets.with_more(data)
    model = save_tiny_model(tmp_path / "model", positions=4096)
    found = cf.evaluate(model, suite="drop,math,ethics,truthfulqa,bbq", data=data, out=out, protocol="harness")
    assert [(one["set"], one["shots"], one["metric"], one["items"]) for one in found.results] == [
        ("drop/validation", 0, "em,none", 4),
        ("drop/validation", 0, "f1,none", 4),
        ("math/test", 0, "exact_match,none", 3),
        ("ethics/test", 0, "acc,none", 4),
        ("truthfulqa/validation", 0, "mc1 acc,none", 2),
        ("truthfulqa/validation", 0, "mc2 acc,none", 2),
        ("bbq/test", 0, "acc,none", 4),
    ]
    by_set: dict[str, Any] = {one["set"]: one for one in found.results}
    assert list(by_set["ethics/test"]["groups"]) == ["cm_test", "justice_test", "util_test", "virtue_test"]
    assert list(by_set["math/test"]["groups"]) == ["Algebra", "Number Theory"]
    assert list(by_set["bbq/test"]["groups"]) == ["Age", "SES"]
    # Probability mass on right answers, of which no share is all or nothing.
    assert 0 < by_set["truthfulqa/validation"]["score"] < 1
    asked = cf_items(out)
    # The item with answers of two kinds has no number on the hub.
    assert asked["drop/validation", "em,none"] == {"0", "1", "2", "d0"}
    for name, metric in (("math/test", "exact_match,none"), ("ethics/test", "acc,none"), ("bbq/test", "acc,none")):
        assert asked[name, metric] == set(items(find(Against(name=name), data)[0])["id"].to_pylist())


def cf_items(out: Path) -> dict[tuple[str, str], set[str]]:
    import pyarrow.parquet as pq

    found: dict[tuple[str, str], set[str]] = {}
    for row in pq.read_table(out / "items.parquet").to_pylist():
        found.setdefault((row["set"], row["metric"]), set()).add(row["item"])
    return found


def test_a_model_is_right_where_the_harness_says_so(tmp_path: Path) -> None:
    """The answers of each converted row, against what the harness's own functions make of them."""
    pytest.importorskip("lm_eval")
    import lm_eval.tasks

    from chaffinch.evaluation import harness

    data = tmp_path / "data"
    sets.drop(data, passages=1)
    sets.others(data)
    sets.with_more(data)
    plans = [harness.planned(name, data, tmp_path, shots=None, hub=False) for name in ("drop", "math", "ethics", "bbq")]
    manager = lm_eval.tasks.TaskManager(include_path=[str(plan.folder) for plan in plans])
    tasks = {name: task for plan in plans for name, task in manager.load(list(plan.parts))["tasks"].items()}
    drop = tasks["chaffinch_drop"]
    docs = list(drop.validation_docs())
    assert [doc["answers"] for doc in docs] == [[["he"]], [["3"], ["4"]], [[""], ["9 May 1980"]], [[""], ["2"]]]
    assert drop.process_results(docs[1], ["4"])["em"] == 1
    algebra = list(tasks["chaffinch_math_algebra"].test_docs())
    assert [doc["answer"] for doc in algebra] == ["3", "5"]
    assert tasks["chaffinch_math_algebra"].process_results(algebra[1], ["it is $5$"])["exact_match"] == 1
    wrong = next(iter(tasks["chaffinch_ethics_cm_test"].test_docs()))
    assert tasks["chaffinch_ethics_cm_test"].doc_to_target(wrong) == 1
    virtue = tasks["chaffinch_ethics_virtue_test"]
    assert 'the trait "brave"?' in virtue.doc_to_text(next(iter(virtue.test_docs())))
    util = tasks["chaffinch_ethics_util_test"]
    doc = next(iter(util.test_docs()))
    first = "I slept well." in util.doc_to_text(doc).splitlines()[0]
    assert util.doc_to_target(doc) == int(first)
    bbq = tasks["chaffinch_bbq_Age"]
    ambiguous, clear = bbq.test_docs()
    assert ambiguous["biased_answers"] == ["Bo"]
    assert bbq.doc_to_choice(clear)[bbq.doc_to_target(clear)] == "Al"


def test_what_the_harness_is_not_given_is_refused(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"suite": "crass"}, "not asked by the harness"),
        ({"suite": "humaneval"}, "without a sandbox"),
        ({"suite": "mmlu", "variants": ["gender"]}, "asks no variants"),
        ({"suite": "drop", "shots": 3}, "asks drop without shots"),
        ({"suite": "drop", "protocol": "instructeval", "hub": True}, "only the harness takes sets from the hub"),
    ]
    for asked, message in refused:
        with pytest.raises(RecipeError, match=rf"{message}(.|\n)*hint: "):
            cf.evaluate(model, data=tmp_path, out=tmp_path / "out", **{"protocol": "harness", **asked})


@pytest.mark.parametrize(
    ("path", "row", "message"),
    [
        ("math/test.jsonl", {"problem": "?", "solution": "4", "type": "Algebra"}, "nothing in .boxed"),
        ("math/test.jsonl", {"problem": "?", "solution": "$\\boxed{4}$", "type": "Tea"}, "has the type 'Tea'"),
        ("truthfulqa/test.csv", None, "no mc1_targets"),
        ("drop/validation.json", {"passage": "P", "question": "Q", "answers_spans": {"spans": ["a"]}}, "no answer"),
        ("bbq/Age.jsonl", {"context": "C", "question": "Q", "ans0": "a", "ans1": "b", "ans2": "c"}, "no category"),
        ("ethics/justice/justice_test.csv", None, "has the label"),
    ],
)
def test_files_that_its_tasks_cannot_read(tmp_path: Path, path: str, row: dict[str, Any] | None, message: str) -> None:
    pytest.importorskip("lm_eval")
    if row is None:
        sets.write_csv(tmp_path / path, [["label", "scenario", "question"], ["maybe", "I pay.", "Who?"]])
    else:
        sets.write_lines(tmp_path / path, [row])
    with pytest.raises(DataError, match=rf"{message}(.|\n)*hint: "):
        cf.evaluate("no-model", suite=path.split("/")[0], data=tmp_path, out=tmp_path / "out", protocol="harness")


def test_a_set_of_the_hub_needs_a_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("lm_eval")
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    model = save_tiny_model(tmp_path / "model")
    asked: dict[str, Any] = {"data": tmp_path, "out": tmp_path / "out", "protocol": "harness"}
    with pytest.raises(
        DataError, match=r"bbq/test is not under (.|\n)*hint: put its files (.|\n)*--hub has the harness"
    ):
        cf.evaluate(model, suite="bbq", **asked)
    with pytest.raises(DataError, match=r"bbq/test: the harness cannot load it: (.|\n)*hint: check the network"):
        cf.evaluate(model, suite="bbq", hub=True, **asked)
    with pytest.raises(RecipeError, match=r"which items of the hub(.|\n)*hint: "):
        cf.evaluate(model, suite="bbq", hub=True, mixture=tmp_path, **asked)


def test_a_set_of_the_hub_is_asked_by_the_stock_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the cache that the `datasets` library keeps of the hub, as it is found without a network."""
    pytest.importorskip("lm_eval")
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    data, nothing = tmp_path / "data", tmp_path / "nothing"
    nothing.mkdir()
    sets.gsm8k(data)
    asked: dict[str, Any] = {"suite": "gsm8k", "protocol": "harness", "limit": 2, "shots": 1}
    model = save_tiny_model(tmp_path / "model", positions=4096)
    local = cf.evaluate(model, data=data, out=tmp_path / "local", **asked).results
    commit = "0123456789abcdef0123456789abcdef01234567"
    hashes = []
    for change in ("", "?"):
        lines = (data / "gsm8k/test.jsonl").read_text("utf-8").replace("1,000?", f"1,000?{change}")
        (data / "gsm8k/test.jsonl").write_text(lines, "utf-8")
        files = {split: str(data / f"gsm8k/{split}.jsonl") for split in ("train", "test")}
        rows = datasets.load_dataset("json", "main", data_files=files, cache_dir=str(tmp_path / f"made{change and 2}"))
        source = Path(rows["test"].cache_files[0]["filename"]).parent
        place = tmp_path / "cache/openai___gsm8k/main/0.0.0" / commit
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(source, place)
        for path in place.glob("json-*"):
            path.rename(place / path.name.replace("json-", "gsm8k-"))
        info = json.loads((place / "dataset_info.json").read_text("utf-8"))
        (place / "dataset_info.json").write_text(json.dumps(info | {"dataset_name": "gsm8k", "config_name": "main"}))
        found = cf.evaluate(model, data=nothing, out=tmp_path / "hub", hub=True, **asked).results
        assert {one["revision"] for one in found} == {f"openai/gsm8k@{commit}"}
        hashes.append(found[0]["data"])
        if not change:
            same = ("set", "protocol", "shots", "metric", "score", "items")
            assert [[one[name] for name in same] for one in found] == [[one[name] for name in same] for one in local]
    assert len({*hashes, local[0]["data"]}) == 3
