"""What callers of `contamination` meet: kinds of input, hostile texts, numbers out of range."""

import math
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

import chaffinch as cf

QUESTION = "How many eggs does the grey goose of the mill lay in the first week of a wet spring?"


def pairs(found: pa.Table) -> list[tuple[int, int]]:
    return list(zip(found["row"].to_pylist(), found["item"].to_pylist(), strict=True))


def test_the_span_is_in_characters() -> None:
    texts = [f"Été — 数字: {QUESTION} Ende"]
    found = cf.contamination(texts, [QUESTION]).to_pylist()
    assert [texts[0][one["start"] : one["end"]] for one in found] == [QUESTION[:-1]]


@pytest.mark.parametrize(
    "items",
    [
        [QUESTION],
        pa.array([QUESTION]),
        pl.Series([QUESTION]),
        {"question": [QUESTION]},
        pa.table({"question": [QUESTION], "choices": [["a", "b"]], "answer": ["a"]}),
        pl.DataFrame({"question": [QUESTION], "choices": [["a", "b"]]}),
        {"question": [QUESTION], "choices": [None], "answer": [None]},
    ],
)
def test_items_of_any_origin(items: Any) -> None:
    for texts in ([QUESTION, None, ""], pa.chunked_array([[QUESTION], [None, ""]]), pl.Series([QUESTION, None, ""])):
        assert pairs(cf.contamination(texts, items)) == [(0, 0)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"ngram": 0}, "ngram is 0"),
        ({"ngram": -1}, "ngram is -1"),
        ({"ngram": 2**64}, "ngram is 1844"),
        ({"ngram": 1.5}, r"ngram is 1\.5"),
        ({"common": -1}, "common is -1"),
        ({"min_coverage": math.nan}, "min_coverage is NaN"),
        ({"min_coverage": -0.5}, r"min_coverage is -0\.5"),
        ({"min_coverage": 0}, "min_coverage is 0, expected above 0"),
        ({"min_coverage": 1.5}, r"min_coverage is 1\.5"),
        ({"threads": 0}, "threads"),
    ],
)
def test_numbers_out_of_range_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.contamination(["a"], ["a"], **arguments)


@pytest.mark.parametrize(
    ("texts", "items", "message"),
    [
        (["a\ud800"], ["a"], "lone surrogate"),
        (["a"], ["a\udfff"], "lone surrogate"),
        ([1], ["a"], "not text"),
        (["a"], {"answer": ["a"]}, "columns answer\nhint"),
        (["a"], {"question": ["a"], "other": ["b"]}, "hint: name them"),
        (["a"], {"question": ["a"], "choices": ["b"]}, "give a list of texts"),
        (["a"], {"question": ["a"], "choices": [["b"], ["c"]]}, "different lengths"),
        (["a"], {"question": ["a"], "answer": ["b", "c"]}, "different lengths"),
        ({"a": ["a"], "b": ["b"]}, ["a"], "give one, or join them"),
    ],
)
def test_what_is_no_text_is_refused(texts: Any, items: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        cf.contamination(texts, items)


def test_nothing_in_nothing() -> None:
    for texts, items in ([], ["a"]), (["a"], []), ([], []), (["", None], ["", "?!", None]):
        assert cf.contamination(texts, items).num_rows == 0
    assert pairs(cf.contamination(["one two"], ["one", "two"], ngram=1)) == [(0, 0), (0, 1)]
    assert pairs(cf.contamination(["x a b c d e f x"], ["a b c d e f"], ngram=2**32 - 1)) == [(0, 0)]


def test_control_characters_and_right_to_left_text_are_text_like_any_other() -> None:
    arabic = "كم عدد البيض الذي تضعه الإوزة الرمادية في الأسبوع الأول من ربيع ممطر يا ترى"
    emoji = " ".join(f"w{number}👩‍👩‍👧" for number in range(20))
    texts = [f"\0\x1b[31m{QUESTION}\x07", f"\u202e{arabic}\u202c", f"{emoji}\u200d"]
    assert pairs(cf.contamination(texts, [QUESTION, arabic, emoji])) == [(0, 0), (1, 1), (2, 2)]


def test_a_row_of_50_megabytes() -> None:
    long = "the cat sat on a mat " * 2_400_000
    found = cf.contamination(
        [f"{long}{QUESTION} {long[:1000]}", "日" * 1_000_000], [QUESTION, "日" * 20, "on a mat the cat sat"]
    )
    assert pairs(found) == [(0, 0), (0, 2), (1, 1)]
    assert found["start"][0].as_py() == len(long)


def test_a_million_identical_rows() -> None:
    rows = 1_000_000
    texts = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [f"Answer this. {QUESTION}"])
    found = cf.contamination(texts, [QUESTION, "Answer this. How many hats?", f"{QUESTION} And why, do you think?"])
    assert found.num_rows == rows, "a whole item counts however often it is there, a part of one that all have does not"
    assert found["item"].to_numpy().max() == 0


def test_equal_items_and_equal_rows_make_one_line_a_row() -> None:
    rows, copies = 1_000_000, 100_000
    texts = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), [QUESTION])
    items = pa.DictionaryArray.from_arrays(np.arange(copies, dtype=np.int32) % 2, [QUESTION, QUESTION.upper()])
    found = cf.contamination(texts, [QUESTION.replace("grey", "blue"), *items.to_pylist()])
    assert found.num_rows == rows
    assert found.slice(rows - 1).select(["row", "item", "equal_items"]).to_pylist() == [
        {"row": rows - 1, "item": 1, "equal_items": copies}
    ]


def test_all_items_that_differ_are_told() -> None:
    answers = [str(number) for number in range(5000)]
    found = cf.contamination([QUESTION], {"question": [QUESTION] * 5000, "answer": answers})
    assert found["item"].to_pylist() == list(range(5000))


ALPHABET = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=12).map(" ".join)


@given(st.lists(ALPHABET, max_size=30), st.lists(ALPHABET, max_size=6), st.integers(1, 6), st.permutations(range(30)))
def test_neither_threads_nor_order_nor_chunks_matter(
    texts: list[str], items: list[str], ngram: int, order: list[int]
) -> None:
    expected = cf.contamination(texts, items, ngram=ngram, common=5, threads=1)
    for threads in (2, 8):
        assert cf.contamination(texts, items, ngram=ngram, common=5, threads=threads).equals(expected)
    chunks = pa.chunked_array([texts[:3], texts[3:4], texts[4:]], pa.string())
    assert cf.contamination(chunks, items, ngram=ngram, common=5).equals(expected)
    order = [row for row in order if row < len(texts)]
    shuffled = cf.contamination([texts[row] for row in order], items, ngram=ngram, common=5).to_pylist()
    back = sorted(({**one, "row": order[one["row"]]} for one in shuffled), key=lambda one: (one["row"], one["item"]))
    assert back == expected.to_pylist()
