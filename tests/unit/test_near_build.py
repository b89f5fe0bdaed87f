"""Near duplicates in whole builds: the demo's known answers, what `why` and the manifest say."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import chaffinch as cf
from chaffinch.cli import app
from chaffinch.pipeline import Run
from chaffinch.progress import NoProgress
from chaffinch.recipe.load import load_recipe
from chaffinch.synth import synthesise
from tests.conftest import write_jsonl

REASON = "near duplicate of prompt+response"


def test_the_demo_finds_every_planted_near_duplicate(tmp_path: Path) -> None:
    synthesise(tmp_path / "data", 6000)
    run = Run(load_recipe("demo", {}), tmp_path / "data", tmp_path / "out", tmp_path / "cache", 2, NoProgress())
    run.read()
    run.decide()
    planted = np.array([json.loads(meta or "{}").get("planted") for meta in run.rows.table["meta"].to_pylist()])
    alive = np.arange(len(run.rows), dtype=np.uint32)
    for step in run.steps:
        if step.stage == "dedup":
            break
        alive = step.decisions.kept(alive)
    decisions = step.decisions
    of_near = decisions.reason == decisions.reasons.index(REASON)
    pairs = list(zip(decisions.row[of_near].tolist(), decisions.witness[of_near].tolist(), strict=True))
    found = {row for pair in pairs for row in pair}
    gone = set(decisions.row[~of_near].tolist())
    # A copy that is itself repeated went as an exact duplicate before.
    expected = [row for row in alive.tolist() if planted[row] == "near-duplicate" and row not in gone]
    assert len(expected) > 30
    assert [row for row in expected if row not in found] == []
    # Formats without room for a tag have planted rows too; of all others no row goes that was not planted.
    sources = run.rows.table["source"].to_pylist()
    false = [(row, other) for row, other in pairs if "near-duplicate" not in (planted[row], planted[other])]
    assert Counter(sources[row] for row, _ in false).keys() <= {"quiz", "table"}


@pytest.fixture
def built(tmp_path: Path) -> cf.Result:
    text = "the quick brown fox jumps over the lazy dog and then sleeps for the rest of day number"
    rows = [{"instruction": f"{text} {at}", "input": "", "output": text} for at in range(1100)]
    write_jsonl(tmp_path / "data" / "a" / "rows.jsonl", rows)
    recipe: dict[str, Any] = {
        "name": "near",
        "sources": [{"name": "a", "files": "a/*.jsonl"}],
        "dedup": {"near": {"min_similarity": 0.8}},
        "format": {"template": "alpaca"},
    }
    return cf.build(recipe, data=tmp_path / "data", out=tmp_path / "out")


def test_a_giant_group_is_a_warning(built: cf.Result) -> None:
    of = "1,100 of 1,100 rows that are alike in prompt+response"
    warning = f"one row stands for {of}: look whether a template makes them so"
    assert built.summary["warnings"] == [warning]
    assert warning in built.report.read_text(encoding="utf-8")
    assert built.summary["kept"] == 1


def test_why_shows_witness_and_similarity(built: cf.Result) -> None:
    removed = built.ledger.to_pylist()[0]
    assert removed["reason"] == REASON
    result = CliRunner().invoke(app, ["why", str(built.out), removed["row_id"]])
    assert result.exit_code == 0, result.stderr
    assert f"\nremoved by    dedup: {REASON}\nsimilarity    {removed['score']:.6g}\n" in result.stdout
    assert f"instead of it stays\nrow           {removed['witness']}\n" in result.stdout


def test_why_shows_what_a_rule_only_flags(built: cf.Result, tmp_path: Path) -> None:
    recipe = built.summary["recipe"] | {"dedup": {"near": {"min_similarity": 0.8, "action": "flag"}}}
    flagged = cf.build(recipe, data=tmp_path / "data", out=tmp_path / "flagged")
    before = (flagged.out / "flagged.parquet").read_bytes()
    rows = pq.read_table(flagged.out / "flagged.parquet").to_pylist()
    removed = {row["row_id"]: (row["witness"], row["score"]) for row in built.ledger.to_pylist()}
    assert {row["row_id"]: (row["witness"], row["similarity"]) for row in rows} == removed
    one = rows[0]
    story = cf.why(flagged.out, one["row_id"])
    assert story.kept
    assert story.flagged == [{name: one[name] for name in ("reason", "witness", "similarity")}]
    shown = CliRunner().invoke(app, ["why", str(flagged.out), one["row_id"]]).stdout
    assert f"flagged       {REASON}: like {one['witness']}, similarity {one['similarity']:.6g}\n" in shown
    again = cf.build(recipe, data=tmp_path / "data", out=tmp_path / "flagged")
    assert (again.out / "flagged.parquet").read_bytes() == before, "from the cache"
    assert not (built.out / "flagged.parquet").exists()


def test_rules_that_flag_and_find_nothing_say_so(built: cf.Result, tmp_path: Path) -> None:
    write_jsonl(tmp_path / "data" / "a" / "rows.jsonl", [{"instruction": "a b", "output": "c"}])
    rules = {"near": [{"action": "flag"}, {"on": "prompt", "action": "flag"}], "spans": True}
    result = cf.build(built.summary["recipe"] | {"dedup": rules}, data=tmp_path / "data", out=tmp_path / "none")
    assert (result.summary["kept"], result.summary["passages"]) == (1, [])
    assert pq.read_table(result.out / "flagged.parquet").num_rows == 0


def test_a_rule_that_flags_takes_no_witness_from_one_that_removes(built: cf.Result, tmp_path: Path) -> None:
    rules = {"exact": {"on": "response"}, "near": {"on": "prompt", "action": "flag"}}
    result = cf.build(built.summary["recipe"] | {"dedup": rules}, data=tmp_path / "data", out=tmp_path / "both")
    (witness,) = {row["witness"] for row in result.ledger.to_pylist()}
    assert result.table["row_id"].to_pylist() == [witness]


def test_passages_that_rows_share_are_in_the_report(built: cf.Result, tmp_path: Path) -> None:
    rows = [
        {"instruction": f"{at} <b>" + "please read all of the text below " * 4 + f"{at}", "output": f"{at} {at * 7}"}
        for at in range(40)
    ]
    write_jsonl(tmp_path / "data" / "a" / "rows.jsonl", rows)
    asked = built.summary["recipe"] | {"dedup": {"spans": True}}
    result = cf.build(asked, data=tmp_path / "data", out=tmp_path / "spans")
    passage = {"part": "instruction", "text": ("please read all of the text below " * 4)[:-1], "words": 28, "rows": 40}
    found = result.summary["passages"]
    assert [{**one, "text": one["text"].removeprefix("<b>")} for one in found] == [passage]
    page = result.report.read_text(encoding="utf-8")
    assert "Shared passages" in page
    assert "&lt;b&gt;please read all" in page
    again = cf.build(asked, data=tmp_path / "data", out=tmp_path / "spans")
    assert again.summary["passages"] == found
    assert "passages" not in next(stage["notes"] for stage in again.summary["stages"] if stage["stage"] == "dedup")


def test_the_highest_score_stays(built: cf.Result, tmp_path: Path) -> None:
    scores = ["0.5", "12", "-3e1", "none", None, "1e400", " 99"]
    rows = [{"instruction": "say it", "output": "it", "score": score, "n": at} for at, score in enumerate(scores)]
    write_jsonl(tmp_path / "data" / "a" / "rows.jsonl", rows)
    for rule in ("exact", "near"):
        for keep, stays in ({"highest": "score"}, 5), ({"lowest": "score"}, 2), ({"highest": "n"}, 6):
            asked = {rule: {"on": ["prompt", "response"], "keep": keep}}
            recipe = built.summary["recipe"] | {"dedup": asked}
            result = cf.build(recipe, data=tmp_path / "data", out=tmp_path / "scored")
            assert [json.loads(meta)["n"] for meta in result.table["meta"].to_pylist()] == [stays]
    for wrong in {}, {"highest": "a", "lowest": "b"}, {"highest": ""}:
        with pytest.raises(cf.RecipeError, match="dedup"):
            cf.build(
                built.summary["recipe"] | {"dedup": {"exact": {"on": "prompt", "keep": wrong}}},
                data=tmp_path / "data",
                out=tmp_path / "wrong",
            )


@pytest.mark.parametrize("mode", ["paper", "code"])
@pytest.mark.parametrize("size", ["200k", "400k", "700k"])
def test_birbals_recipes_use_all_three_and_remove_no_near_duplicate(size: str, mode: str) -> None:
    recipe = load_recipe(f"birbal-{size}", {"mode": mode})
    assert [rule.action for rule in recipe.dedup.near] == ["flag"]
    assert recipe.decontaminate is not None
    assert recipe.provenance is not None
    assert set(recipe.provenance.actions().values()) == {"flag"}


def test_what_a_rule_flags_is_in_the_manifest_and_stays(built: cf.Result, tmp_path: Path) -> None:
    recipe = built.summary["recipe"] | {"dedup": {"near": {"min_similarity": 0.8, "action": "flag"}}}
    flagged = cf.build(recipe, data=tmp_path / "data", out=tmp_path / "flagged").summary
    notes = next(stage["notes"] for stage in flagged["stages"] if stage["stage"] == "dedup")
    assert notes[f"flagged as {REASON.replace('duplicate', 'duplicates')}"] == 1099
    assert flagged["kept"] == 1100
