"""The files that each trainer takes, of packs or of single documents."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from chaffinch.handover.documents import UNTRAINED, Documents
from chaffinch.handover.packs import BATCH_TOKENS, FILE_TOKENS, Batch, Packs
from chaffinch.stages.write import Count, Written, describe_datasets, file_name

_NUMBERS = pa.list_(pa.int32())
Advance = Callable[[int], object]


def write_packs(
    trainer: str,
    folder: Path,
    split: str,
    packs: Packs,
    length: int,
    *,
    compression: str = "snappy",
    threads: int = 1,
    advance: Advance = lambda _: None,
) -> list[Written]:
    """Writes packs as a trainer takes them.

    `trl`: Parquet with input_ids, labels, position_ids and seq_lengths. `llama-factory`: Arrow files for a `datasets`
    folder, with input_ids, attention_mask (the document's number in its pack, 0 for padding), position_ids and labels;
    every pack has `length` tokens. `torch`: two files of int32, input_ids and labels, and an index.

    Args:
        trainer: one of these.
        folder: where the files go; made when missing.
        split: the first part of their names.
        packs: what to write.
        length: tokens of a whole pack.
        compression: of Parquet.
        threads: files written at the same time.
        advance: called with the packs written so far.

    Returns:
        The files, with their packs as rows.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stopped = Event()
    count = Count(advance, stopped)

    def watched(batches: Iterator[Batch]) -> Iterator[Batch]:
        for batch in batches:
            yield batch
            count.add(len(batch.first) - 1)

    if trainer == "torch":
        return _write_torch(folder, split, watched(packs.batches(range(packs.count))), packs.count)
    files = packs.files()
    form = {"trl": "parquet", "llama-factory": "datasets"}[trainer]

    def write_one(index: int) -> Written:
        path = folder / file_name(split, index, len(files), form)
        path.parent.mkdir(parents=True, exist_ok=True)
        if trainer == "trl":
            _write_parquet(path, TRL, map(_trl, watched(packs.batches(files[index]))), compression)
        else:
            with pa.ipc.new_stream(str(path), LLAMA_FACTORY) as writer:
                for batch in watched(packs.batches(files[index], length)):
                    writer.write_batch(_llama_factory(batch))
        return Written(split, str(path.relative_to(folder)), len(files[index]), path.stat().st_size)

    with ThreadPoolExecutor(min(threads, len(files))) as pool:
        try:
            return list(pool.map(write_one, range(len(files))))
        except BaseException:
            stopped.set()
            raise


def write_documents(
    folder: Path,
    split: str,
    documents: Documents,
    numbers: npt.NDArray[Any],
    *,
    compression: str = "snappy",
    advance: Advance = lambda _: None,
) -> list[Written]:
    """Writes single documents as Parquet with input_ids, attention_mask and labels: axolotl's pre-tokenised form.

    The labels of first tokens are -100: axolotl packs the documents, and nothing of one predicts another.
    """
    folder.mkdir(parents=True, exist_ok=True)
    ends = np.cumsum(documents.lengths[numbers], dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    cuts = np.searchsorted(ends, np.arange(FILE_TOKENS, total, FILE_TOKENS), side="right")
    parts = [part for part in np.split(numbers, np.unique(cuts)) if len(part)] or [numbers]
    written, done = [], 0
    for index, part in enumerate(parts):
        path = folder / file_name(split, index, len(parts), "parquet")
        batches = (_axolotl(documents, some) for some in _runs(documents, part))
        _write_parquet(path, AXOLOTL, batches, compression)
        done += len(part)
        advance(done)
        written.append(Written(split, path.name, len(part), path.stat().st_size))
    return written


def finish(trainer: str, folder: Path, written: list[Written]) -> None:
    """What a folder needs besides its data, once all splits are written."""
    if trainer == "llama-factory":
        describe_datasets(folder, written)


def _fields(*names: str) -> pa.Schema:
    return pa.schema([pa.field(name, _NUMBERS, nullable=False) for name in names])


TRL = _fields("input_ids", "labels", "position_ids", "seq_lengths")
AXOLOTL = _fields("input_ids", "attention_mask", "labels")
LLAMA_FACTORY = _fields("input_ids", "attention_mask", "position_ids", "labels")
INDEX = pa.schema(
    [
        pa.field("start", pa.int64(), nullable=False),
        pa.field("seq_lengths", _NUMBERS, nullable=False),
    ]
)


def _trl(batch: Batch) -> pa.RecordBatch:
    by_token = [batch.lists(values) for values in (batch.input_ids, batch.labels, batch.position_ids)]
    return pa.record_batch([*by_token, _seq_lengths(batch)], schema=TRL)


def _llama_factory(batch: Batch) -> pa.RecordBatch:
    columns = (batch.input_ids, batch.segment, batch.position_ids, batch.labels)
    return pa.record_batch([batch.lists(values) for values in columns], schema=LLAMA_FACTORY)


def _seq_lengths(batch: Batch) -> pa.ListArray:
    return pa.ListArray.from_arrays(batch.first.astype(np.int32), batch.seq_lengths)


def _runs(documents: Documents, numbers: npt.NDArray[Any]) -> Iterator[npt.NDArray[Any]]:
    ends = np.cumsum(documents.lengths[numbers], dtype=np.int64)
    start = 0
    while start < len(numbers):
        before = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, before + BATCH_TOKENS, side="right")))
        yield numbers[start:end]
        start = end


def _axolotl(documents: Documents, numbers: npt.NDArray[Any]) -> pa.RecordBatch:
    ids, labels = documents.take(numbers)
    starts = np.concatenate([[0], np.cumsum(documents.lengths[numbers], dtype=np.int64)]).astype(np.int32)
    labels = labels.copy()
    labels[starts[:-1]] = UNTRAINED
    columns = [pa.ListArray.from_arrays(starts, values) for values in (ids, np.ones_like(ids), labels)]
    return pa.record_batch(columns, schema=AXOLOTL)


def _write_parquet(path: Path, schema: pa.Schema, batches: Iterator[pa.RecordBatch], compression: str) -> None:
    # Positions count up: as differences they take nearly no room.
    counting = [f"{name}.list.element" for name in schema.names if name == "position_ids"]
    with pq.ParquetWriter(
        path,
        schema,
        compression=compression,
        use_dictionary=False,
        column_encoding=dict.fromkeys(counting, "DELTA_BINARY_PACKED"),
    ) as writer:
        for batch in batches:
            writer.write_batch(batch)


def _write_torch(folder: Path, split: str, batches: Iterator[Batch], count: int) -> list[Written]:
    names = [f"{split}.input_ids.bin", f"{split}.labels.bin", f"{split}.index.arrow"]
    start = 0
    with ExitStack() as stack:
        ids, labels = (stack.enter_context((folder / name).open("wb")) for name in names[:2])
        index = stack.enter_context(pa.ipc.new_file(str(folder / names[2]), INDEX))
        for batch in batches:
            ids.write(batch.input_ids.astype("<i4", copy=False).data)
            labels.write(batch.labels.astype("<i4", copy=False).data)
            index.write_batch(pa.record_batch([start + batch.starts[:-1], _seq_lengths(batch)], schema=INDEX))
            start += len(batch.input_ids)
    return [Written(split, name, count, (folder / name).stat().st_size) for name in names]
