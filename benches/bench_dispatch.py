"""What the instructions of newer processors would bring: the wheel, and the same sources compiled for this machine.

The wheel runs on every x86-64 and chooses at run time where its libraries do: memchr and aho-corasick search with AVX2
where there is one. This tells what a second path through our own loops could gain at most.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
from common import DATA, header, report, timed

import chaffinch as cf

ROUNDS = 3


def works() -> dict[str, Callable[[], Any]]:
    """The kernels, on real texts and one thread."""
    from bench_rouge import pairs, real_texts

    with tempfile.TemporaryDirectory() as folder:
        texts = real_texts(Path(folder))
    predictions, references = (pa.array(column) for column in pairs(texts, 50_000, 45))
    rows, pool = pa.array(texts), cf.RougePool(references[:10_000])
    return {
        "rouge": lambda: cf.rouge(predictions, references, threads=1),
        "rouge, stemmed": lambda: cf.rouge(predictions, references, stemmer=True, threads=1),
        "rouge 1.0.1": lambda: cf.rouge(predictions, references, compat="rouge==1.0.1", threads=1),
        "pool": lambda: pool.most_similar(predictions[:200], threads=1),
        "exact dedup": lambda: cf.exact_duplicates(rows, threads=1),
        "near dedup": lambda: cf.near_duplicates(rows, threads=1),
        "traces": lambda: cf.generated_traces(rows, threads=1),
    }


def measure() -> None:
    """Times every kernel in this process, and says what came out."""
    answer = {}
    for name, work in works().items():
        seconds, found = timed(work, 3)
        answer[name] = (seconds, sha256(json.dumps(found.to_pydict(), default=str).encode()).hexdigest())
    print(json.dumps(answer))


def native() -> Path:
    """The package compiled for this machine, to be found before the installed one."""
    folder = DATA / "native"
    environment = {**os.environ, "RUSTFLAGS": "-C target-cpu=native", "PIP_QUIET": "1"}
    python = [sys.executable, "-m"]
    with tempfile.TemporaryDirectory() as wheels:
        build = [*python, "maturin", "build", "-q", "--release", "-o", wheels, "--target-dir", str(DATA / "target")]
        subprocess.run(build, cwd=Path(__file__).parent.parent, env=environment, check=True)
        install = [*python, "pip", "install", "-q", "--upgrade", "--no-deps", "--target", str(folder)]
        subprocess.run([*install, *map(str, Path(wheels).glob("*.whl"))], env=environment, check=True)
    return folder


def main() -> None:
    """Builds, and runs both in turn."""
    header("dispatch", [], threads=1)
    places = {"the wheel": "", "for this machine": str(native())}
    best: dict[str, dict[str, float]] = {}
    answers: dict[str, set[str]] = {}
    for _ in range(ROUNDS):
        for build, path in places.items():
            run = subprocess.run(
                [sys.executable, __file__, "measure"],
                env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            for name, (seconds, digest) in json.loads(run.stdout).items():
                times = best.setdefault(name, {})
                times[build] = min(times.get(build, float("inf")), seconds)
                answers.setdefault(name, set()).add(digest)
    for name, times in best.items():
        assert len(answers[name]) == 1, f"{name}: the builds differ"
        print(f"{name}: same answers")
        report(times, "for this machine")


if __name__ == "__main__":
    if sys.argv[1:] == ["measure"]:
        measure()
    else:
        main()
