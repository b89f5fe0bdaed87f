"""Near duplicates in whole builds: the demo's known answers, what `why` and the manifest say."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
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


def test_what_a_rule_flags_is_in_the_manifest_and_stays(built: cf.Result, tmp_path: Path) -> None:
    recipe = built.summary["recipe"] | {"dedup": {"near": {"min_similarity": 0.8, "action": "flag"}}}
    flagged = cf.build(recipe, data=tmp_path / "data", out=tmp_path / "flagged").summary
    notes = next(stage["notes"] for stage in flagged["stages"] if stage["stage"] == "dedup")
    assert notes[f"flagged as {REASON.replace('duplicate', 'duplicates')}"] == 1099
    assert flagged["kept"] == 1100
