import math

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from chaffinch.stages.bucket import bucket

INFINITY = math.inf


def test_intervals_are_half_open():
    scores = [0.0, 0.19999999, 0.2, 0.7, -0.1, INFINITY, -INFINITY, math.nan, None]
    labels = bucket(scores, [0.0, 0.2, 0.7]).to_pylist()
    assert labels == ["[0, 0.2)", "[0, 0.2)", "[0.2, 0.7)", "above", "below", "above", "below", "nan", "null"]


def test_the_dictionary_is_whole_and_in_order():
    answer = bucket(pa.chunked_array([[1], [5]]), [0, 2, 9], labels=["low", "high"])
    assert answer.dictionary.to_pylist() == ["low", "high", "below", "above", "nan", "null"]
    assert answer.to_pylist() == ["low", "high"]
    assert answer.type == pa.dictionary(pa.int32(), pa.string())


@pytest.mark.parametrize(
    "scores", [np.array([0.5], np.float32), pl.Series([0.5]), pa.array([0.5], pa.float16()), [0.5]]
)
def test_any_column_of_numbers_will_do(scores):
    assert bucket(scores, [0.0, 1.0]).to_pylist() == ["[0, 1)"]


def test_no_scores():
    assert len(bucket([], [0.0, 1.0])) == 0
    assert bucket([None], [0.0, 1.0]).to_pylist() == ["null"]


@pytest.mark.parametrize(
    ("edges", "message"),
    [
        ([], "at least two"),
        ([1.0], "at least two"),
        ([0.0, 0.0], "numbers that increase"),
        ([1.0, 0.5], "numbers that increase"),
        ([0.0, math.nan], "finite"),
        ([-INFINITY, 0.0], "finite"),
    ],
)
def test_edges_must_increase(edges, message):
    with pytest.raises(ValueError, match=message):
        bucket([0.5], edges)


@pytest.mark.parametrize("labels", [["one", "two"], [], ["below"]])
def test_labels_must_fit(labels):
    with pytest.raises(ValueError, match="labels"):
        bucket([0.5], [0.0, 1.0], labels=labels)


def test_text_is_no_score():
    with pytest.raises(ValueError, match="not numbers"):
        bucket(["0.5"], [0.0, 1.0])
