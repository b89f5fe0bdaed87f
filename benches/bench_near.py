"""Near duplicates of 1 M rows of real sentences, exactly: every pair at the threshold, and no other.

Before the clock, the answer over whole families of rows is held against a join in plain Python over sets of tuples of
words: the same rows, witnesses and similarities. The peers have a sample of the same corpus; their F1 is that of the
rows they remove, whichever of two they keep. `--peers PYTHON` names the interpreter that has them; those it has not
are told.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
from common import DATA, header, peak_memory
from near_corpus import file_of, load, make, sentences
from near_peers import PEERS

from chaffinch import near_duplicates

NGRAM = 5
SEED = 5
BARS = {0.8: 15.0, 0.7: 20.0}
PEER_BARS = {"gaoya": 3, "rensa": 6, "FastSketchLSH": 6, "datasketch": 20, "text-dedup": 30, "datatrove": 90}
MEMORY_BAR = 1.5 * 2**30


def sample(table: pa.Table, rows: int) -> pa.Table:
    """Whole families, about so many rows."""
    every = max(1, len(table) // rows)
    return table.filter(
        pa.array(table["family"].to_numpy() * np.uint32(2654435761) % np.uint32(every) == 0)
    ).combine_chunks()


def similar(texts: list[str], threshold: float) -> list[dict[int, float]]:
    """Of each row, the rows before it that are similar: by sets of tuples of words, all rows that share a shingle."""
    words = [text.lower().split() for text in texts]
    sets = [{tuple(one[at : at + NGRAM]) for at in range(max(1, len(one) - NGRAM + 1))} for one in words]
    having: dict[tuple[str, ...], list[int]] = {}
    found = []
    for row, own in enumerate(sets):
        shared = Counter(other for shingle in own for other in having.get(shingle, ()))
        alike = {other: n / (len(own) + len(sets[other]) - n) for other, n in shared.items()}
        found.append({other: value for other, value in alike.items() if value >= threshold})
        for shingle in own:
            having.setdefault(shingle, []).append(row)
    return found


def brute_force(alike: list[dict[int, float]]) -> list[tuple[int, int, float]]:
    """Row by row against every row before it that stays."""
    gone: set[int] = set()
    found = []
    for row, others in enumerate(alike):
        stays = [other for other in others if other not in gone]
        if stays:
            gone.add(row)
            found.append((row, min(stays), others[min(stays)]))
    return found


def in_order(table: pa.Table, threshold: float, threads: int | None = None) -> pa.Table:
    """As the peers do it: the first row of a group stays."""
    rank = pa.array(np.arange(len(table)))
    return near_duplicates(table["text"], min_similarity=threshold, priority=rank, threads=threads)


def prepare(rows: int) -> pa.Table:
    """The texts, mapped, every page touched."""
    table = load(file_of(rows, SEED))
    for chunk in table["text"].chunks:
        np.frombuffer(chunk.buffers()[2], np.uint8)[::4096].sum()
    return table


def ours(table: pa.Table, threshold: float = 0.8) -> pa.Table:
    return near_duplicates(table["text"], min_similarity=threshold)


def ours_07(table: pa.Table) -> pa.Table:
    return ours(table, 0.7)


def measured(table: pa.Table, threshold: float, repeats: int) -> tuple[float, float, int]:
    """The best wall time, the CPU time of that run, and the rows removed."""
    best = (float("inf"), 0.0, 0)
    for _ in range(repeats):
        before = resource.getrusage(resource.RUSAGE_SELF)
        started = time.perf_counter()
        found = len(ours(table, threshold))
        wall = time.perf_counter() - started
        after = resource.getrusage(resource.RUSAGE_SELF)
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        best = min(best, (wall, cpu, found))
    return best


def f1(removed: set[int], alike: list[dict[int, float]]) -> float:
    """Right is a removed row with a similar one that stays, whichever of the two that is; missed is a row that stays
    beside a similar one before it."""
    pairs = [(row, other) for row, others in enumerate(alike) for other in others]
    stands_for = {a for pair in pairs for a, b in (pair, pair[::-1]) if b not in removed}
    right = len(removed & stands_for)
    missed = len({row for row, other in pairs if row not in removed and other not in removed})
    return 2 * right / (2 * right + len(removed) - right + missed)


def peers(python: str, table: pa.Table, threshold: float, alike: list[dict[int, float]], names: list[str]) -> None:
    path = DATA / "near-sample.arrow"
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table)
    seconds = min(_wall(lambda: in_order(table, threshold)) for _ in range(5))
    print(f"\n{len(table):,} rows of it at {threshold}, rows a second; F1 of the removed rows")
    print(f"  {'chaffinch':<26}{len(table) / seconds:12,.0f}    F1 1.0000")
    script = str(Path(__file__).with_name("near_peers.py"))
    for name in names:
        done = subprocess.run(
            [python, script, name, str(path), str(threshold)], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"  {name:<26}not measured: {(done.stderr.strip().splitlines() or ['failed'])[-1][:150]}")
            continue
        answer = json.loads(done.stdout.splitlines()[-1])
        ratio = answer["seconds"] / seconds
        verdict = "met" if ratio >= PEER_BARS[name] else "MISSED"
        print(
            f"  {name + ' ' + answer['version']:<26}{len(table) / answer['seconds']:12,.0f}    "
            f"F1 {f1(set(answer['removed']), alike):.4f}   {ratio:7.1f}x   bar {PEER_BARS[name]}x: {verdict}",
            flush=True,
        )


def _wall(work) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def growth(threshold: float) -> None:
    """Times from 200 k to 5 M rows; the plot goes into docs/."""
    known = sentences()
    parts = [load(make(1_000_000, SEED + number, known)) for number in range(5)]
    rows = [200_000, 500_000, 1_000_000, 2_000_000, 5_000_000]
    whole = pa.concat_tables(parts)
    seconds = [_wall(lambda rows=n: ours(whole.slice(0, rows), threshold)) for n in rows]
    for n, took in zip(rows, seconds, strict=True):
        print(f"  {n:>9,} rows {took:8.2f} s   {took / n * 1e6:6.2f} s per million", flush=True)
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(5, 3))
    axes.plot([n / 1e6 for n in rows], seconds, "o-", color="#2a5db0")
    axes.set(xlabel="rows, millions", ylabel="seconds", xlim=(0, None), ylim=(0, None))
    axes.set_title(f"near duplicates at {threshold}, {os.cpu_count()} cores", fontsize=10)
    figure.tight_layout()
    figure.savefig(Path(__file__).parents[1] / "docs" / "near-growth.png", dpi=80)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=1_000_000)
    arguments.add_argument("--repeats", type=int, default=3)
    arguments.add_argument("--sample", type=int, default=30_000)
    arguments.add_argument("--peers", default=sys.executable, metavar="PYTHON")
    arguments.add_argument("--only", nargs="*", default=list(PEERS), choices=list(PEERS))
    arguments.add_argument("--growth", action="store_true", help="also 200 k to 5 M rows (gigabytes, minutes)")
    options = arguments.parse_args()
    make(options.rows, SEED)
    table = prepare(options.rows)
    size = sum(chunk.buffers()[2].size for chunk in table["text"].chunks)
    header(
        "near", [], rows=options.rows, bytes_a_row=size // options.rows, threads=os.cpu_count(), load=os.getloadavg()[0]
    )
    some = sample(table, options.sample)
    alike = {threshold: similar(some["text"].to_pylist(), threshold) for threshold in BARS}
    for threshold in BARS:
        expected = brute_force(alike[threshold])
        found = [tuple(one.values()) for one in in_order(some, threshold).to_pylist()]
        assert found == expected, "the same rows, witnesses and similarities as brute force"
        assert f1({row for row, *_ in expected}, alike[threshold]) == 1.0
        print(f"  F1 1.0 at {threshold}: {len(expected):,} of {len(some):,} rows, as brute force has them")
    for threshold, bar in BARS.items():
        wall, cpu, removed = measured(table, threshold, options.repeats)
        verdict = "met" if wall < bar else "MISSED"
        print(
            f"  at {threshold}: {wall:6.2f} s, {cpu:6.2f} s of CPU, {removed:,} removed   bar {bar:g} s: {verdict}",
            flush=True,
        )
    for name, threshold in (("ours", 0.8), ("ours_07", 0.7)):
        peak = peak_memory("bench_near", name, options.rows)
        verdict = "met" if peak <= MEMORY_BAR else "MISSED"
        print(f"  peak anonymous memory at {threshold}: {peak / 2**20:,.0f} MiB   bar 1536 MiB: {verdict}", flush=True)
    if options.growth:
        growth(0.8)
    peers(options.peers, some, 0.8, alike[0.8], options.only)


if __name__ == "__main__":
    main()
