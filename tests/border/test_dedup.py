"""Columns of every origin, hostile texts, and Ctrl-C."""

import subprocess
import sys
import textwrap

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from datasets import Dataset, DatasetDict

from chaffinch import _core
from chaffinch.columns import to_arrow, to_texts
from chaffinch.stages.dedup import exact_duplicates

TEXTS = ["a long text, longer than twelve bytes", None, "b", "a long text, longer than twelve bytes", "b", ""]
COLUMNS = {
    "list": TEXTS,
    "tuple": tuple(TEXTS),
    "string": pa.array(TEXTS, pa.string()),
    "large": pa.array(TEXTS, pa.large_string()),
    "view": pa.array(TEXTS, pa.string_view()),
    "dictionary": pa.array(TEXTS).dictionary_encode(),
    "chunked": pa.chunked_array([[text] for text in TEXTS], pa.string()),
    "sliced": pa.array(["x", *TEXTS, "a"]).slice(1, len(TEXTS)),
    "sliced view": pa.array(["x", *TEXTS, "a"], pa.string_view()).slice(1, len(TEXTS)),
    "empty chunks": pa.chunked_array([[], TEXTS, []], pa.string()),
    "polars": pl.Series(TEXTS),
    "polars categorical": pl.Series(TEXTS, dtype=pl.Categorical),
    "polars table": pl.DataFrame({"text": TEXTS}),
    "pandas": pd.Series(TEXTS),
    "pandas object": pd.Series(TEXTS, dtype=object),
    "datasets table": Dataset.from_dict({"text": ["x", *TEXTS]}).select(range(1, 1 + len(TEXTS))),
    "datasets": Dataset.from_dict({"text": TEXTS})["text"],
    "table": pa.table({"text": TEXTS}),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS.keys())
def test_every_kind_of_column_gives_the_same_answer(column):
    assert exact_duplicates(column).to_pydict() == {"row": [3, 4], "witness": [0, 2]}


def test_several_columns_of_several_kinds():
    columns = {"a": pl.Series(["x", "x", "x"]), "b": ["1", "2", "1"], "c": pa.array(["", None, ""])}
    assert exact_duplicates(columns).to_pydict() == {"row": [2], "witness": [0]}
    assert exact_duplicates(pl.DataFrame({"a": ["x", "x"], "b": ["y", "z"]})).num_rows == 0
    assert exact_duplicates(pd.DataFrame({"a": ["x", "x"], "b": ["y", "y"]})).num_rows == 1


def test_nothing_has_no_duplicates():
    for empty in ([], pa.array([], pa.string()), pa.chunked_array([], pa.large_string()), [None, None]):
        assert exact_duplicates(empty).num_rows == 0


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["fine", "bad \ud800"], "row 1 holds a lone surrogate.*\nhint: mend"),
        (["fine", 3], "row 1 is int, not str\nhint"),
        ([b"bytes"], "binary, not text\nhint"),
        ([1, 2], "int64, not text\nhint"),
        ("one text", "texts is str\nhint"),
        ({"a": ["x"], "b": ["x", "y"]}, "different lengths"),
        ({}, "has no column"),
        (pl.DataFrame({"a": [1], "b": ["x"]}), "a is int64, not text"),
        (None, "NoneType"),
    ],
)
def test_what_is_no_column_of_text_is_refused(texts, message):
    with pytest.raises(ValueError, match=message):
        exact_duplicates(texts)


def test_a_table_is_no_column():
    with pytest.raises(ValueError, match="table of 2 columns"):
        to_arrow(pl.DataFrame({"a": [1], "b": [2]}), "scores")


def test_texts_are_not_copied():
    series = pl.Series(["a text that is longer than twelve bytes"] * 10)
    assert pa.types.is_string_view(to_texts(series)["texts"].type)


def test_a_text_of_fifty_megabytes():
    text = "0123456789" * 5_000_000
    assert exact_duplicates([text, text[:-1], text, text.upper()], normal_form="case").num_rows == 2


def test_a_million_identical_rows():
    view = pa.DictionaryArray.from_arrays(np.zeros(1_000_000, np.int32), ["the same text in every row, again"])
    table = exact_duplicates(view)
    assert table.num_rows == 999_999
    assert set(table["witness"].unique().to_pylist()) == {0}


INTERRUPTED = """
import os, signal, sys, threading, time
import pyarrow as pa
from chaffinch.stages.dedup import exact_duplicates
text = "Ⅷ é ﬁ " * 20_000
texts = pa.array([text] * 1_000)
threading.Timer(1.0, os.kill, [os.getpid(), signal.SIGINT]).start()
sent = time.monotonic() + 1.0
try:
    exact_duplicates(texts, normal_form="case", threads=2)
except KeyboardInterrupt:
    print("interrupted after", time.monotonic() - sent)
else:
    print("finished after", time.monotonic() - sent)
"""


def test_ctrl_c_answers_within_a_second():
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert answer.stdout.startswith("interrupted after"), (answer.stdout, answer.stderr)
    assert float(answer.stdout.split()[-1]) < 1.0


def test_progress_is_reported_and_its_error_comes_back():
    texts = pa.table({"text": pa.array(["Ⅷ é ﬁ " * 2_000] * 200)})
    done = []
    _core.exact_duplicates(texts, normal_form="case", progress=done.append)
    assert done
    assert done == sorted(done)

    def fail(_units):
        raise LookupError("stop here")

    with pytest.raises(LookupError, match="stop here"):
        _core.exact_duplicates(texts, normal_form="case", progress=fail)


@pytest.mark.parametrize(
    "several",
    [DatasetDict({"train": Dataset.from_dict({"a": ["x"]})}), Dataset.from_dict({"a": ["x"]}).to_iterable_dataset()],
)
def test_what_datasets_has_besides_tables_is_refused(several):
    with pytest.raises(ValueError, match="is no table\nhint: choose one split of it"):
        exact_duplicates(several)
