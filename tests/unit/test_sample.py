import math
import random
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.sample import Sample
from chaffinch.stages import clean
from chaffinch.stages import sample as sampling
from tests.rows import everyone, row, store

SOURCES = {"a": 5, "b": 3, "c": 2}


def mixture():
    return store(
        [row(f"{source}{at}", source=source, task=f"t{at % 2}") for source, n in SOURCES.items() for at in range(n)]
    )


def drawn(*steps, table=None, seed=0):
    table = mixture() if table is None else table
    decisions, report = sampling.run(table, everyone(table), [Sample(**step) for step in steps], seed)
    kept = decisions.check(everyone(table))
    sources = table["source"].to_pylist()
    return {name: sum(sources[at] == name for at in kept) for name in sorted(set(sources))}, decisions, report


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        ({"rows": {"a": 2, "b": 3, "c": 0}}, {"a": 2, "b": 3, "c": 0}),
        ({"rows_each": 2}, {"a": 2, "b": 2, "c": 2}),
        ({"fraction": 0.5}, {"a": 3, "b": 1, "c": 1}),
        ({"fraction": {"a": 1.0, "b": 0.0, "c": 0.5}}, {"a": 5, "b": 0, "c": 1}),
        ({"total": 5}, {"a": 3, "b": 1, "c": 1}),
        ({"total": 6, "cap": 2}, {"a": 2, "b": 2, "c": 2}),
        ({"total": 7, "method": "equal", "shortfall": "redistribute"}, {"a": 3, "b": 2, "c": 2}),
        ({"total": 5, "method": "temperature", "temperature": 1000.0}, {"a": 2, "b": 2, "c": 1}),
        ({"total": 4, "method": "weights", "weights": {"a": 0, "b": 1, "c": 1}}, {"a": 0, "b": 2, "c": 2}),
        ({"rows": {"a": 1}, "others": "drop"}, {"a": 1, "b": 0, "c": 0}),
        ({"rows": {"a": 1}, "others": "keep"}, {"a": 1, "b": 3, "c": 2}),
        ({"rows_each": 3, "shortfall": "accept"}, {"a": 3, "b": 3, "c": 2}),
        ({"rows_each": 3, "shortfall": "redistribute"}, {"a": 4, "b": 3, "c": 2}),
        ({"rows": {"a": 1, "d": 9}, "others": "keep", "shortfall": "accept"}, {"a": 1, "b": 3, "c": 2}),
    ],
)
def test_quotas_are_met(step, expected):
    kept, _, report = drawn(step)
    assert kept == expected
    taken = dict(zip(report["stratum"].to_pylist(), report["taken"].to_pylist(), strict=True))
    assert all(taken.get(name, 0) == rows for name, rows in expected.items() if name in taken)


def test_reasons_tell_a_quota_from_a_stratum_left_out():
    _, decisions, _ = drawn({"rows": {"a": 4}, "others": "drop"})
    reasons = [decisions.reasons[code] for code in decisions.reason]
    assert sorted(reasons) == ["over quota"] + ["stratum not wanted"] * 5


def test_strata_of_two_columns_and_a_where():
    step = {"by": ["source", "task"], "where": {"source": ["a", "b"]}, "rows_each": 1}
    kept, _, report = drawn(step)
    assert kept == {"a": 2, "b": 2, "c": 2}
    assert report["stratum"].to_pylist() == ["a/t0", "a/t1", "b/t0", "b/t1"]


def test_steps_follow_each_other():
    kept, _, report = drawn({"rows_each": 2}, {"by": "task", "rows_each": 1})
    assert sum(kept.values()) == 2
    assert report["step"].to_pylist() == [1, 1, 1, 2, 2]


def test_a_missing_value_is_a_stratum():
    table = store([row("1", category=None), row("2", category="x")])
    _, _, report = drawn({"by": "category", "rows_each": 1}, table=table)
    assert report["stratum"].to_pylist() == ["none", "x"]


def test_labels_that_meet_are_refused():
    table = store([row("1", source="a/b", task="c"), row("2", source="a", task="b/c")])
    with pytest.raises(RecipeError, match="both called 'a/b/c'"):
        drawn({"by": ["source", "task"], "rows_each": 1}, table=table)


