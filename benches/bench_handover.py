"""Packs in the files of each trainer, from tokens that lie in a mapped Arrow file.

Lengths are log-normal with a median of 150 tokens, cut to the capacity; ids are as uneven as words are (Zipf). Before
anything is told, the Parquet files are read back: each document is in them once, whole and with its labels.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import DATA, header, peak_memory, timed

from chaffinch.handover.documents import Documents
from chaffinch.handover.forms import write_documents, write_packs
from chaffinch.handover.packs import Packs
from chaffinch.recipe.pack import Pack

LENGTH = 8192
BAR = 2 << 30


def prepare(documents: int) -> Path:
    """The file of tokens, made once."""
    path = DATA / f"tokens-{documents}.arrow"
    if path.exists():
        return path
    DATA.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    schema = pa.schema([("input_ids", pa.list_(pa.int32())), ("labels", pa.list_(pa.int32()))])
    with pa.ipc.new_file(str(path), schema) as writer:
        for start in range(0, documents, 10_000):
            count = min(10_000, documents - start)
            lengths = np.clip(generator.lognormal(np.log(150), 1.0, count).astype(np.int64), 2, LENGTH)
            ends = np.concatenate([[0], np.cumsum(lengths)])
            ids = np.minimum(generator.zipf(1.2, ends[-1]), 31_999).astype(np.int32)
            place = np.arange(ends[-1]) - np.repeat(ends[:-1], lengths)
            labels = np.where(place < np.repeat(lengths // 2, lengths), np.int32(-100), ids)
            offsets = pa.array(ends, pa.int32())
            lists = [pa.ListArray.from_arrays(offsets, values) for values in (ids, labels)]
            writer.write_batch(pa.record_batch(lists, schema=schema))
    return path


def hand_over(path: Path, trainer: str = "trl", folder: Path | None = None) -> tuple[Documents, list[Path]]:
    """From the file of tokens to the files of a trainer."""
    documents = Documents(pa.ipc.open_file(pa.memory_map(str(path))).read_all())
    numbers = np.arange(len(documents), dtype=np.uint32)
    to = folder or DATA / "packed"
    if trainer == "axolotl":
        written = write_documents(to, "train", documents, numbers)
    else:
        packs = Packs(documents, numbers, Pack(length=LENGTH), 0)
        written = write_packs(trainer, to, "train", packs, LENGTH, threads=2)
    return documents, [to / file.file for file in written]


def check(documents: Documents, files: list[Path]) -> None:
    """Every document once and whole: the sums of what stands in the files are those of the documents."""
    lengths, sums, learned = [], [], 0
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(batch_size=256):
            ids, labels, counts = (batch[name].flatten().to_numpy() for name in ("input_ids", "labels", "seq_lengths"))
            starts = np.cumsum(counts) - counts
            assert np.all(labels[starts] == -100)
            assert np.all((labels == -100) | (labels == ids))
            lengths.append(counts)
            sums.append(np.add.reduceat(ids.astype(np.int64), starts))
            learned += int(np.count_nonzero(labels != -100))
    parts = (np.arange(start, min(start + 50_000, len(documents))) for start in range(0, len(documents), 50_000))
    expected = []
    for part in parts:
        starts = np.cumsum(documents.lengths[part], dtype=np.int64) - documents.lengths[part]
        expected.append(np.add.reduceat(documents.take(part)[0].astype(np.int64), starts))
    got = sorted(zip(np.concatenate(lengths).tolist(), np.concatenate(sums).tolist(), strict=True))
    assert got == sorted(zip(documents.lengths.tolist(), np.concatenate(expected).tolist(), strict=True))
    assert learned == int(documents.trained.sum())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=1_000_000)
    asked = parser.parse_args()
    header("hand-over", ["pyarrow"], documents=asked.documents, capacity=LENGTH)
    path = prepare(asked.documents)
    with tempfile.TemporaryDirectory(dir=DATA) as folder:
        for trainer in ("trl", "llama-factory", "torch", "axolotl"):
            to = Path(folder) / trainer
            seconds, (documents, files) = timed(
                lambda trainer=trainer, to=to: hand_over(path, trainer, to), repeats=1 + (trainer == "trl")
            )
            if trainer == "trl":
                check(documents, files)
            size = sum(file.stat().st_size for file in files) / 2**20
            print(f"  {trainer:<16} {seconds:8.2f} s   {size:8,.0f} MiB in {len(files)} files")
            shutil.rmtree(to)
    peak = peak_memory("bench_handover", "hand_over", asked.documents)
    shutil.rmtree(DATA / "packed")
    verdict = "met" if peak <= BAR else "MISSED"
    print(f"  memory from mapped tokens to packed Parquet: {peak / 2**20:,.0f} MiB   bar 2,048 MiB: {verdict}")


if __name__ == "__main__":
    main()
