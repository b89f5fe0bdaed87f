"""cf.pack from Python: what it takes, gives and refuses."""

from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chaffinch as cf


@given(st.lists(st.integers(1, 60), max_size=200), st.integers(60, 300), st.integers(0, 2**64 - 1))
def test_every_document_once_and_whole(lengths: list[int], capacity: int, seed: int) -> None:
    table, fill = cf.pack(lengths, capacity, seed=seed)
    assert sorted(table["row"].to_pylist()) == list(range(len(lengths)))
    packs: dict[int, int] = {}
    for one in table.to_pylist():
        assert one["offset"] == packs.get(one["pack"], 0)
        packs[one["pack"]] = one["offset"] + lengths[one["row"]]
    assert all(used <= capacity for used in packs.values())
    assert list(packs) == list(range(len(packs)))
    assert fill == (sum(lengths) / (len(packs) * capacity) if lengths else 1.0)


@pytest.mark.parametrize(
    "lengths",
    [
        [5, 3, 4, 2],
        np.array([5, 3, 4, 2], np.int64),
        pa.chunked_array([pa.array([5, 3], pa.int32()), pa.array([4, 2], pa.int32())]),
        pl.Series([5, 3, 4, 2]),
    ],
)
def test_lengths_come_in_any_form(lengths: Any) -> None:
    assert cf.pack(lengths, 7).table.equals(cf.pack([5, 3, 4, 2], 7).table)


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([3, None], {}, "nulls"),
        ([1.5], {}, "not whole numbers"),
        (["a"], {}, "not whole numbers"),
        ([-1], {}, "1 to 2"),
        ([2**33], {}, "1 to 2"),
        ([3], {"strategy": "worst-fit"}, "best-fit"),
        ([3], {"seed": -1}, "seed"),
        ([3], {"ranks": 1.0}, "ranks"),
        ([3], {"ranks": 0}, "ranks"),
        ([3], {"capacity": 0}, "capacity"),
        ([3], {"capacity": True}, "capacity"),
    ],
)
def test_arguments_are_checked(lengths: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.pack(lengths, **{"capacity": 8, **options})


@pytest.mark.parametrize(("lengths", "message"), [([3, 9], "row 1 has 9 tokens"), ([3, 0], "row 1 has no tokens")])
def test_documents_that_no_pack_can_hold_are_named(lengths: list[int], message: str) -> None:
    with pytest.raises(cf.DataError, match=rf"{message}[\s\S]*hint: "):
        cf.pack(lengths, 8)


def test_nothing_is_packed_into_nothing() -> None:
    table, fill = cf.pack([], 8)
    assert (len(table), fill) == (0, 1.0)
