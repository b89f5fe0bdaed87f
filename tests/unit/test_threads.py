"""A number of threads that makes no sense is refused by every function that takes one, before anything is done."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import chaffinch as cf
from tests.made_tokenizers import llama2, save

TEXTS = ["a b c", "a b d"]


def _index(**threads: Any) -> Any:
    return cf.NearIndex.build(TEXTS, [1, 2], **threads)


CALLS: dict[str, Callable[..., Any]] = {
    "contamination": lambda **threads: cf.contamination(TEXTS, TEXTS, **threads),
    "exact_duplicates": lambda **threads: cf.exact_duplicates(TEXTS, **threads),
    "generated_traces": lambda **threads: cf.generated_traces(TEXTS, **threads),
    "near_duplicates": lambda **threads: cf.near_duplicates(TEXTS, **threads),
    "near_duplicates, against": lambda **threads: cf.near_duplicates(TEXTS, against=_index(), **threads),
    "NearIndex.build": _index,
    "nearest": lambda **threads: cf.nearest(TEXTS, TEXTS, **threads),
    "repeated_spans": lambda **threads: cf.repeated_spans(TEXTS, **threads),
    "rouge": lambda **threads: cf.rouge(TEXTS, TEXTS, **threads),
    "RougePool": lambda **threads: cf.RougePool().most_similar(TEXTS, **threads),
    "sample": lambda **threads: cf.sample(["a", "b"], {"a": 1}, seed=0, **threads),
}


@pytest.mark.parametrize("threads", [0, -1, -(2**40), 1025, 2**70, np.int64(-3)])
@pytest.mark.parametrize("name", CALLS)
def test_absurd_numbers_are_refused(name: str, threads: Any) -> None:
    with pytest.raises(ValueError, match=rf"^threads is {threads}, expected 1 to 1024\nhint: leave it out"):
        CALLS[name](threads=threads)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_no_number_is_refused_and_numbers_are_taken(name: str) -> None:
    with pytest.raises(TypeError):
        CALLS[name](threads="two")
    CALLS[name](threads=1)
    CALLS[name](threads=np.int64(2))


@pytest.mark.parametrize("threads", [0, -1, 2**70])
def test_tokenize_and_build(tmp_path: Path, threads: int) -> None:
    refused = rf"^threads is {threads}, expected 1 to 1024\nhint: leave it out"
    tokenizer = save(tmp_path / "tokenizer", llama2())
    with pytest.raises(ValueError, match=refused):
        cf.tokenize([{"instruction": "a", "output": "b"}], tokenizer, template="alpaca", threads=threads)
    with pytest.raises(ValueError, match=refused):
        cf.build("quickstart", data=tmp_path, out=tmp_path / "out", threads=threads)


def test_nothing_to_do_is_no_excuse() -> None:
    for call in (
        lambda: cf.rouge([], [], threads=-1),
        lambda: cf.nearest([], [], threads=-1),
        lambda: cf.near_duplicates(pa.array([], pa.string()), threads=-1),
        lambda: cf.sample([], {}, seed=0, threads=-1),
    ):
        with pytest.raises(ValueError, match=r"^threads is -1, expected 1 to 1024\nhint: "):
            call()
