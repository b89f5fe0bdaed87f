"""Allocation against exact fractions, worked out the slow way."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch.errors import DataError
from chaffinch.stages.sample import allocate

names = st.lists(st.text(max_size=3).filter(lambda text: text.isprintable()), min_size=1, max_size=6, unique=True)


def largest_remainder(total, shares):
    whole = {name: int(share) for name, share in shares.items()}
    missing = total - sum(whole.values())
    order = sorted(shares, key=lambda name: (-(shares[name] - whole[name]), name.encode()))
    return {name: whole[name] + (name in order[:missing]) for name in shares}


def fill(total, weights, limits):
    """Water-filling: whoever cannot take its share takes all it has, and the rest is shared again."""
    taken = {name: 0 for name in weights if weights[name] == 0}
    open_names = [name for name in weights if weights[name] > 0]
    while True:
        weight = sum(weights[name] for name in open_names)
        shares = {name: Fraction(total) * weights[name] / weight for name in open_names}
        full = [name for name in open_names if shares[name] > limits[name]]
        if not full:
            return taken | largest_remainder(total, shares) if open_names or total == 0 else None
        for name in full:
            taken[name] = limits[name]
            total -= limits[name]
        open_names = [name for name in open_names if name not in full]


@st.composite
def requests(draw):
    labels = draw(names)
    available = {name: draw(st.integers(0, 60)) for name in labels}
    method = draw(st.sampled_from(["proportional", "equal", "weights"]))
    options = {"method": method}
    weights = {name: Fraction(1) for name in labels}
    if method == "proportional":
        cap = draw(st.none() | st.integers(0, 30))
        options["cap"] = cap
        weights = {name: Fraction(rows if cap is None else min(rows, cap)) for name, rows in available.items()}
    if method == "weights":
        numbers = st.just(0.0) | st.floats(1e-3, 1.0) | st.integers(1, 9).map(float)
        options["weights"] = {name: draw(numbers) for name in labels}
        weights = {name: Fraction(weight) for name, weight in options["weights"].items()}
    return available, draw(st.integers(0, 150)), options, weights


@given(requests(), st.sampled_from(["error", "redistribute", "accept"]))
def test_totals_are_shared_out_exactly(request, shortfall):
    available, total, options, weights = request
    asked = fill(total, weights, dict.fromkeys(available, 10**9))
    short = asked is None or any(asked[name] > available[name] for name in available)
    if asked is None or (short and shortfall == "error"):
        expected = None
    elif short and shortfall == "redistribute":
        expected = fill(total, weights, available)
    else:
        expected = {name: min(asked[name], available[name]) for name in available}
    if expected is None:
        with pytest.raises(DataError, match="hint"):
            allocate(available, rows=total, shortfall=shortfall, **options)
        return
    table = allocate(available, rows=total, shortfall=shortfall, **options)
    assert dict(zip(table["stratum"].to_pylist(), table["taken"].to_pylist(), strict=True)) == expected
    assert table["asked"].to_pylist() == [asked[name] for name in sorted(asked, key=str.encode)]


@given(st.dictionaries(st.text("abc", max_size=2), st.integers(0, 500), max_size=6), st.floats(0, 1))
def test_fractions_meet_the_nearest_whole_total(available, fraction):
    shares = {name: Fraction(fraction) * rows for name, rows in available.items()}
    total = int(sum(shares.values()) + Fraction(1, 2))
    table = allocate(available, fraction=fraction)
    assert dict(zip(table["stratum"].to_pylist(), table["taken"].to_pylist(), strict=True)) == largest_remainder(
        total, shares
    )


@pytest.mark.parametrize("available", list(product(range(4), repeat=3)))
def test_counts_are_taken_as_they_are_or_filled_up(available):
    rows = dict(zip("abc", available, strict=True))
    counts = {"a": 2, "b": 1, "c": 0}
    accepted = allocate(rows, counts=counts, shortfall="accept")["taken"].to_pylist()
    assert accepted == [min(counts[name], rows[name]) for name in "abc"]
    expected = fill(3, {name: Fraction(count) for name, count in counts.items()}, rows)
    if all(rows[name] >= counts[name] for name in rows):
        assert allocate(rows, counts=counts)["taken"].to_pylist() == list(counts.values())
    elif expected is None:
        with pytest.raises(DataError):
            allocate(rows, counts=counts, shortfall="redistribute")
    else:
        taken = allocate(rows, counts=counts, shortfall="redistribute")["taken"].to_pylist()
        assert taken == [expected[name] for name in "abc"]
