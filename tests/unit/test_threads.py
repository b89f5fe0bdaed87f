"""A number of threads that makes no sense is refused by every function that takes one, before anything is done."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

import chaffinch as cf
from chaffinch.cli.app import app
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


def test_without_threads_to_be_had_the_error_says_so() -> None:
    code = (
        "import resource\nimport chaffinch as cf\ncf.exact_duplicates(['a'], threads=1)\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)\n"
        "try: cf.exact_duplicates(['a'], threads=1000)\n"
        "except OSError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("a thread could not be started: ")
    assert "hint: give fewer threads" in done.stdout


@pytest.mark.parametrize("number", [2**64, 2**63, 2**200, 10**400, -(2**70)])
def test_counts_beyond_64_bits_are_refused(number: int) -> None:
    for call in (
        lambda: cf.sample(["a"], {"a": number}, seed=0),
        lambda: cf.allocate({"a": number}, rows=1),
        lambda: cf.allocate({"a": 1}, rows=number),
        lambda: cf.allocate({"a": 1}, counts={"a": number}),
        lambda: cf.pack([number], 2**32 - 1),
        lambda: cf.pack([1], number),
        lambda: cf.bucket([number], [0.0]),
    ):
        with pytest.raises(ValueError, match=r"\w"):
            call()


def test_the_largest_pack_is_made() -> None:
    found = cf.pack([2**32 - 1, 2**32 - 6, 3, 2], 2**32 - 1)
    assert found.table["pack"].to_pylist() == [0, 0, 0, 1]
    assert found.fill == 1.0


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("can't start new thread"), "can't start new thread\nhint: give fewer --threads"),
        (MemoryError("malloc of size 64 failed"), "out of memory: malloc of size 64 failed\nhint: close other"),
    ],
)
def test_the_command_line_says_what_is_missing(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    monkeypatch.setattr("chaffinch.synth.synthesise", fails)
    done = CliRunner().invoke(app, ["synth", "--out", str(tmp_path / "out"), "--rows", "10"])
    assert done.exit_code == 1
    assert said in done.stderr
