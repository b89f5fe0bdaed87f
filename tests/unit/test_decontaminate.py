"""The stage in a build: what goes, what stays, and what is told of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

import chaffinch as cf
from chaffinch.errors import DataError, RecipeError
from chaffinch.pipeline import Run
from chaffinch.progress import NoProgress
from chaffinch.recipe.load import load_recipe
from chaffinch.synth import synthesise
from tests.conftest import write_jsonl

ITEM = "How many eggs does the grey goose of the mill lay in the first week of a wet spring?"
OTHER = "Which of the seven lighthouse keepers has painted the northern door of his tower green this year?"
CHANGED = ITEM.replace("wet", "dry").replace("grey", "white")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    data = tmp_path / "data"
    rows = [{"instruction": f"Write a line about {word}.", "output": word} for word in ("hay", "rye", "oats")]
    write_jsonl(data / "one.jsonl", [*rows, {"instruction": f"Now: {ITEM.upper()}", "output": "nine"}])
    write_jsonl(
        data / "two.jsonl",
        [
            {"instruction": "Count.", "input": CHANGED, "output": "eight"},
            {"instruction": "Echo the question.", "output": f"{OTHER} Nobody knows."},
            {"instruction": f"{OTHER} {ITEM}", "output": "both"},
        ],
    )
    write_jsonl(data / "eval" / "goose.jsonl", [{"question": "unrelated words only"}, {"question": ITEM}])
    write_jsonl(data / "eval" / "keepers.jsonl", [{"id": "k-1", "prompt": OTHER}])
    return data


def build(data: Path, out: Path, **stage: Any) -> cf.Result:
    recipe = {
        "name": "t",
        "sources": [
            {"name": "one", "files": ["one.jsonl"]},
            {"name": "two", "files": ["two.jsonl"]},
        ],
        "decontaminate": {"against": ["eval/goose.jsonl", "eval/keepers.jsonl"], **stage},
    }
    return cf.build(recipe, data=data, out=out)


def evidence(result: cf.Result) -> list[tuple[str, str, str, bool]]:
    rows = pq.read_table(result.out / "contamination.parquet").to_pylist()
    return sorted((row["source"], row["evaluation_set"], row["item"], row["removed"]) for row in rows)


def test_rows_go_with_the_sets_name_and_coverage(data: Path, tmp_path: Path) -> None:
    result = build(data, tmp_path / "out")
    ledger = pq.read_table(result.out / "ledger.parquet").to_pylist()
    told = sorted((row["source"], row["stage"], row["reason"], round(row["score"], 2)) for row in ledger)
    # Ties go to the set with more words, and of the changed question there is too little without 13 words in a row.
    assert told == [
        ("one", "decontaminate", "eval/goose.jsonl", 1.0),
        ("two", "decontaminate", "eval/goose.jsonl", 1.0),
    ]
    assert evidence(result) == [
        ("one", "eval/goose.jsonl", "1", True),
        ("two", "eval/goose.jsonl", "1", True),
        ("two", "eval/keepers.jsonl", "k-1", True),
    ]
    assert result.summary["contamination"] == [
        {"evaluation_set": "eval/goose.jsonl", "source": "one", "rows": 1, "removed": 1, "in_mixture": 0, "items": 1},
        {"evaluation_set": "eval/goose.jsonl", "source": "two", "rows": 1, "removed": 1, "in_mixture": 0, "items": 1},
        {"evaluation_set": "eval/keepers.jsonl", "source": "two", "rows": 1, "removed": 1, "in_mixture": 0, "items": 1},
    ]


def test_all_items_that_rows_hold_are_counted_and_not_the_best_alone(data: Path, tmp_path: Path) -> None:
    more = ["Why does the baker of the harbour town close his shop before noon on every second Monday of May?", ITEM]
    write_jsonl(data / "eval" / "goose.jsonl", [{"question": text} for text in (ITEM, OTHER, *more)])
    # The second row holds two items, and of ITEM there are two copies; one row of `one` holds both copies.
    result = build(data, tmp_path / "out", against=["eval/goose.jsonl"])
    told = [(line["source"], line["rows"], line["items"]) for line in result.summary["contamination"]]
    assert told == [("one", 1, 2), ("two", 1, 3)]
    stage = next(stage for stage in result.summary["stages"] if stage["stage"] == "decontaminate")
    assert stage["notes"] == {}
    again = build(data, tmp_path / "out", against=["eval/goose.jsonl"])
    assert again.summary["contamination"] == result.summary["contamination"]


def test_flagged_and_excepted_rows_stay_and_are_told(data: Path, tmp_path: Path) -> None:
    flagged = build(data, tmp_path / "flagged", policy="flag")
    assert flagged.summary["kept"] == 7
    assert [row[3] for row in evidence(flagged)] == [False] * 3
    assert [line["in_mixture"] for line in flagged.summary["contamination"]] == [1, 1, 1]
    excepted = build(data, tmp_path / "excepted", **{"except": ["one"]})
    assert excepted.summary["kept"] == 6
    assert [row[3] for row in evidence(excepted)] == [False, True, True]
    page = (flagged.out / "report.html").read_text()
    assert "Evaluation sets" in page
    assert "eval/keepers.jsonl" in page


def test_what_is_looked_at_and_how_near_is_the_recipes_choice(data: Path, tmp_path: Path) -> None:
    assert build(data, tmp_path / "whole", on="whole").summary["kept"] == 4
    assert build(data, tmp_path / "input", on="input", ngram=4, min_coverage=0.3).summary["kept"] == 6
    assert build(data, tmp_path / "all", ngram=4, min_coverage=0.3).summary["kept"] == 4


def test_why_tells_what_a_row_holds(data: Path, tmp_path: Path) -> None:
    out = build(data, tmp_path / "out").out
    rows = pq.read_table(out / "contamination.parquet").to_pylist()
    row = next(row for row in rows if row["evaluation_set"] == "eval/keepers.jsonl")
    story = cf.why(out, row["row_id"])
    assert (story.stage, story.reason, story.score) == ("decontaminate", "eval/goose.jsonl", 1.0)
    held = {one["evaluation_set"]: (one["item"], one["matched_words"], one["text"]) for one in story.contamination}
    assert held["eval/keepers.jsonl"] == ("k-1", 17, OTHER[:-1])
    assert held["eval/goose.jsonl"][2] == ITEM[:-1]
    assert json.dumps(story.to_dict())


def test_a_rebuild_takes_the_evidence_from_the_cache(data: Path, tmp_path: Path) -> None:
    first = build(data, tmp_path / "out")
    before = (first.out / "contamination.parquet").read_bytes()
    again = build(data, tmp_path / "out")
    stage = next(stage for stage in again.summary["stages"] if stage["stage"] == "decontaminate")
    assert stage["cached"]
    assert (again.out / "contamination.parquet").read_bytes() == before
    for path in (tmp_path / "out" / ".chaffinch" / "decisions").glob("*.findings.arrow"):
        path.write_bytes(b"cut")
    mended = build(data, tmp_path / "out")
    assert not next(stage for stage in mended.summary["stages"] if stage["stage"] == "decontaminate")["cached"]
    assert (mended.out / "contamination.parquet").read_bytes() == before


def test_other_items_are_decided_again(data: Path, tmp_path: Path) -> None:
    assert build(data, tmp_path / "out").summary["kept"] == 5
    write_jsonl(data / "eval" / "goose.jsonl", [{"question": "unrelated words only"}])
    assert build(data, tmp_path / "out").summary["kept"] == 6


def test_a_missing_set_is_an_error_or_a_warning(data: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gsm8k/test is not under .*\nhint: put its files .*hub:gsm8k"):
        build(data, tmp_path / "out", against=["gsm8k"])
    result = build(data, tmp_path / "out", against=["gsm8k", "eval/goose.jsonl"], missing="skip")
    assert result.summary["warnings"] == ["not decontaminated against gsm8k: they are not in the data folder"]
    assert result.summary["kept"] == 5
    nothing = build(data, tmp_path / "none", against=["gsm8k"], missing="skip")
    assert nothing.summary["kept"] == 7
    assert nothing.summary["contamination"] == []


def test_the_demo_finds_exactly_what_was_planted(tmp_path: Path) -> None:
    data = tmp_path / "data"
    synthesise(data, 20_000)
    planted = {
        (line["file"], line["position"]): line["item"]
        for line in map(json.loads, (data / "planted.jsonl").read_text().splitlines())
        if line["planted"] == "evaluation-item"
    }
    recipe = load_recipe("demo", {"decontaminate.policy": "flag"})
    run = Run(recipe, data, tmp_path / "out", tmp_path / "cache", None, NoProgress())
    run.read()
    run.decide()
    stages = [step.stage for step in run.steps]
    there = np.arange(len(run.rows), dtype=np.uint32)
    for step in run.steps[: stages.index("decontaminate")]:
        there = step.decisions.kept(there)
    positions = run.rows.table["position"]
    expected = {}
    for row in there.tolist():
        item = planted.get((run.rows.shard_of(row).file, positions[row].as_py()))
        if item is not None:
            expected[row] = item
    found = run.contamination()
    assert len(expected) > 30
    assert dict(zip(found["row"].to_pylist(), found["item"].to_pylist(), strict=True)) == expected


def test_recipes_that_make_no_sense_are_refused(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"decontaminate\.except: no source 'three'"):
        build(data, tmp_path / "out", **{"except": ["three"]})
    for wrong in ({"ngram": 0}, {"min_coverage": 0}, {"min_coverage": float("nan")}, {"against": []}, {"on": "title"}):
        with pytest.raises(RecipeError, match="decontaminate"):
            build(data, tmp_path / "out", **wrong)
    with pytest.raises(RecipeError, match="leads out of the data folder"):
        build(data, tmp_path / "out", against=["../secret.jsonl"])


def test_the_evidence_does_not_depend_on_the_order_of_rows(data: Path, tmp_path: Path) -> None:
    rows = [{"instruction": ITEM, "output": "a"}, {"instruction": OTHER, "output": "b"}]
    tables = []
    for order in (rows, rows[::-1]):
        write_jsonl(data / "one.jsonl", order)
        tables.append(pq.read_table(build(data, tmp_path / f"out{len(tables)}").out / "contamination.parquet"))
    assert tables[0].equals(tables[1])
    assert tables[0]["evaluation_set"].to_pylist() == sorted(tables[0]["evaluation_set"].to_pylist())


def test_items_of_a_renamed_file_have_its_name(data: Path, tmp_path: Path) -> None:
    build(data, tmp_path / "out", against="eval/*.jsonl")
    (data / "eval" / "goose.jsonl").rename(data / "eval" / "gander.jsonl")
    result = build(data, tmp_path / "out", against="eval/*.jsonl")
    assert {item for _, _, item, _ in evidence(result)} == {"gander:1"}


def test_a_build_is_no_evaluation_set_of_the_next_into_its_folder(data: Path) -> None:
    build(data, data / "out")
    with pytest.raises(DataError, match=r"(?s)data.train.*what this one would read\nhint: .*`against:`"):
        build(data, data / "out", against=["eval/goose.jsonl", "out/data/*.parquet"])
