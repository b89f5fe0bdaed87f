import numpy as np
import pyarrow as pa
import pytest
from pydantic import ValidationError

from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.sample import Sample
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
