"""Controls of a finished build: as large, of its candidates, and chosen without its judgement."""

import json
import random
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import chaffinch as cf
from chaffinch.cli import app
from tests.conftest import write_jsonl
from tests.made_tokenizers import llama2, save

WORDS = [f"{a}{b}" for a in "bcdfglmnprst" for b in ("an", "el", "ip", "or", "u")]


def rows(count: int, seed: int) -> list[dict[str, Any]]:
    chance = random.Random(seed)
    made = [
        {
            "instruction": " ".join(chance.choices(WORDS, k=12)),
            "output": " ".join(chance.choices(WORDS, k=chance.randint(1, 40))),
        }
        for _ in range(count)
    ]
    # Duplicates, which no control may have, and too short ones, which `clean` removes.
    return [*made, *(dict(row) for row in made[::5]), *({"instruction": f"x{n}", "output": ""} for n in range(20))]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_jsonl(tmp_path / "data/a.jsonl", rows(300, 1))
    write_jsonl(tmp_path / "data/b.jsonl", rows(150, 2))
    held = [{"question": row["instruction"], "answer": row["output"]} for row in rows(300, 1)[:7]]
    write_jsonl(tmp_path / "data/held.jsonl", held)
    return tmp_path


def recipe(**more: Any) -> dict[str, Any]:
    return {
        "name": "x",
        "seed": 3,
        "sources": [{"name": "a", "files": "a.jsonl"}, {"name": "b", "files": "b.jsonl"}],
        "dedup": {"exact": {"on": "whole"}},
        "decontaminate": {"against": "held.jsonl", "ngram": 8},
        "sample": {"rows": {"a": 80, "b": 40}},
        "validation_fraction": 0.1,
        **more,
    }


def ids(result: cf.Result) -> set[str]:
    names = dict.fromkeys(one["split"] for one in result.summary["outputs"])
    return {row for name in names for row in result.split(name)["row_id"].to_pylist()}


def candidates(result: cf.Result) -> dict[str, int]:
    """Row id to the response's length, of the rows that came to `sample`."""
    ledger = result.ledger.to_pylist()
    drawn = {row["row_id"] for row in ledger if row["stage"] == "sample"}
    every = cf.build(
        {**result.summary["recipe"], "sample": [], "name": "every", "validation_fraction": 0.0},
        data=result.out.parent / "data",
        out=result.out.parent / "every",
    )
    lengths = {row["row_id"]: len(row["response"]) for row in every.table.to_pylist()}
    assert drawn | ids(result) == set(lengths)
    return lengths


def gone_before(result: cf.Result) -> dict[str, str]:
    ledger = result.ledger.to_pylist()
    return {row["row_id"]: row["reason"] for row in ledger if row["stage"] not in ("sample", "control")}


def test_controls_are_as_large_and_of_the_candidates(folder: Path) -> None:
    made = cf.build(recipe(), data=folder / "data", out=folder / "out")
    found = cf.controls(folder / "out", data=folder / "data", to=folder / "controls")
    lengths = candidates(made)
    assert len(lengths) == 450 - 7
    for kind, result in found.items():
        chosen = ids(result)
        assert len(chosen) == result.summary["kept"] == made.summary["kept"] == 120
        assert chosen <= set(lengths)
        assert chosen != ids(made)
        # The account is whole, and what went before went for the same reasons.
        assert gone_before(result) == gone_before(made)
        assert result.summary["contamination"][0]["rows"] == made.summary["contamination"][0]["rows"] == 7
        assert (len(result.table), len(result.split("validation"))) == (108, 12)
        cached = {stage["stage"]: stage["cached"] for stage in result.summary["stages"]}
        assert [stage for stage, there in cached.items() if not there] == ["control"]
        assert result.summary["recipe"]["name"] == f"x-{kind}"
        assert "every row is accounted for" in result.report.read_text().lower()
    longest = ids(found["longest"])
    assert min(lengths[row] for row in longest) >= max(length for row, length in lengths.items() if row not in longest)


