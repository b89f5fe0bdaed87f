"""What holds for labels in whatever layout they come."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from chaffinch import _core
from chaffinch.columns import to_labels

labels = st.lists(st.sampled_from([None, "", "a", "b", "a label beyond the twelve bytes of a view"]), max_size=40)


def factorized(chunks, kind, threads=None):
    column = pa.chunked_array(chunks, kind)
    codes, tuples, counts = _core.factorize(pa.table({"label": column}), threads=threads)
    return pa.array(codes).to_pylist(), pa.table(tuples).to_pydict(), pa.table(counts).to_pydict()


def by_hand(rows):
    distinct = sorted(set(rows), key=lambda label: (label is not None, (label or "").encode()))
    counts = {"rows": [rows.count(label) for label in distinct], "first": [rows.index(label) for label in distinct]}
    return [distinct.index(label) for label in rows], {"label": distinct}, counts


def cut(array, at):
    return [array[:at], array[at:]]


@given(labels, st.integers(0, 40), st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]))
def test_codes_are_ranks_in_every_layout(rows, at, kind):
    assert factorized(cut(pa.array(rows, kind), at), kind) == by_hand(rows)


@given(
    st.lists(st.sampled_from([None, "", "a", "b", "never used", "a label beyond the twelve bytes"]), max_size=60),
    st.data(),
    st.sampled_from([pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.int64()]),
    st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]),
)
def test_a_dictionary_is_what_its_rows_say(values, data, index, kind):
    """Values that come twice, are null or are never used leave no trace; neither do chunks with other dictionaries."""
    index_of = st.none() if not values else st.none() | st.integers(0, len(values) - 1)
    chunks, rows = [], []
    for dictionary in (values, values[::-1]):
        keys = data.draw(st.lists(index_of, max_size=40))
        at = data.draw(st.integers(0, 40))
        array = pa.DictionaryArray.from_arrays(pa.array(keys, index), pa.array(dictionary, kind))
        chunks += cut(array, at)
        rows += [None if key is None else dictionary[key] for key in keys]
    assert factorized(chunks, pa.dictionary(index, kind)) == by_hand(rows)


def test_threads_and_segments_change_nothing():
    generator = np.random.default_rng(3)
    keys = generator.integers(0, 300, 400_000)
    values = pa.array([f"label {at % 250}" for at in range(300)])
    plain, kind = values.take(pa.array(keys)), pa.dictionary(pa.int16(), pa.string())
    coded = pa.DictionaryArray.from_arrays(pa.array(keys.astype(np.int16)), values)
    one = factorized([plain], pa.string(), threads=1)
    assert one[2]["rows"] == np.bincount(one[0]).tolist()
    for threads in (1, 2, 5):
        assert factorized([plain], pa.string(), threads=threads) == one
        assert factorized([coded], kind, threads=threads) == one


def test_categories_of_pandas_and_polars_are_their_labels():
    rows = ["b", None, "a", "b"]
    columns = [
        pd.Series(pd.Categorical(rows, categories=["c", "b", "a"])),
        pl.Series(rows, dtype=pl.Categorical),
        pl.Series(rows, dtype=pl.Enum(["c", "b", "a"])),
    ]
    for column in columns:
        array = pa.chunked_array(column)
        assert isinstance(array.type, pa.DictionaryType)
        assert factorized(array.chunks, array.type) == by_hand(rows)


def by_name(column):
    codes, tuples, _ = _core.factorize(to_labels(column, "label"))
    return [pa.table(tuples)["label"][code].as_py() for code in pa.array(codes).to_pylist()]


@given(labels, st.integers(0, 40), st.sampled_from([pl.UInt8, pl.UInt16, pl.UInt32]))
def test_a_categorical_is_taken_with_its_codes_where_they_lie(rows, at, physical):
    """Long enough that it does; several chunks, nulls, and labels that no row has."""
    rows, fruit = rows * 9, pl.Categories.random(physical=physical)
    pl.Series(["no row's", "nor this"], dtype=pl.Categorical(fruit))
    parts = [pl.Series(part, dtype=pl.Categorical(fruit)) for part in cut(rows, at)]
    for column in (pl.concat(parts, rechunk=False), pl.concat(parts, rechunk=False).cast(pl.Categorical)):
        assert by_name(column) == rows
    full = [label or "" for label in rows]
    for column in (rows, full):
        assert by_name(pd.Series(pd.Categorical(column, categories=["none's", *sorted(set(full))]))) == column
