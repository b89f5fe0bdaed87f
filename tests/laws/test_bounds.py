"""Totals with a least and a most for each stratum, against a search for the level."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch import allocate
from chaffinch.errors import DataError
from chaffinch.recipe.sample import Sample

AVAILABLE = st.dictionaries(st.sampled_from("abcdefgh"), st.integers(1, 5000), min_size=1)


def exact(available, rows, least, most):
    """The real numbers: clamp(level * available, least, most), the level found by halving."""
    high = {name: min(count, most) for name, count in available.items()}
    low = {name: min(least, count) for name, count in high.items()}
    below, above = Fraction(0), Fraction(10**7)
    for _ in range(80):
        level = (below + above) / 2
        given_ = {name: min(max(level * available[name], low[name]), high[name]) for name in available}
        below, above = (below, level) if sum(given_.values()) > rows else (level, above)
    return given_


@given(AVAILABLE, st.integers(0, 100), st.integers(100, 4000), st.floats(0, 1))
def test_the_total_is_met_within_the_bounds(available, least, most, part):
    low = sum(min(least, count) for count in available.values())
    high = sum(min(most, count) for count in available.values())
    rows = low + int(part * (high - low))
    table = allocate(available, rows=rows, min_each=least, max_each=most)
    taken = dict(zip(table["stratum"].to_pylist(), table["taken"].to_pylist(), strict=True))
    assert sum(taken.values()) == rows
    assert set(table["shortfall"].to_pylist()) == {0}
    wanted = exact(available, rows, least, most)
    for name, count in available.items():
        assert min(least, count) <= taken[name] <= min(most, count)
        assert abs(taken[name] - wanted[name]) < len(available)


def test_without_bounds_it_is_the_plain_share():
    available = {"a": 10, "b": 300, "c": 4000}
    for more in ({}, {"method": "equal"}, {"method": "temperature", "temperature": 2.0}, {"cap": 100}):
        plain = allocate(available, rows=400, shortfall="redistribute", **more)
        assert allocate(available, rows=400, min_each=0, **more)["taken"] == plain["taken"]


def test_examples_proportional_with_a_floor_and_a_ceiling():
    table = allocate({"small": 3, "rare": 40, "large": 10_000, "huge": 100_000}, rows=1000, min_each=50, max_each=600)
    assert dict(zip(table["stratum"].to_pylist(), table["taken"].to_pylist(), strict=True)) == {
        "small": 3,
        "rare": 40,
        "large": 357,
        "huge": 600,
    }


def test_what_cannot_be_is_said():
    with pytest.raises(DataError, match="more than the total"):
        allocate({"a": 100, "b": 100}, rows=10, min_each=6)
    with pytest.raises(DataError, match="are there within max_each"):
        allocate({"a": 100, "b": 100}, rows=50, max_each=20)
    table = allocate({"a": 100, "b": 100}, rows=50, max_each=20, shortfall="accept")
    assert table["taken"].to_pylist() == [20, 20]
    assert table["shortfall"].to_pylist() == [5, 5]
    with pytest.raises(ValueError, match="a total"):
        allocate({"a": 1}, counts={"a": 1}, min_each=1)
    for wrong in ({"rows": {"a": 1}, "min_each": 1}, {"total": 5, "min_each": 3, "max_each": 2}):
        with pytest.raises(ValueError, match="each"):
            Sample.model_validate(wrong)
