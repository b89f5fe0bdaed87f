"""Labelled rows by their scores."""

import math
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from chaffinch.recipe.bucket import Bucket
from chaffinch.recipe.clean import Clean
from chaffinch.stages import bucket, clean
from tests.rows import everyone, row, store

NAN = float("nan")


def scored(rows, **spec):
    """Rows as (label, score, accuracy, answer) -> their buckets and the reasons why some went."""
    table = store([row(f"{at}", input=f"word {at}") for at in range(len(rows))])
    label, score, accuracy, answer = zip(*rows, strict=True)
    for name, column in (
        ("label", pa.array(label, pa.string())),
        ("score", pa.array(score, pa.float64())),
        ("task_accuracy", pa.array(accuracy, pa.float64())),
        ("answer", pa.array(answer, pa.large_string())),
    ):
        table = table.append_column(name, column)
    decisions = bucket.run(table, everyone(table), Bucket(**spec), limits=clean.limits)
    decisions.check(everyone(table))
    went = {int(at): decisions.reasons[code] for at, code in zip(decisions.row, decisions.reason, strict=True)}
    return decisions.columns["bucket"].to_pylist(), went


def test_generation_falls_into_half_open_intervals():
    scores = [0.0, 0.199999995, 0.2, 0.3, 0.7999999, 0.8, 1.0, -0.1, NAN, None, None]
    answers = ["a"] * 9 + [None, "a"]
    rows = [("generation", score, None, answer) for score, answer in zip(scores, answers, strict=True)]
    found, went = scored(rows)
    assert found[:8] == ["[0, 0.2)"] * 2 + ["[0.2, 0.3)", "[0.3, 0.4)", "[0.7, 0.8)", "above", "above", "below"]
    assert found[8:] == ["nan", "null", "null"]
    assert went == {
        5: "score 0.8 or above",
        6: "score 0.8 or above",
        7: "score under 0",
        8: "score is NaN",
        9: "no answer",
        10: "no references",
    }
    found, went = scored(rows, missing="keep")
    assert found[8:] == ["nan", "null", "null"]
    assert sorted(went) == [5, 6, 7]


@given(st.integers(0, 500), st.integers(1, 500))
def test_deciles_are_those_of_python(right, rows):
    accuracy = min(right, rows) / rows
    found, _ = scored([("exact_match", 0.0, accuracy, "a")])
    assert found == [f"decile {math.floor(int(accuracy * 100) / 10)}"]


def test_every_hundredth_has_its_decile():
    accuracies = [right / rows for rows in range(1, 201) for right in range(rows + 1)]
    found, went = scored([("exact_match", 1.0, accuracy, "a") for accuracy in accuracies])
    assert found == [f"decile {math.floor(int(accuracy * 100) / 10)}" for accuracy in accuracies]
    assert went == {}
    assert {*found} == {*bucket.DECILES}


def test_exact_match_rows_go_for_the_first_reason():
    rows = [("exact_match", score, accuracy, "a") for score in (0.0, 1.0) for accuracy in (0.05, 0.1, 0.5)]
    rows += [("exact_match", None, 0.5, None), (None, None, None, None), ("exact_match", None, None, None)]
    found, went = scored(rows, exact_match={"only_wrong": True, "remove_tasks_below": 0.1})
    assert found == ["decile 0", "decile 1", "decile 5"] * 2 + ["null", None, "null"]
    under = "task accuracy under 0.1"
    assert went == {0: under, 3: under, 4: "right answer", 5: "right answer", 6: "no answer", 8: "no answer"}


def test_limits_are_each_label_s_own():
    rows = [(label, 0.0, 0.5, "a") for label in ("exact_match", "generation", None) for _ in range(2)]
    limits = {"lengths": {"field": "input", "unit": "space", "max": 1}}
    exact = scored(rows, exact_match={"limits": limits})[1]
    assert exact == dict.fromkeys((0, 1), "input over 1 space-split words")
    generation = scored(rows, generation={"limits": limits})[1]
    assert [*generation] == [2, 3]


def test_only_rows_still_in_have_a_bucket():
    table = store([row(f"{at}") for at in range(6)])
    for name, column in (
        ("label", ["generation", "exact_match"] * 3),
        ("score", [0.5, 0.0] * 3),
        ("task_accuracy", [None, 0.5] * 3),
        ("answer", ["a"] * 6),
    ):
        table = table.append_column(name, [column])
    alive = np.array([1, 4], np.uint32)
    decisions = bucket.run(table, alive, Bucket(), limits=clean.limits)
    assert decisions.columns["bucket"].to_pylist() == [None, "decile 5", None, None, "[0.5, 0.6)", None]
    nobody = bucket.run(table, alive[:0], Bucket(), limits=clean.limits)
    assert nobody.columns["bucket"].null_count == 6


@pytest.mark.parametrize("edges", [[0.0], [0.2, 0.1], [0.0, NAN], [0.1, 0.1]])
def test_edges_that_do_not_increase_are_refused(edges):
    with pytest.raises(ValidationError):
        Bucket(generation={"edges": edges})


def test_a_clean_without_rules_keeps_all():
    table = store([row("", input="") for _ in range(3)])
    spec = Clean(empty_prompt="keep", empty_response="keep")
    assert len(clean.run(table, everyone(table), spec).row) == 0


def test_buckets_sum_to_the_rows_with_a_label():
    generator = np.random.default_rng(5)
    rows = [("generation", float(score), None, "a") for score in generator.random(500)]
    found, went = scored(rows)
    counts = Counter(found)
    assert sum(counts.values()) == 500
    assert counts["above"] == len(went) == sum(score >= 0.8 for _, score, _, _ in rows)
