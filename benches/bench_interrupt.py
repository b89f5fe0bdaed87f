"""How long Ctrl-C takes to be answered: every long call on an input that keeps it busy, a SIGINT a while after.

The bar is a second from the signal to the `KeyboardInterrupt`. A call that ends before the signal comes is told as such
and wants a larger `--rows`.
"""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from common import header

import chaffinch as cf

BAR_SECONDS = 1.0
WORDS = 60


def texts(rows: int, seed: int = 0, words: int = WORDS, known: int = 200_000) -> pa.Array:
    """Rows of words of which none is much more frequent than others."""
    numbers = np.random.default_rng(seed).integers(0, known, rows * words).astype(np.int32)
    flat = pa.array(numbers).cast(pa.string())
    return pc.binary_join(pa.ListArray.from_arrays(np.arange(0, rows * words + 1, words, np.int32), flat), " ")


def _tokenize(rows: int) -> Callable[[], Any]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.made_tokenizers import llama2, save

    folder = Path(__file__).parent / "data" / "interrupt-tokenizer"
    save(folder, llama2())
    column = texts(rows)
    table = pa.table({"instruction": column, "input": column, "output": column})
    return lambda: cf.tokenize(table, folder, template="alpaca")


def _near(rows: int, **more: Any) -> Callable[[], Any]:
    column = texts(rows, known=2_000)
    return lambda: cf.near_duplicates(column, ngram=2, min_similarity=0.5, **more)


def _priority(rows: int) -> Callable[[], Any]:
    many = np.random.default_rng(1).random(rows)
    column = pa.array(["a b c d e f"]).take(pa.array(np.zeros(rows, np.int32)))
    return lambda: cf.near_duplicates(column, priority=[many, many, many])


def _against(rows: int) -> Callable[[], Any]:
    index = cf.NearIndex.build(texts(rows // 4), np.arange(rows // 4))
    column = texts(rows, seed=1)
    return lambda: cf.near_duplicates(column, against=index)


def _index(rows: int) -> Callable[[], Any]:
    column = texts(rows)
    return lambda: cf.NearIndex.build(column, np.arange(rows))


def _crowd(rows: int) -> Callable[[], Any]:
    question = pa.array(["which of the following is true"] * (rows // 10))
    choices = pa.array(
        [
            [a, b]
            for a, b in zip(texts(rows // 10, words=3).to_pylist(), texts(rows // 10, 1, 3).to_pylist(), strict=True)
        ]
    )
    column = pc.binary_join_element_wise(texts(rows, 2), "which of the following is true", " ")
    return lambda: cf.contamination(column, {"question": question, "choices": choices})


def _two(call: Callable[..., Any], rows: int, **more: Any) -> Callable[[], Any]:
    one, other = texts(rows), texts(rows, seed=1)
    return lambda: call(one, other, **more)


def _one(call: Callable[..., Any], rows: int, **more: Any) -> Callable[[], Any]:
    column = texts(rows)
    return lambda: call(column, **more)


def _exact(rows: int) -> Callable[[], Any]:
    column = texts(rows, words=10)
    return lambda: cf.exact_duplicates(column, normal_form="case")


def _sample(rows: int) -> Callable[[], Any]:
    strata = pc.binary_join_element_wise("stratum", texts(rows, words=1), "-")
    return lambda: cf.sample(strata, {"stratum-7": 1}, seed=1)


def _pack(rows: int) -> Callable[[], Any]:
    lengths = np.random.default_rng(0).integers(1, 2048, rows)
    return lambda: cf.pack(lengths, capacity=8192)


CALLS: dict[str, Callable[[int], Callable[[], Any]]] = {
    "near_duplicates": _near,
    "near_duplicates, priority": lambda rows: _priority(5 * rows),
    "near_duplicates, against": _against,
    "NearIndex.build": _index,
    "exact_duplicates": lambda rows: _exact(10 * rows),
    "repeated_spans": lambda rows: _one(cf.repeated_spans, rows),
    "contamination": lambda rows: _two(cf.contamination, rows),
    "contamination, one question": _crowd,
    "generated_traces": lambda rows: _one(cf.generated_traces, rows),
    "rouge": lambda rows: _two(cf.rouge, rows),
    "nearest": lambda rows: _two(cf.nearest, rows // 10),
    "tokenize": lambda rows: _tokenize(rows // 4),
    "pack": lambda rows: _pack(20 * rows),
    "sample": lambda rows: _sample(20 * rows),
}


def child(name: str, rows: int) -> None:
    """Makes the input, says so, and runs the call."""
    work = CALLS[name](rows)
    print("ready", flush=True)
    try:
        work()
        print("ended", flush=True)
    except KeyboardInterrupt:
        print("interrupted", time.time(), flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--after", type=float, default=1.0, help="seconds from the start to the signal")
    arguments.add_argument("--only", help="calls whose name begins so")
    arguments.add_argument("--child", help=argparse.SUPPRESS)
    options = arguments.parse_args()
    if options.child:
        child(options.child, options.rows)
        return
    header("interrupt", ["pyarrow", "numpy"], rows=options.rows, cores=os.cpu_count())
    for name in (name for name in CALLS if name.startswith(options.only or "")):
        command = [sys.executable, __file__, "--rows", str(options.rows), "--child", name]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n", name
            time.sleep(options.after)
            sent = time.time()
            process.send_signal(signal.SIGINT)
            answer = process.stdout.readline().split()
        if answer[:1] == ["interrupted"]:
            seconds = float(answer[1]) - sent
            verdict = "met" if seconds < BAR_SECONDS else "MISSED"
            print(f"  {name:<30} {seconds:6.2f} s   bar {BAR_SECONDS:g} s: {verdict}", flush=True)
        else:
            print(f"  {name:<30} ended before the signal", flush=True)


if __name__ == "__main__":
    main()
