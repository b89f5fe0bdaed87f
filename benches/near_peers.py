"""One peer over one file, in a process of its own: `python near_peers.py PEER FILE THRESHOLD` prints JSON.

Each does it as its own documentation does, with 128 permutations, word 5-grams and its own choice of bands, and drops a
row when its sketch says that it is like an earlier one that stays. What a peer leaves to its caller (shingling, the
loop) is in its time, as it is in ours. Reading the file is not.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

import pyarrow as pa

NGRAM, PERMUTATIONS = 5, 128
THREADS = os.cpu_count() or 1


def shingles(text: str) -> set[str]:
    words = text.lower().split()
    return {" ".join(words[at : at + NGRAM]) for at in range(max(1, len(words) - NGRAM + 1))}


def first_stays(found: Iterable[Iterable[int]]) -> list[int]:
    removed: set[int] = set()
    for row, alike in enumerate(found):
        if any(other < row and other not in removed for other in alike):
            removed.add(row)
    return sorted(removed)


def gaoya(texts: list[str], threshold: float) -> list[int]:
    from gaoya.minhash import MinHashStringIndex

    bands, width = bands_of(threshold)
    index = MinHashStringIndex(
        hash_size=32,
        jaccard_threshold=threshold,
        num_bands=bands,
        band_size=width,
        num_hashes=bands * width,
        analyzer="word",
        lowercase=True,
        ngram_range=(NGRAM, NGRAM),
    )
    index.par_bulk_insert_docs(list(range(len(texts))), texts)
    return first_stays(index.par_bulk_query(texts))


def rensa(texts: list[str], threshold: float) -> list[int]:
    from rensa import RMinHash, RMinHashDeduplicator

    deduplicator = RMinHashDeduplicator(
        threshold=threshold, num_perm=PERMUTATIONS, use_lsh=True, num_bands=bands_of(threshold)[0]
    )
    removed = []
    for row, text in enumerate(texts):
        sketch = RMinHash(num_perm=PERMUTATIONS, seed=42)
        sketch.update(list(shingles(text)))
        if not deduplicator.add(str(row), sketch):
            removed.append(row)
    return removed


def fastsketchlsh(texts: list[str], threshold: float) -> list[int]:
    from FastSketchLSH import LSH, FastSimilaritySketch

    sketches = FastSimilaritySketch(PERMUTATIONS, 42).batch([list(shingles(text)) for text in texts])
    index = LSH(PERMUTATIONS, bands_of(threshold)[0])
    index.insert(sketches)
    return first_stays(index.query(sketches))


def datasketch(texts: list[str], threshold: float) -> list[int]:
    from datasketch import MinHash, MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=PERMUTATIONS)
    removed = []
    for row, text in enumerate(texts):
        sketch = MinHash(num_perm=PERMUTATIONS)
        sketch.update_batch([one.encode() for one in shingles(text)])
        if index.query(sketch):
            removed.append(row)
        else:
            index.insert(row, sketch)
    return removed


def text_dedup(texts: list[str], threshold: float) -> list[int]:
    import pyarrow.parquet as pq

    with tempfile.TemporaryDirectory() as folder:
        pq.write_table(pa.table({"text": texts, "row": range(len(texts))}), f"{folder}/rows.parquet")
        options = {
            "path": "parquet",
            "data_files": f"{folder}/rows.parquet",
            "split": "train",
            "cache_dir": f"{folder}/cache",
            "output": f"{folder}/out",
            "column": "text",
            "batch_size": "10000",
            "ngram": str(NGRAM),
            "min_length": "0",
            "num_perm": str(PERMUTATIONS),
            "threshold": str(threshold),
            "num_proc": str(THREADS),
        }
        command = [
            sys.executable,
            "-m",
            "text_dedup.minhash",
            *(f"--{name}={value}" for name, value in options.items()),
        ]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "HF_DATASETS_OFFLINE": "1"})
        import datasets

        kept = set(datasets.load_from_disk(f"{folder}/out")["row"])
    return [row for row in range(len(texts)) if row not in kept]


def datatrove(texts: list[str], threshold: float) -> list[int]:
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import JsonlReader
    from datatrove.pipeline.writers import JsonlWriter

    bands, width = bands_of(threshold)
    config = MinhashConfig(n_grams=NGRAM, num_buckets=bands, hashes_per_bucket=width)
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "in").mkdir()
        tasks = THREADS
        for task in range(tasks):
            with (folder / "in" / f"{task}.jsonl").open("w", encoding="utf-8") as lines:
                for row in range(task, len(texts), tasks):
                    lines.write(json.dumps({"text": texts[row], "id": str(row)}) + "\n")

        def stage(name: str, pipeline: list, tasks: int) -> None:
            logs = str(folder / "logs" / name)
            LocalPipelineExecutor(pipeline, tasks=tasks, workers=min(tasks, THREADS), logging_dir=logs).run()

        reader = JsonlReader(str(folder / "in"))
        place = {name: str(folder / name) for name in ("signatures", "buckets", "remove", "kept", "gone")}
        stage("1", [reader, MinhashDedupSignature(place["signatures"], config=config)], tasks)
        stage("2", [MinhashDedupBuckets(place["signatures"], place["buckets"], config=config)], bands)
        stage("3", [MinhashDedupCluster(place["buckets"], place["remove"], config=config)], 1)
        gone = MinhashDedupFilter(place["remove"], exclusion_writer=JsonlWriter(place["gone"], compression=None))
        stage("4", [reader, gone, JsonlWriter(place["kept"], compression=None)], tasks)
        lines = [line for path in (folder / "gone").rglob("*.jsonl") for line in path.read_text().splitlines()]
        return sorted(int(json.loads(line)["id"]) for line in lines)
    finally:
        shutil.rmtree(folder)


def bands_of(threshold: float) -> tuple[int, int]:
    """Bands and rows of at most 128 permutations as datasketch chooses them, for peers that leave it to the caller."""

    def area(probability, start: float, end: float) -> float:
        steps = 200
        return sum(probability(start + (end - start) * (k + 0.5) / steps) for k in range(steps)) * (end - start) / steps

    def error(bands: int, width: int) -> float:
        found = lambda s: 1 - (1 - s**width) ** bands  # noqa: E731
        return area(found, 0, threshold) + area(lambda s: 1 - found(s), threshold, 1)

    pairs = [(b, PERMUTATIONS // b) for b in range(1, PERMUTATIONS + 1) if PERMUTATIONS % b == 0]
    return min(pairs, key=lambda pair: error(*pair))


PEERS = {
    "gaoya": ("gaoya", gaoya),
    "rensa": ("rensa", rensa),
    "FastSketchLSH": ("FastSketchLSH", fastsketchlsh),
    "datasketch": ("datasketch", datasketch),
    "text-dedup": ("text-dedup", text_dedup),
    "datatrove": ("datatrove", datatrove),
}

if __name__ == "__main__":
    package, work = PEERS[sys.argv[1]]
    rows = pa.ipc.open_file(sys.argv[2]).read_all()["text"].to_pylist()
    started = time.perf_counter()
    removed = work(rows, float(sys.argv[3]))
    seconds = time.perf_counter() - started
    print(json.dumps({"version": version(package), "seconds": seconds, "removed": [int(row) for row in removed]}))
