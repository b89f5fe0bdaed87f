"""Quotas in tokens: what brute force takes, in any order of rows and at any number of threads."""

from itertools import accumulate
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import chaffinch as cf
from chaffinch.errors import DataError
from chaffinch.recipe.sample import Sample
from chaffinch.stages import sample as sampling
from tests.conftest import write_jsonl
from tests.made_tokenizers import llama2, save
from tests.rows import everyone, row, store

LABELS = "abc"
rows_of = st.lists(st.tuples(st.sampled_from(LABELS), st.sampled_from("tu"), st.integers(0, 30)), max_size=40)
seeds = st.integers(0, 2**64 - 1)


def counted(rows: list[tuple[str, str, int]], numbers: list[int] | None = None) -> pa.Table:
    """A store of these rows with the column of tokens; `numbers` tell equal ones apart."""
    numbers = numbers or [*range(len(rows))]
    made = [
        row(f"{at} {tokens}", source=source, task=task)
        for at, (source, task, tokens) in zip(numbers, rows, strict=True)
    ]
    tokens = pa.array([tokens for *_, tokens in rows], pa.uint64())
    return store(made, chunk=7).append_column("tokens", pa.chunked_array([tokens]))


def drawn(table: pa.Table, step: dict[str, Any], seed: int, threads: int | None = None) -> tuple[list[int], Any]:
    alive = everyone(table)
    decisions, report = sampling.run(table, alive, [Sample(**step)], seed, threads=threads)
    return decisions.check(alive).tolist(), report


def by_force(table: pa.Table, stratum: list[Any], quota: dict[Any, int], seed: int) -> list[int]:
    """Each stratum's rows in order, up to the first that would go beyond the quota."""
    tokens = table["tokens"].to_pylist()
    order = sampling.order(table, everyone(table), seed).tolist()
    taken: list[int] = []
    for name, most in quota.items():
        ours = [at for at in order if stratum[at] == name]
        sums = [*accumulate(tokens[at] for at in ours)]
        # Rows without tokens are worth nothing, and of nothing nothing is drawn.
        taken += [at for at, total in zip(ours, sums, strict=True) if total <= most and most > 0 and sums[-1] > 0]
    return sorted(taken)


@given(rows_of, seeds, st.fixed_dictionaries({label: st.integers(0, 200) for label in LABELS}))
def test_quotas_are_those_of_brute_force(rows, seed, quota):
    table = counted(rows)
    source = table["source"].to_pylist()
    step = {"tokens": quota, "shortfall": "accept"}
    kept, report = drawn(table, step, seed)
    assert kept == by_force(table, source, quota, seed)
    tokens = table["tokens"].to_pylist()
    for line in report.to_pylist():
        ours = [at for at in kept if source[at] == line["stratum"]]
        assert line["taken"] == sum(tokens[at] for at in ours) <= line["asked"] == quota[line["stratum"]]
        assert line["available"] == sum(t for t, name in zip(tokens, source, strict=True) if name == line["stratum"])
        assert line["shortfall"] == max(line["asked"] - line["available"], 0)
    for threads in (1, 8):
        assert drawn(table, step, seed, threads)[0] == kept


@given(rows_of, seeds, st.randoms(), st.integers(0, 100))
def test_the_order_of_rows_changes_no_content_and_more_takes_the_same_rows(rows, seed, chance, quota):
    numbers = [*range(len(rows))]
    shuffled = [*numbers]
    chance.shuffle(shuffled)
    first, second = counted(rows), counted([rows[at] for at in shuffled], shuffled)
    quotas = dict.fromkeys(LABELS, quota)
    step = {"tokens": quotas, "shortfall": "accept"}
    kept = drawn(first, step, seed)[0]
    assert kept == sorted(shuffled[at] for at in drawn(second, step, seed)[0])
    more = {"tokens": dict.fromkeys(LABELS, 2 * quota), "shortfall": "accept"}
    assert {*kept} <= {*drawn(first, more, seed)[0]}


@given(rows_of, seeds, st.integers(1, 120))
def test_within_tasks_and_what_no_quota_names(rows, seed, quota):
    table = counted(rows)
    pairs = list(zip(table["task"].to_pylist(), table["source"].to_pylist(), strict=True))
    step = {"per": ["task"], "tokens": {"a": quota}, "others": "keep", "shortfall": "accept"}
    kept, _ = drawn(table, step, seed)
    others = [at for at, (_, source) in enumerate(pairs) if source != "a"]
    assert kept == sorted([*others, *by_force(table, pairs, {(task, "a"): quota for task in "tu"}, seed)])


