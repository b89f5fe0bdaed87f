"""Packing of documents against TRL, axolotl and LLaMA-Factory, on the same lengths.

Lengths are log-normal with a median of 150 tokens, cut to the capacity. Before the clock starts every packing is
checked: each document once and whole, no pack over its capacity. The peers are asked as their own trainers ask them:
TRL `pack_dataset` with `bfd` (it also copies the tokens; ours and the others give row numbers alone), axolotl
`pack_parallel` in groups of 100,000 with one process, LLaMA-Factory `greedy_knapsack` in batches of 1,000 (its default)
and over everything at once.

Needs torch and `pip install --no-deps trl==1.16.0 axolotl==0.19.0 llamafactory==0.9.5` with numba; what is missing is
named and left out.
"""

import argparse
import importlib.util
import sys
from collections.abc import Callable, Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from common import header, peak_memory, timed

import chaffinch as cf

BARS = {"trl bfd": 100, "axolotl multipack": 10, "llamafactory, whole": 5}


def lengths(documents: int, capacity: int) -> np.ndarray:
    drawn = np.random.default_rng(0).lognormal(np.log(150), 1.0, documents)
    return np.clip(drawn.astype(np.uint32), 1, capacity)


def prepare(documents: int) -> np.ndarray:
    return lengths(documents, 2048)


def packed(documents: np.ndarray) -> Any:
    return cf.pack(documents, 2048)


def check(packs: Iterable[list[int]], documents: np.ndarray, capacity: int) -> int:
    """How many packs there are, once it is sure that they are right."""
    packs = list(packs)
    rows = np.concatenate([np.asarray(pack, np.int64) for pack in packs])
    assert np.array_equal(np.sort(rows), np.arange(len(documents))), "a document is missing or there twice"
    ends = np.cumsum([len(pack) for pack in packs])
    used = np.add.reduceat(documents[rows].astype(np.int64), np.concatenate([[0], ends[:-1]]))
    assert used.max() <= capacity, "a pack holds more than it can"
    return len(packs)


def by_pack(table: pa.Table) -> list[list[int]]:
    pack, row = table["pack"].to_numpy(), table["row"].to_numpy()
    return [list(part) for part in np.split(row, np.flatnonzero(np.diff(pack)) + 1)]


def module_of(package: str, file: str) -> Any:
    """One module of an installed package, without the rest of it."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ImportError(f"{package} is not installed")
    path = Path(spec.submodule_search_locations[0]) / file
    found = importlib.util.spec_from_file_location(path.stem, path)
    if found is None or found.loader is None:
        raise ImportError(path)
    module = importlib.util.module_from_spec(found)
    sys.modules[path.stem] = module  # dataclasses look there
    found.loader.exec_module(module)
    return module


def peers(
    documents: np.ndarray, capacity: int
) -> dict[str, tuple[Callable[[], Any], Callable[[Any], list[list[int]]]]]:
    """By name, how to call each peer and how to read its packs."""
    found: dict[str, tuple[Callable[[], Any], Callable[[Any], list[list[int]]]]] = {}
    numbers = [int(length) for length in documents]
    try:
        knapsack = module_of("llamafactory", "data/processor/processor_utils.py").greedy_knapsack

        def read(packs: list[list[int]]) -> list[list[int]]:
            # It gives lengths, not documents: any document of that length stands for it.
            order = np.argsort(documents, kind="stable")
            ends = {length: at for at, length in enumerate(documents[order])}
            rows = []
            for pack in packs:
                rows.append([])
                for length in pack:
                    rows[-1].append(int(order[ends[length]]))
                    ends[length] -= 1
            return rows

        def batches() -> list[list[int]]:
            parts = (numbers[start : start + 1000] for start in range(0, len(numbers), 1000))
            return [pack for part in parts for pack in knapsack(part, capacity)]

        found["llamafactory, whole"] = (lambda: knapsack(list(numbers), capacity), read)
        found["llamafactory, batches of 1,000"] = (batches, read)
    except ImportError as error:
        print(f"not measured: {error}")
    try:
        from axolotl.utils.samplers.multipack import pack_parallel

        found["axolotl multipack"] = (
            lambda: pack_parallel(documents.astype(np.int64), capacity, 100_000, 200, num_processes=1, safe_mode=False),
            list,
        )
        pack_parallel(documents[:100].astype(np.int64), capacity, 100, 200, num_processes=1)  # compiles it
    except ImportError as error:
        print(f"not measured: {error}")
    try:
        from datasets import Dataset, disable_caching, disable_progress_bars
        from trl import pack_dataset

        disable_progress_bars()
        disable_caching()
        ends = np.concatenate([[0], np.cumsum(documents, dtype=np.int64)])
        row = np.repeat(np.arange(len(documents), dtype=np.int32), documents)
        tokens = pa.LargeListArray.from_arrays(ends, row)
        table = Dataset(pa.table({"input_ids": tokens}))
        found["trl bfd"] = (
            lambda: pack_dataset(table, capacity, "bfd"),
            lambda packs: [list(dict.fromkeys(one["input_ids"])) for one in packs],
        )
    except ImportError as error:
        print(f"not measured: {error}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=10_000_000)
    parser.add_argument("--beside-peers", type=int, default=1_000_000)
    asked = parser.parse_args()
    names = []
    for name in ("trl", "axolotl", "llamafactory", "numba"):
        try:
            version(name)
            names.append(name)
        except PackageNotFoundError:
            print(f"not installed: {name}", file=sys.stderr)
    header("pack", names, documents=asked.documents, beside_peers=asked.beside_peers)

    for capacity in (2048, 8192):
        documents = lengths(asked.documents, capacity)
        seconds, (table, fill) = timed(lambda documents=documents, capacity=capacity: cf.pack(documents, capacity))
        packs = check(by_pack(table), documents, capacity)
        least = -(-int(documents.sum(dtype=np.int64)) // capacity)
        met = "met" if seconds <= 2.5 and fill >= 0.999 and packs <= least * 1.0005 else "MISSED"
        print(
            f"  {asked.documents:,} documents, capacity {capacity}: {seconds:.2f} s, fill {fill:.4%}, {packs:,} packs, "
            f"lower bound {least:,} (+{packs / least - 1:.4%})   bar 2.5 s, 99.9 %, 0.05 %: {met}"
        )
    print(f"  memory beyond the lengths: {peak_memory('bench_pack', 'packed', asked.documents) / 2**20:,.0f} MiB")

    capacity = 2048
    documents = lengths(asked.beside_peers, capacity)
    ours, (table, _) = timed(lambda: cf.pack(documents, capacity))
    packs = check(by_pack(table), documents, capacity)
    print(f"  {'chaffinch':<32} {ours:9.3f} s   {packs:,} packs of {asked.beside_peers:,} documents")
    for name, (work, read) in peers(documents, capacity).items():
        seconds, answer = timed(work, repeats=1)
        theirs = check(read(answer), documents, capacity)
        bar = BARS.get(name)
        verdict = "" if bar is None else f"   bar {bar}x: {'met' if seconds / ours >= bar else 'MISSED'}"
        fewer = "" if packs <= theirs else f"   MISSED: we need {packs - theirs:,} more packs"
        print(f"  {name:<32} {seconds:9.3f} s   {theirs:,} packs   {seconds / ours:8.1f}x{verdict}{fewer}")


if __name__ == "__main__":
    main()
