"""Bootstrap intervals against what theory says of them."""

import math
import random

import pytest

from chaffinch.evaluation.intervals import bootstrap


def test_the_interval_of_a_mean_has_the_width_that_the_normal_law_gives() -> None:
    drawn = random.Random(0)
    values = [float(drawn.random() < 0.3) for _ in range(1000)]
    share = sum(values) / 1000
    low, high = bootstrap(values, [""] * 1000, "items", resamples=10_000)
    error = 1.96 * math.sqrt(share * (1 - share) / 1000)
    assert low == pytest.approx(share - error, abs=0.004)
    assert high == pytest.approx(share + error, abs=0.004)


def test_a_small_group_widens_the_interval_of_a_mean_over_groups() -> None:
    drawn = random.Random(1)
    values = [float(drawn.random() < 0.5) for _ in range(1010)]
    groups = ["large"] * 1000 + ["small"] * 10
    by_items, by_groups = (bootstrap(values, groups, mean) for mean in ("items", "groups"))  # type: ignore[arg-type]
    assert by_groups[1] - by_groups[0] > 3 * (by_items[1] - by_items[0])


def test_draws_depend_on_seed_and_name_alone() -> None:
    values, groups = [0.0, 1.0, 0.5, 0.25], ["a", "b", "a", "b"]
    first = bootstrap(values, groups, "groups", seed=1, name="x")
    assert first == bootstrap(values, groups, "groups", seed=1, name="x")
    # Groups are drawn by name, whichever comes first.
    assert first == bootstrap([1.0, 0.0, 0.25, 0.5], ["b", "a", "b", "a"], "groups", seed=1, name="x")
    numbers = [float(at) for at in range(50)]
    drawn = {bootstrap(numbers, [""] * 50, "items", seed=seed, name=name) for seed in (1, 2) for name in "xy"}
    assert len(drawn) == 4


def test_equal_scores_have_no_width() -> None:
    assert bootstrap([0.25] * 7, [""] * 7, "items") == (0.25, 0.25)
