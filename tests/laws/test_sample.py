"""What holds for every draw."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.recipe.sample import Sample
from chaffinch.stages import sample as sampling
from tests.rows import everyone, row, store

seeds = st.integers(0, 2**64 - 1)
labelled = st.lists(st.tuples(st.sampled_from("abc"), st.text("xyz", max_size=2)), max_size=40)


def draw(rows, quotas, seed, **options):
    labels, keys = [label for label, _ in rows], [key for _, key in rows]
    table = sampling.sample(labels, quotas, seed=seed, keys=keys, **options)
    return list(zip(table["row"].to_pylist(), table["stratum"].to_pylist(), strict=True))


@given(labelled, seeds, st.data())
def test_quotas_are_exact_and_no_row_comes_twice(rows, seed, data):
    there = {label: sum(one == label for one, _ in rows) for label in "abc"}
    quotas = {label: data.draw(st.integers(0, count)) for label, count in there.items()}
    picks = draw(rows, quotas, seed)
    assert len({at for at, _ in picks}) == len(picks)
    assert all(rows[at][0] == label for at, label in picks)
    assert {label: sum(one == label for _, one in picks) for label in "abc"} == quotas
    for threads in (1, 2, 8):
        assert draw(rows, quotas, seed, threads=threads) == picks
    other = [("d", "x")] * 5
    assert [pick for pick in draw(other + rows, quotas | {"d": 3}, seed) if pick[1] != "d"] == [
        (at + 5, label) for at, label in picks
    ]
    smaller = {label: quota // 2 for label, quota in quotas.items()}
    for label in "abc":
        large = [at for at, one in picks if one == label]
        assert [at for at, one in draw(rows, smaller, seed) if one == label] == large[: smaller[label]]


@given(labelled, seeds, st.data())
def test_the_order_of_rows_changes_no_content(rows, seed, data):
    quotas = {label: sum(one == label for one, _ in rows) // 2 for label in "abc"}
    shuffled = data.draw(st.permutations(rows))
    assert [rows[at] for at, _ in draw(rows, quotas, seed)] == [shuffled[at] for at, _ in draw(shuffled, quotas, seed)]


def test_every_row_has_the_same_chance():
    """500 draws of 60 of 200 rows: each is drawn about 150 times, within five standard deviations."""
    counts = np.zeros(200)
    for seed in range(500):
        counts[sampling.sample(["a"] * 200, {"a": 60}, seed=seed, threads=1)["row"].to_numpy()] += 1
    assert np.all(np.abs(counts - 150) < 5 * np.sqrt(500 * 0.3 * 0.7))


@given(st.lists(st.integers(0, 3000), max_size=4), seeds)
def test_chunks_of_keys_change_nothing(ends, seed):
    labels = np.tile(["a", "b"], 1500)
    keys = pa.array([at.to_bytes(16, "little") for at in range(3000)], pa.binary(16))
    bounds = [0, *sorted(ends), 3000]
    chunks = pa.chunked_array([keys[start:end] for start, end in pairwise(bounds)])
    one = sampling.sample(labels, {"a": 700, "b": 7}, seed=seed, keys=range(3000))
    assert sampling.sample(labels, {"a": 700, "b": 7}, seed=seed, keys=keys) == one
    assert sampling.sample(labels, {"a": 700, "b": 7}, seed=seed, keys=chunks) == one


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("tu"), st.integers(0, 9)), max_size=30), seeds)
def test_kept_and_removed_are_all(rows, seed):
    table = store([row(str(text), source=source, task=task) for source, task, text in rows], chunk=7)
    alive = everyone(table)[::2]
    steps = [
        Sample(fraction=0.7),
        Sample(by=["source", "task"], rows_each=2, shortfall="accept"),
    ]
    decisions, report = sampling.run(table, alive, steps, seed)
    kept = decisions.check(alive)
    last = report.filter(np.asarray(report["step"]) == 2)
    assert len(kept) == sum(last["taken"].to_pylist())


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_change_nothing_in_a_large_draw(threads):
    generator = np.random.default_rng(2)
    labels = generator.choice(["a", "b", "c", "d"], 50_000)
    quotas = dict.fromkeys("abcd", 10_000)
    one = sampling.sample(labels, quotas, seed=1, threads=1)
    assert sampling.sample(labels, quotas, seed=1, threads=threads) == one


STEPS = [
    {"rows": {"low": 3, "high": 1}, "shortfall": "accept"},
    {"rows_each": 2, "shortfall": "accept"},
    {"fraction": 0.4},
    {"fraction": {"low": 0.8, "high": 0.2}, "rounding": "floor"},
    {"total": 2, "method": "equal", "shortfall": "accept"},
]


@given(
    st.lists(st.tuples(st.sampled_from(["t1", "t2", "t3"]), st.sampled_from(["low", "high"])), min_size=1, max_size=40),
    st.sampled_from(STEPS),
    st.integers(0, 2**64 - 1),
)
def test_a_step_within_tasks_is_the_step_on_each_task_alone(rows, step, seed):
    table = store([row(f"{at}", task=task, category=category) for at, (task, category) in enumerate(rows)], chunk=7)
    within = sampling.run(table, everyone(table), [Sample(by=["category"], per=["task"], **step)], seed)[0]
    alone = []
    for task in sorted({task for task, _ in rows}):
        ours = np.array([at for at, (one, _) in enumerate(rows) if one == task], np.uint32)
        alone += (
            sampling.run(table, ours, [Sample(by=["category"], others="drop", **step)], seed)[0].kept(ours).tolist()
        )
    assert within.kept(everyone(table)).tolist() == sorted(alone)
