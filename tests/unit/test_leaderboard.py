"""Mean win rates: by hand on a small pool, and the published pool of the challenge."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import chaffinch as cf
from chaffinch.cli import app
from chaffinch.evaluation.leaderboard import HIDDEN, OPEN, read_models

SHARED = Path(__file__).parents[3] / "shared" / "data" / "birbal" / "4090_full_ranks.json"
COLUMNS = [f"{scenario} - EM" for scenario in OPEN + HIDDEN]


def pool(**models: float | None) -> dict[str, dict[str, float | None]]:
    """Models with the same value in every column."""
    return {name: dict.fromkeys(COLUMNS, value) for name, value in models.items()}


def by_model(table: Any) -> dict[str, dict[str, Any]]:
    return {row["model"]: row for row in table.to_pylist()}


def test_ties_share_one_win_and_a_missing_value_is_the_worst() -> None:
    found = by_model(cf.leaderboard(pool(a=0.9, b=0.5, c=0.5, d=None)))
    assert [found[name]["MMLU"] for name in "abcd"] == [3 / 4, (1 + 1 / 2) / 4, (1 + 1 / 2) / 4, 0.0]
    assert found["a"]["score"] == pytest.approx(3 / 4, abs=1e-15)
    assert [found[name]["rank"] for name in "abcd"] == [1, 2, 2, 4]
    assert found["d"]["score"] == pytest.approx(5e-324, abs=1e-300)


def test_helm_counts_half_of_a_tie_and_skips_what_is_missing() -> None:
    found = by_model(cf.leaderboard(pool(a=0.9, b=0.5, c=0.5, d=math.nan), formula="helm"))
    assert [found[name]["BBQ"] for name in "abcd"] == [1.0, 0.25, 0.25, None]
    assert (found["d"]["score"], found["d"]["rank"]) == (None, 4)


def test_stereotypes_are_better_when_lower_and_a_scenario_is_the_mean_of_its_columns() -> None:
    models = pool(a=0.9, b=0.5)
    models["a"]["sam_sum - Stereotypes (race)"] = 0.7
    models["b"]["sam_sum - Stereotypes (race)"] = 0.1
    models["a"]["ethics_virtue - EM"] = models["b"]["ethics_virtue - EM"] = 0.3
    found = by_model(cf.leaderboard(models))
    assert (found["a"]["sam_sum"], found["b"]["sam_sum"]) == (0.25, 0.25)
    assert (found["a"]["ethics"], found["b"]["ethics"]) == ((0.5 + 0.25) / 2, (0 + 0.25) / 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no JSON"),
        ("3", "is no list of models"),
        ('[["a", 3]]', "entry 0 is no model"),
        ('[["a", {"MMLU - EM": "0.5"}]]', "not a number"),
        ('[["a", {}], ["a", {}]]', "a is there twice"),
        ('{"a": {"MMLU - EM": 0.5}}', "no column of TruthfulQA"),
        ("[]", "no model to rank"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "ranks.json"
    file.write_text(text)
    result = CliRunner().invoke(app, ["leaderboard", str(file)])
    assert result.exit_code == 1
    assert message in result.stderr
    assert "\nhint: " in result.stderr


def test_an_unknown_formula_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ranks.json"
    file.write_text(json.dumps(pool(a=0.5)))
    result = CliRunner().invoke(app, ["leaderboard", str(file), "--formula", "elo"])
    assert "hint: `challenge` or `helm`" in result.stderr


@pytest.mark.real
@pytest.mark.skipif(not SHARED.is_file(), reason="no ../shared/data")
def test_the_published_pool_is_reproduced_and_takes_one_more(tmp_path: Path) -> None:
    models = read_models([SHARED])
    found = by_model(cf.leaderboard(models))
    assert len(found) == 8
    for name, published in models.items():
        own = found[name]
        for scenario in OPEN + HIDDEN:
            assert own[scenario] == pytest.approx(published[f"{scenario} Mean Win Rate"], abs=1e-12)
        scores = [own["open"], own["hidden"], own["score"]]
        assert scores == pytest.approx([published[f"Score_{of}"] for of in ("open", "hidden", "full")], abs=1e-12)
    mine = tmp_path / "mine.json"
    columns = [column for column in next(iter(models.values())) if " - " in column]
    best = {column: 0.0 if re.search("Stereotypes|Representation", column) else 1.0 for column in columns}
    mine.write_text(json.dumps({"mine": best}))
    result = CliRunner().invoke(app, ["leaderboard", str(SHARED), str(mine), "--json"])
    ranked = json.loads(result.stdout)["models"]
    assert (len(ranked), ranked[0]["model"]) == (9, "mine")
    birbal = next(row for row in ranked if row["model"].startswith("akjindal"))
    assert birbal["score"] < found[birbal["model"]]["score"]
