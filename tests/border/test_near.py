"""Near duplicates at the border: large, many, hostile, interrupted."""

import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pytest

import chaffinch as cf
from chaffinch import _core


def test_a_text_of_fifty_megabytes():
    text = "0123456789 abcd ef " * 2_700_000
    texts = [text, "short", text[: len(text) // 2 + 9], text[:-20]]
    found = cf.near_duplicates(texts, priority=[0, 1, 2, 3])
    # Of five words in a circle there are five shingles, however long the row.
    assert found.to_pylist()[-1] == {"row": 3, "witness": 0, "similarity": 1.0}
    assert cf.near_duplicates([text], unit="char").num_rows == 0


def test_a_million_identical_rows():
    view = pa.DictionaryArray.from_arrays(
        np.zeros(1_000_000, np.int32), ["the same text in every row, again and again until the very end of it all"]
    )
    found = cf.near_duplicates(view)
    assert found.num_rows == 999_999
    assert set(found["witness"].unique().to_pylist()) == {0}
    assert cf.repeated_spans(view, min_words=5).to_pylist()[0]["rows"] == 1_000_000


# With five slots all rows are alike, with nine those that share the first or last one, with thirty none is.
@pytest.mark.parametrize(("words", "least", "most"), [(5, 1, 1), (9, 1_000, 9_000), (30, 199_000, 200_000)])
def test_templates_do_not_go_quadratic(words, least, most):
    """Two hundred thousand rows of one template; a comparison of all pairs would be twenty thousand million."""
    template = " ".join(f"word{at}" for at in range(100))
    chance = np.random.default_rng(words)
    slots = chance.integers(0, 3000, (200_000, words))
    texts = pa.array([f"{template} {' '.join(map(str, row))} {template.upper()} end" for row in slots.tolist()])
    found = cf.near_duplicates(texts, min_similarity=0.8)
    assert least <= len(texts) - len(found) <= most


def test_sentences_from_a_small_pool():
    """Rows that share most of their frequent shingles with many others, and few of which are alike."""
    chance = np.random.default_rng(5)
    pool = [" ".join(f"p{number}w{at}" for at in range(12)) for number in range(60)]
    picks = np.argsort(chance.random((20_000, 60)), axis=1)[:, :12]
    texts = pa.array([" ".join(pool[at] for at in row) for row in picks.tolist()])
    assert len(cf.near_duplicates(texts, min_similarity=0.8)) < 20


INTERRUPTED = """
import os, signal, sys, threading, time
import numpy as np
import pyarrow as pa
import chaffinch as cf
pool = [" ".join(f"p{{n}}w{{at}}" for at in range(12)) for n in range(60)]
picks = np.argsort(np.random.default_rng(5).random(({rows}, 60)), axis=1)[:, :12]
texts = pa.array([" ".join(pool[at] for at in row) for row in picks.tolist()])
threading.Timer({after}, os.kill, [os.getpid(), signal.SIGINT]).start()
sent = time.monotonic() + {after}
try:
    for _ in range(100):
        cf.{call}
except KeyboardInterrupt:
    print("interrupted after", time.monotonic() - sent)
else:
    print("finished after", time.monotonic() - sent)
"""


@pytest.mark.parametrize("after", [0.5, 1.5, 4.0])
@pytest.mark.parametrize(
    "call", ["near_duplicates(texts, min_similarity=0.5, threads=2)", "repeated_spans(texts, threads=2)"]
)
def test_ctrl_c_answers_within_a_second(after, call):
    answer = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(INTERRUPTED.format(after=after, rows=60_000, call=call))],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert answer.stdout.startswith("interrupted after"), (answer.stdout, answer.stderr)
    assert float(answer.stdout.split()[-1]) < 1.0


def test_progress_is_reported_and_its_error_comes_back():
    texts = [f"{number} some words that are long enough for a shingle or two" * 40 for number in range(30_000)]
    done = []
    assert cf.near_duplicates(texts, progress=done.append).num_rows < 30_000
    assert done == sorted(done)
    assert done[-1] <= 30_000

    def fail(_units):
        raise LookupError("stop here")

    with pytest.raises(LookupError, match="stop here"):
        cf.near_duplicates(texts, progress=fail)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[1]], pa.list_(pa.uint64())),
        pa.array([[1]], pa.large_list(pa.int64())),
        pa.array([None], pa.large_list(pa.uint64())),
        pa.array([1]),
    ],
)
def test_other_columns_of_sets_are_refused(column):
    with pytest.raises(ValueError, match="a column of sets is"):
        _core.near_duplicates(
            pa.table({"t": ["a"]}), min_similarity=[0.8], ngram=5, unit="word", against=[pa.chunked_array([column])]
        )


def test_columns_of_other_lengths_are_refused():
    table = pa.table({"t": ["a", "b"]})
    options = {"min_similarity": [0.8], "ngram": 5, "unit": "word"}
    with pytest.raises(ValueError, match="groups"):
        _core.near_duplicates(table, groups=pa.array([1], pa.uint32()), **options)
    with pytest.raises(ValueError, match="rows is 7"):
        _core.near_duplicates(table, rows=pa.array([7], pa.uint32()), **options)
    with pytest.raises(ValueError, match="1 to 1000"):
        _core.shingle_sets(table, rows=pa.array([0], pa.uint32()), ngram=0, unit="word")
