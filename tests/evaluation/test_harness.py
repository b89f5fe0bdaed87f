"""lm-evaluation-harness over local files."""

from pathlib import Path

import pytest

import chaffinch as cf
from chaffinch.errors import DataError, RecipeError
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
    assert [one["set"] for one in found.skipped] == ["drop", "crass", "humaneval", "hhh", "impact"]
    sets.write_json(data / "bbh/no_such_task.json", {"examples": examples})
    with pytest.raises(DataError, match=r"knows no task bbh/fewshot/no_such_task.yaml(.|\n)*hint: "):
        cf.evaluate(model, suite="bbh", data=data, out=tmp_path / "out", protocol="harness")


def test_what_the_harness_is_not_given_is_refused(tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    for suite, variants, message in (
        ("drop", [], "not asked by the harness"),
        ("mmlu", ["gender"], "asks no variants"),
    ):
        with pytest.raises(RecipeError, match=rf"{message}(.|\n)*hint: "):
            cf.evaluate(model, suite=suite, data=tmp_path, out=tmp_path / "out", protocol="harness", variants=variants)
