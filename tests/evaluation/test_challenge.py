"""Evaluations among the models of a pool."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import chaffinch as cf
from chaffinch.cli import app
from chaffinch.errors import DataError
from chaffinch.evaluation.challenge import NOT_HELM, entry_of
from chaffinch.evaluation.leaderboard import added
from tests.evaluation import sets
from tests.score.tiny import save_tiny_model

SHARED = Path(__file__).parents[3] / "shared" / "data" / "birbal" / "4090_full_ranks.json"
OPEN = ("MMLU - EM", "TruthfulQA - EM", "BIG-bench - EM", "GSM8K - EM", "BBQ - EM")
HIDDEN = ("sam_sum - ROUGE-2", "corr2cause - EM", "MATH (chain-of-thoughts) - Equivalent (chain of thought)")
ETHICS = ("ethics_justice - EM", "ethics_virtue - EM", "ethics_commonsense - EM", "ethics_utilitarianism - EM")
VARIED = ("MMLU - EM", "TruthfulQA - EM", *ETHICS)


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("challenge")
    data = sets.everything(folder / "data")
    model = save_tiny_model(folder / "model")
    suite = "birbal-open,birbal-hidden"
    cf.evaluate(model, suite=suite, data=data, out=folder / "whole", variants=["helm"])
    cf.evaluate(model, suite="mmlu", data=data, out=folder / "part", limit=1, shots=0)
    cf.evaluate(model, suite="hhh", data=data, out=folder / "other")
    return folder


def test_an_evaluation_has_the_columns_of_the_challenge(evaluated: Path) -> None:
    found = entry_of(evaluated / "whole")
    lines = {
        (one["set"], one["shots"], one["variant"]): one
        for one in json.loads((evaluated / "whole/results.json").read_text())["results"]
    }
    plain = {*OPEN, *HIDDEN, *ETHICS}
    assert found.values.keys() == plain | {f"{name} ({of})" for name in VARIED for of in ("Robustness", "Fairness")}
    assert found.values["MMLU - EM"] == lines["mmlu/test", 5, "plain"]["score"]
    assert found.values["MMLU - EM (Robustness)"] == lines["mmlu/test", 5, "worst of helm-robustness"]["score"]
    assert found.values["ethics_commonsense - EM"] == lines["ethics/test", 0, "plain"]["groups"]["cm"]
    assert found.notes == [NOT_HELM]


def test_what_is_missing_is_told_and_stays_missing(evaluated: Path) -> None:
    pool = {"a": dict.fromkeys([*OPEN, *HIDDEN, "ethics_justice - EM"], 0.5)}
    models, notes = added(pool, {"mine": evaluated / "part", "whole": evaluated / "whole"})
    assert models["mine"].keys() == {"MMLU - EM"}
    assert notes["mine"][0] == NOT_HELM
    assert notes["mine"][1] == "mmlu/test: 2 items, the first 1 of each group alone"
    assert notes["mine"][2].startswith("missing (by `challenge` worse than every value, by `helm` skipped): TruthfulQA")
    assert models["whole"].keys() == pool["a"].keys()
    assert notes["whole"][1].startswith("left out, for the pool has no such column: MMLU - EM (Robustness), ")
    ranked = {row["model"]: row for row in cf.leaderboard(models).to_pylist()}
    assert ranked["mine"]["BBQ"] == 0.0
    with pytest.raises(DataError, match=r"a is in the pool already\nhint: "):
        added(pool, {"a": evaluated / "part"})
    with pytest.raises(DataError, match=r"no set of the challenge\nhint: "):
        entry_of(evaluated / "other")
    with pytest.raises(DataError, match=r"holds no evaluation\nhint: "):
        entry_of(evaluated)


def invoke(*words: Any) -> Any:
    return CliRunner().invoke(app, ["leaderboard", *map(str, words)])


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_file(), reason="no ../shared/data")
def test_the_command_adds_a_model_to_the_published_pool(evaluated: Path) -> None:
    told = invoke(SHARED, "--add", f"mine={evaluated / 'whole'}", "--json")
    assert told.exit_code == 0, told.stderr
    assert len(json.loads(told.stdout)["models"]) == 9
    assert f"warning: mine: {NOT_HELM}" in told.stderr
    assert "sam_sum - Stereotypes (race)" in json.loads(told.stdout)["notes"]["mine"][-1]


def test_own_models_make_a_pool_of_their_own(evaluated: Path) -> None:
    whole = evaluated / "whole"
    told = invoke("--add", f"one={whole}", "--add", f"two={whole}")
    assert told.exit_code == 0, told.stderr
    assert "missing" not in told.stderr
    assert invoke().exit_code == invoke("--add", "mine").exit_code == invoke("--add", f"={whole}").exit_code == 2
    assert invoke("--add", f"one={whole}", "--add", f"one={whole}").exit_code == 2
