"""What every bench does alike: says what it measured, refuses a debug build, measures peak memory."""

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from chaffinch import _core

DATA = Path(__file__).parent / "data"
# How Llama 3 and its like cut text into words.
WORDS = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def header(name: str, peers: list[str], **facts: object) -> None:
    """Prints what is measured with what; ends the bench on a debug build."""
    built = _core.build_info()
    if built[1] != "release":
        sys.exit(f"{name}: this is a {built[1]} build\nhint: maturin develop --release")
    versions = [f"python {platform.python_version()}", *(f"{peer} {version(peer)}" for peer in peers)]
    print(f"# {name}\n{', '.join(versions)}, chaffinch {' '.join(built)}")
    print(", ".join(f"{key} {value:,}" if isinstance(value, int) else f"{key} {value}" for key, value in facts.items()))


def byte_level_bpe(texts: Iterable[str]) -> Any:
    """A `tokenizers.Tokenizer` of 32,000 tokens, made of these texts."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(Regex(WORDS), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=32_000, initial_alphabet=alphabet, show_progress=False)
    )
    return made


def timed(work: Callable[[], Any], repeats: int = 3) -> tuple[float, Any]:
    """The best time in seconds, and the last answer."""
    best, answer = float("inf"), None
    for _ in range(repeats):
        answer = None
        started = time.perf_counter()
        answer = work()
        best = min(best, time.perf_counter() - started)
    return best, answer


def alternating(works: dict[str, Callable[[], Any]], repeats: int = 5) -> dict[str, float]:
    """The median time of each in seconds, all of them once per round: what else the machine does falls on all alike."""
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            started = time.perf_counter()
            answer = work()
            times[name].append(time.perf_counter() - started)
            del answer
    return {name: statistics.median(seconds) for name, seconds in times.items()}


def report(rows: dict[str, float], ours: str, bars: dict[str, float] | None = None) -> None:
    """Prints times and how many times faster `ours` is, with the bar where there is one."""
    for name, seconds in rows.items():
        ratio = seconds / rows[ours]
        bar = (bars or {}).get(name)
        verdict = "" if bar is None else f"   bar {bar:g}x: {'met' if ratio >= bar else 'MISSED'}"
        print(f"  {name:<44} {seconds:8.3f} s   {ratio:7.2f}x{verdict}")


PEAK = """
import json, sys, time
sys.path.insert(0, {folder!r})
import {module} as bench
state = bench.prepare({rows})
def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("RssAnon"))
import threading
before, peak, done = anonymous(), [0], threading.Event()
def watch():
    while not done.wait(0.005):
        peak[0] = max(peak[0], anonymous())
watcher = threading.Thread(target=watch)
watcher.start()
started = time.perf_counter()
answer = bench.{function}(state)
seconds = time.perf_counter() - started
done.set()
watcher.join()
print(json.dumps({{"peak": max(peak[0], anonymous()) - before, "seconds": seconds}}))
"""


def peak_memory(module: str, function: str, rows: int) -> int:
    """Anonymous bytes that `module.function(module.prepare(rows))` needs, beyond what `prepare` left."""
    script = PEAK.format(folder=str(Path(__file__).parent), module=module, function=function, rows=rows)
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return int(json.loads(answer.stdout.splitlines()[-1])["peak"])