@pytest.mark.parametrize(
    ("step", "error", "message"),
    [
        ({"rows": {"a": 1}}, RecipeError, "step 1: no quota for b, c\nhint"),
        ({"rows_each": 3}, DataError, "stratum c has 2 rows, 3 were asked for\nhint"),
        ({"rows": {"a": 1, "b": 1, "c": 1, "d": 1}}, DataError, "stratum d has 0 rows"),
        ({"total": 11, "shortfall": "redistribute"}, DataError, "10 rows, 11 were asked for\nhint: ask for no more"),
        ({"by": "colour", "rows_each": 1}, RecipeError, "no column 'colour'\nhint: choose from source"),
        ({"where": {"colour": "red"}, "rows_each": 1}, RecipeError, "no column 'colour'"),
    ],
)
def test_what_cannot_be_drawn_is_an_error(step, error, message):
    with pytest.raises(error, match=message):
        drawn(step)


def test_no_rows_and_no_steps():
    assert drawn({"total": 0}, table=store([]))[0] == {}
    kept, decisions, report = drawn()
    assert (len(decisions.row), len(report), kept) == (0, 0, SOURCES)


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({}, "exactly one of rows"),
        ({"rows_each": 1, "total": 1}, "exactly one of rows"),
        ({"rows_each": 1.0}, "1.0 is no whole number of rows"),
        ({"rows": {"a": 1.0}}, "1.0 is no whole number of rows"),
        ({"rows": {"a": True}}, "no whole number"),
        ({"rows": {"a": "1"}}, "no whole number"),
        ({"rows_each": -1}, "cannot be drawn"),
        ({"fraction": 1}, "1 is no fraction"),
        ({"fraction": {"a": 1}}, "1 is no fraction"),
        ({"fraction": 1.5}, "between 0.0 and 1.0"),
        ({"fraction": float("nan")}, "between 0.0 and 1.0"),
        ({"total": 1, "method": "weights"}, "weights"),
        ({"total": 1, "weights": {"a": 1}}, "weights"),
        ({"total": 1, "method": "temperature"}, "temperature"),
        ({"total": 1, "method": "temperature", "temperature": 0.5}, "at least 1"),
        ({"rows_each": 1, "cap": 5}, "cap"),
        ({"rows_each": 1, "method": "equal"}, "method"),
        ({"total": 1, "method": "weights", "weights": {"a": -1.0}}, "greater than or equal"),
        ({"rows_each": 1, "seed": 3}, "seed"),
        ({"rows_each": 1, "by": []}, "at least 1"),
    ],
)
def test_steps_that_mean_nothing_are_refused(step, message):
    with pytest.raises(ValidationError, match=message) as caught:
        Sample(**step)
    assert caught.value.error_count() == 1


def test_sample_draws_by_label():
    table = sampling.sample(["a", "b", None, "a", "c"], {"a": 1, "b": 1, None: 1}, seed=3)
    assert sorted(table["stratum"].to_pylist(), key=str) == [None, "a", "b"]
    assert table.schema.field("row").type == "uint32"


def test_a_seed_gives_an_order_and_another_seed_another():
    labels = ["a"] * 100
    orders = [sampling.sample(labels, {"a": 100}, seed=seed)["row"].to_pylist() for seed in (0, 0, 1)]
    assert orders[0] == orders[1]
    assert orders[0] != orders[2]
    assert sorted(orders[2]) == list(range(100))