def test_random_rows_are_random_and_hang_on_neither_threads_nor_order(folder: Path) -> None:
    made = cf.build(recipe(), data=folder / "data", out=folder / "out")
    first = ids(cf.controls(folder / "out", data=folder / "data", to=folder / "one", threads=1)["random"])
    lines = (folder / "data/a.jsonl").read_text().splitlines(keepends=True)
    (folder / "data/a.jsonl").write_text("".join(reversed(lines)))
    cf.build(recipe(), data=folder / "data", out=folder / "out")
    assert ids(cf.controls(folder / "out", data=folder / "data", to=folder / "two", threads=2)["random"]) == first
    # 120 of 443 and 120 of 443: 32.5 in both, by chance; four deviations of 4.2.
    assert 16 <= len(first & ids(made)) <= 49
    # 67 % of the candidates are of a.
    assert 60 <= sum(row.startswith("a/") for row in first) <= 100
    other = cf.build(recipe(seed=4), data=folder / "data", out=folder / "other")
    assert other.summary["kept"] == 120
    assert ids(cf.controls(folder / "other", data=folder / "data", to=folder / "three")["random"]) != first


def test_as_many_tokens(folder: Path) -> None:
    save(folder / "tokenizer", llama2())
    more = {"tokenize": {"tokenizer": str(folder / "tokenizer"), "max_length": 1024}}
    more |= {"pack": {"length": 1024}, "write": {"trainer": "torch"}}
    made = cf.build(recipe(**more), data=folder / "data", out=folder / "out")
    assert made.summary["kept"] == 120

    def tokens(result: cf.Result) -> int:
        tables = [result.split(name) for name in ("train", "validation")]
        return sum(len(row) for table in tables for row in table["input_ids"].to_pylist())

    by_tokens = cf.controls(folder / "out", data=folder / "data", to=folder / "tokens", by="tokens")
    by_rows = cf.controls(folder / "out", data=folder / "data", to=folder / "rows")
    for kind in ("random", "longest"):
        assert tokens(made) - 1024 < tokens(by_tokens[kind]) <= tokens(made)
        assert by_rows[kind].summary["kept"] == made.summary["kept"]
        assert (folder / "tokens" / kind / "trainer" / "train.index.arrow").is_file()
    assert by_tokens["longest"].summary["kept"] < made.summary["kept"]


def test_what_has_no_control_is_refused(folder: Path) -> None:
    cf.build(recipe(sample=[]), data=folder / "data", out=folder / "all")
    with pytest.raises(cf.DataError, match="chose nothing"):
        cf.controls(folder / "all", data=folder / "data", to=folder / "controls")
    cf.build(recipe(), data=folder / "data", out=folder / "out")
    with pytest.raises(cf.DataError, match="has no tokens"):
        cf.controls(folder / "out", data=folder / "data", to=folder / "controls", by="tokens")
    too_many = recipe(sample=[], control={"choose": "random", "rows": 444})
    with pytest.raises(cf.DataError, match="443 rows are left, 444 were asked for"):
        cf.build(too_many, data=folder / "data", out=folder / "more")
    for wrong in (
        {"choose": "random"},
        {"choose": "random", "rows": 1, "tokens": 1},
        {"choose": "random", "tokens": 1},
    ):
        with pytest.raises(cf.RecipeError, match=r"rows and tokens|tokenize"):
            cf.build(recipe(control=wrong), data=folder / "data", out=folder / "wrong")
    with (folder / "data/a.jsonl").open("a") as file:
        file.write(json.dumps({"instruction": "one more", "output": "row"}) + "\n")
    with pytest.raises(cf.DataError, match=r"is not what .* was built from"):
        cf.controls(folder / "out", data=folder / "data", to=folder / "controls")
    (folder / "data/a.jsonl").write_text((folder / "data/a.jsonl").read_text().rsplit("\n", 2)[0] + "\n")
    arguments = ["controls", str(folder / "out"), "--data", str(folder / "data"), "-o", str(folder / "c"), "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0
    assert [one["rows"] for one in json.loads(done.stdout)] == [120, 120]