@given(rows_of.filter(lambda rows: sum(tokens for *_, tokens in rows) > 0), seeds, st.floats(0.01, 1))
def test_a_total_is_shared_as_rows_are(rows, seed, share):
    table = counted(rows)
    source, tokens = table["source"].to_pylist(), table["tokens"].to_pylist()
    there = {name: sum(t for t, one in zip(tokens, source, strict=True) if one == name) for name in {*source}}
    total = int(sum(there.values()) * share)
    kept, report = drawn(table, {"tokens": total}, seed)
    quota = dict(
        zip(*(sampling.allocate(there, rows=total)[name].to_pylist() for name in ("stratum", "taken")), strict=True)
    )
    assert kept == by_force(table, source, quota, seed)
    assert sum(report["asked"].to_pylist()) == total
    # Of each stratum less than a row's tokens are left.
    left = total - sum(tokens[at] for at in kept)
    assert left <= len(there) * max(tokens)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        *(
            ("50M", 50_000_000),
            ("2k", 2000),
            ("1_000", 1000),
            ("1.5M", 1_500_000),
            ("0.25k", 250),
            ("3G", 3 * 10**9),
            ("1.5B", 15 * 10**8),
        ),
        *(("1_000_000k", 10**9), (0, 0), (12, 12), ("12", 12), ("1.50k", 1500), ("0", 0), ("1.0", 1)),
    ],
)
def test_numbers_of_tokens(text, number):
    assert Sample(tokens=text).tokens == number
    assert Sample(tokens={"a": text}).tokens == {"a": number}


@pytest.mark.parametrize(
    "text",
    [
        *("50m", "50 M", "M", "", "-1", -1, 1.0, 0.5, True, None, "1.5", "1.2345k", "1_00", "1__000", "_1", "1e6"),
        *("٣k", "1MM", "1,000", "0x10", "+5", "inf", "nan", "1k ", "\n1k", "9" * 30),
    ],
)
def test_what_is_no_number_of_tokens(text):
    with pytest.raises(ValidationError):
        Sample(tokens={"a": text})


@pytest.mark.parametrize(
    "step",
    [
        {"tokens": 5, "rows_each": 1},
        {"tokens": {"a": 5}, "method": "equal"},
        {"tokens": {"a": 5}, "cap": 2},
        {"tokens": 5, "order": "cpython"},
        {"tokens": 5, "rounding": "floor"},
    ],
)
def test_steps_that_mean_nothing(step):
    with pytest.raises(ValidationError):
        Sample(**step)


def recipe(folder: Path, sample: dict[str, Any], **more: Any) -> dict[str, Any]:
    save(folder / "tokenizer", llama2())
    rows = [{"instruction": f"question {at}", "output": "word " * (at % 30)} for at in range(400)]
    write_jsonl(folder / "data" / "a.jsonl", [one | {"task": f"t{at % 3}"} for at, one in enumerate(rows)])
    sources = [{"name": "a", "files": "a.jsonl", "fields": {"task": "task"}}]
    tokenize = {"tokenizer": str(folder / "tokenizer"), "max_length": 200}
    return {"name": "x", "sources": sources, "sample": sample, "tokenize": tokenize, **more}


@pytest.mark.parametrize("too_long", ["drop", "truncate", "split"])
@pytest.mark.parametrize("template", ["alpaca", "vicuna"])
def test_a_build_has_as_many_tokens_as_it_tells(too_long: str, template: str, tmp_path: Path) -> None:
    quotas = {"t0": "3k", "t1": 2_000, "t2": "1_500"}
    made = recipe(tmp_path, {"by": ["task"], "tokens": quotas}, format={"template": template})
    made["tokenize"]["too_long"] = too_long
    result = cf.build(made, data=tmp_path / "data", out=tmp_path / "out")
    table = pq.read_table(tmp_path / "out" / "data")
    sums = dict.fromkeys(quotas, 0)
    for task, ids in zip(table["task"].to_pylist(), table["input_ids"].to_pylist(), strict=True):
        sums[task] += len(ids)
    (step,) = result.summary["sample"]
    assert step["unit"] == "tokens"
    assert {one["stratum"]: one["taken"] for one in step["strata"]} == sums
    assert {one["stratum"]: one["asked"] for one in step["strata"]} == {"t0": 3000, "t1": 2000, "t2": 1500}
    assert all(0 <= one["asked"] - one["taken"] < 200 for one in step["strata"])
    # Another quota counts nothing again.
    made["sample"] = {"by": ["task"], "tokens": "4k"}
    again = cf.build(made, data=tmp_path / "data", out=tmp_path / "out").summary["stages"]
    assert {stage["stage"]: stage["cached"] for stage in again if stage["stage"] in ("count", "sample")} == {
        "count": True,
        "sample": False,
    }


def test_too_few_tokens_are_told(tmp_path: Path) -> None:
    made = recipe(tmp_path, {"tokens": {"a": "5M"}})
    with pytest.raises(DataError, match=r"stratum a has \d+ tokens, 5000000 were asked for"):
        cf.build(made, data=tmp_path / "data", out=tmp_path / "out")
    made["sample"]["shortfall"] = "accept"
    result = cf.build(made, data=tmp_path / "data", out=tmp_path / "out")
    assert any("5,000,000 tokens asked" in warning for warning in result.summary["warnings"])


def test_tokens_need_a_tokenizer_and_rows_whose_length_is_known(tmp_path: Path) -> None:
    made = recipe(tmp_path, {"tokens": "2k"})
    with pytest.raises(cf.RecipeError, match="nothing says what a token is"):
        cf.build(made | {"tokenize": None}, data=tmp_path / "data", out=tmp_path / "out")
    pools = {"pools": [{"file": "flan-cot", "sources": "a"}], "demonstrations": {}}
    with pytest.raises(cf.RecipeError, match="stand before a row"):
        cf.build(made | {"format": pools}, data=tmp_path / "data", out=tmp_path / "out")