@pytest.mark.parametrize("keys", [list(range(4)), ["w", "x", "y", "z"], [b"%016d" % at for at in range(4)]])
def test_keys_decide_and_not_the_order_of_rows(keys):
    if isinstance(keys[0], bytes):
        forwards, backwards = pa.array(keys, pa.binary(16)), pa.array(keys[::-1], pa.binary(16))
    else:
        forwards, backwards = keys, keys[::-1]
    labels = ["a"] * 4
    one = sampling.sample(labels, {"a": 2}, seed=5, keys=forwards)["row"].to_pylist()
    two = sampling.sample(labels, {"a": 2}, seed=5, keys=backwards)["row"].to_pylist()
    assert [keys[at] for at in one] == [keys[::-1][at] for at in two]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: sampling.sample(["a"], {"a": 1.0}, seed=0), "hint: 1 and 1.0 are different"),
        (lambda: sampling.sample(["a"], {"a": True}, seed=0), "not a whole number"),
        (lambda: sampling.sample(["a"], {"a": -1}, seed=0), "at least 0"),
        (lambda: sampling.sample(["a"], {"a": 2}, seed=0), "stratum a has 1 rows, 2"),
        (lambda: sampling.sample(["a"], {"b": 1}, seed=0), "stratum b has 0 rows"),
        (lambda: sampling.sample(["a"], {"a": 1}, seed=-1), "seed is -1"),
        (lambda: sampling.sample(["a"], {"a": 1}, seed=0, keys=["x", "y"]), "keys"),
        (lambda: sampling.sample(["a"], {"a": 1}, seed=0, keys=[None]), "keys has 1 nulls"),
        (lambda: sampling.sample(["a"], {"a": 1}, seed=0, keys=[0.5]), "keys is double, not text"),
        (lambda: sampling.sample([1], {"1": 1}, seed=0), "not text"),
        (lambda: sampling.sample([None, "none"], {None: 1, "none": 1}, seed=0), "a label of their own"),
        (lambda: sampling.allocate({"a": 5}, rows=2.0), "not a whole number"),
        (lambda: sampling.allocate({"a": 5}, fraction=1), "not a fraction"),
        (lambda: sampling.allocate({"a": 5}), "exactly one of"),
        (lambda: sampling.allocate({"a": 5}, rows=1, counts={"a": 1}), "exactly one of"),
        (lambda: sampling.allocate({"a": 5}, rows=1, method="softmax"), "method is softmax"),
        (lambda: sampling.allocate({"a": 5}, rows=1, shortfall="ignore"), "shortfall is ignore"),
        (lambda: sampling.allocate({"a": 5.0}, rows=1), "not a whole number"),
        (lambda: sampling.allocate({"a": 2**62}, rows=1), "below 2\\^60"),
    ],
)
def test_wrong_arguments_say_what_is_wrong(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_allocation_reports_what_is_missing():
    table = sampling.allocate({"a": 1, "b": 9}, counts={"a": 4, "b": 2}, shortfall="redistribute")
    assert table.to_pylist() == [
        {"stratum": "a", "available": 1, "asked": 4, "taken": 1, "shortfall": 3},
        {"stratum": "b", "available": 9, "asked": 2, "taken": 5, "shortfall": 0},
    ]


def test_order_is_a_shuffle_of_the_chosen_rows():
    table = mixture()
    chosen = np.array([1, 4, 7, 8], np.uint32)
    assert sorted(sampling.order(table, chosen, 1)) == chosen.tolist()
    assert sampling.order(table, chosen[:0], 1).tolist() == []


def tasks_of(kept, table):
    names = zip(table["task"].to_pylist(), table["category"].to_pylist(), strict=True)
    counts = Counter(name for at, name in enumerate(names) if at in set(kept.tolist()))
    return dict(sorted(counts.items()))


def answered():
    """Three tasks with 8, 3 and 1 rows of category `low`, and 5 of `high` each."""
    return store(
        [
            row(f"{task}{category}{at}", task=task, category=category)
            for task, low in (("t1", 8), ("t2", 3), ("t3", 1))
            for category, rows in (("low", low), ("high", 5))
            for at in range(rows)
        ]
    )


@pytest.mark.parametrize(
    ("step", "low", "high"),
    [
        ({"rows": {"low": 4, "high": 2}, "shortfall": "accept"}, [4, 3, 1], [2, 2, 2]),
        ({"rows": {"low": 4}, "shortfall": "accept", "others": "drop"}, [4, 3, 1], [0, 0, 0]),
        ({"rows": {"low": 1, "none": 9}, "others": "keep"}, [1, 1, 1], [5, 5, 5]),
        ({"rows_each": 1}, [1, 1, 1], [1, 1, 1]),
        ({"fraction": 0.5, "rounding": "floor"}, [4, 1, 0], [2, 2, 2]),
        ({"fraction": {"low": 0.8, "high": 0.2}, "rounding": "floor"}, [6, 2, 0], [1, 1, 1]),
        ({"fraction": 0.5}, [4, 1, 0], [3, 3, 3]),
        ({"total": 4, "method": "equal", "shortfall": "redistribute"}, [2, 2, 1], [2, 2, 3]),
    ],
)
def test_a_step_is_done_within_each_task(step, low, high):
    table = answered()
    decisions, report = sampling.run(table, everyone(table), [Sample(by=["category"], per=["task"], **step)], 0)
    counts = tasks_of(decisions.check(everyone(table)), table)
    assert [counts.get((f"t{at}", "low"), 0) for at in (1, 2, 3)] == low
    assert [counts.get((f"t{at}", "high"), 0) for at in (1, 2, 3)] == high
    taken = {line["stratum"]: line["taken"] for line in report.to_pylist()}
    assert taken.get("low", sum(low)) == sum(low)
    assert taken.get("high", sum(high)) == sum(high)
    available = {line["stratum"]: line["available"] for line in report.to_pylist()}
    assert available["low"] == 12


def test_a_task_that_is_short_is_named():
    table = answered()
    with pytest.raises(DataError, match="sample, step 1, t2: stratum low has 3 rows"):
        sampling.run(table, everyone(table), [Sample(by=["category"], per=["task"], rows={"low": 4, "high": 1})], 0)


def test_what_one_task_has_changes_no_other_task_s_draw():
    table = answered()
    step = [Sample(by=["category"], per=["task"], rows_each=2, shortfall="accept")]
    kept = sampling.run(table, everyone(table), step, 3)[0].kept(everyone(table))
    some = np.array([at for at, task in enumerate(table["task"].to_pylist()) if task != "t2"], np.uint32)
    fewer = sampling.run(table, some, step, 3)[0].kept(some)
    assert fewer.tolist() == [at for at in kept.tolist() if at in some]


@pytest.mark.parametrize("fraction", [0.1, 0.2, 0.29, 0.4, 0.57, 0.8, 1.0])
def test_floors_are_those_of_python(fraction):
    for rows in range(60):
        report = sampling._quotas(Sample(fraction=fraction, rounding="floor"), {"a": rows})
        assert report["taken"].to_pylist() == [math.floor(fraction * rows)]


@pytest.mark.parametrize("seed", range(20))
def test_cpython_s_order_is_its_own_shuffle(seed):
    table = answered()
    step = Sample(by=["category"], per=["task"], rows_each=2, shortfall="accept", order="cpython")
    alive = everyone(table)[2:]
    decisions, _ = sampling.run(table, alive, [step], seed)
    generator, expected = random.Random(seed), []
    for task in ("t1", "t2", "t3"):
        for category in ("high", "low"):
            names = zip(table["task"].to_pylist(), table["category"].to_pylist(), strict=True)
            rows = [at for at, name in enumerate(names) if name == (task, category) and at >= 2]
            generator.shuffle(rows)
            expected += rows[:2]
    assert decisions.check(alive).tolist() == sorted(expected)


def test_rows_beyond_the_limits_go_after_the_draw_and_none_come_for_them():
    table = store([row(f"{at}", input="word " * at, references=["a"] * (1 + at % 2)) for at in range(40)])
    plain = Sample(by=["source"], fraction=0.5, rounding="floor")
    limits = {"max_references": 1, "lengths": {"field": "input", "unit": "whitespace", "max": 20}}
    drawn = sampling.run(table, everyone(table), [plain], 0)[0].kept(everyone(table))
    step = Sample(by=["source"], fraction=0.5, rounding="floor", limits=limits)
    decisions, report = sampling.run(table, everyone(table), [step], 0, limits=clean.limits)
    kept = decisions.check(everyone(table))
    assert report["taken"].to_pylist() == [20]
    assert kept.tolist() == [at for at in drawn.tolist() if at % 2 == 0 and at <= 20]
    assert set(decisions.reasons) == {"over quota", "stratum not wanted", "over 1 references", "input over 20 words"}


def test_rows_that_pass_a_step_know_no_limits_of_it():
    table = store([row(f"{at}", source="ab"[at % 2], input="word " * 9) for at in range(10)])
    limits = {"lengths": {"field": "input", "unit": "whitespace", "max": 5}}
    step = Sample(where={"source": ["a"]}, rows={"a": 3}, limits=limits)
    decisions, _ = sampling.run(table, everyone(table), [step], 0, limits=clean.limits)
    assert Counter(table["source"].to_pylist()[at] for at in decisions.check(everyone(table))) == {"b": 5}


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"rows_each": 1, "rounding": "floor"}, "`rounding:` goes with `fraction:`"),
        ({"rows_each": 1, "by": ["task"], "per": ["task"]}, "stands in `by:` and in `per:`"),
    ],
)
def test_rounding_and_per_go_with_what_they_change(step, message):
    with pytest.raises(ValidationError, match=message):
        Sample(**step)
