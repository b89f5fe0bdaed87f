"""Packs the documents of files, or of a build, for a trainer."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from chaffinch import manifest
from chaffinch.errors import DataError
from chaffinch.handover.documents import Documents
from chaffinch.handover.forms import finish, write_packs
from chaffinch.handover.packs import Packs
from chaffinch.ledger import SCHEMA as LEDGER_SCHEMA
from chaffinch.output import LEDGER, MANIFEST, PACKS, TRAINER, open_output
from chaffinch.progress import NoProgress, Progress
from chaffinch.recipe.pack import Pack
from chaffinch.stages.write import Written
from chaffinch.store import build_info, hash_file
from chaffinch.threads import thread_count

TRAINERS = ("trl", "llama-factory", "torch")
PLACES = pa.schema(
    [
        pa.field("split", pa.string(), nullable=False),
        pa.field("pack", pa.uint32(), nullable=False),
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("part", pa.uint32(), nullable=False),
        pa.field("offset", pa.uint32(), nullable=False),
        pa.field("tokens", pa.uint32(), nullable=False),
    ]
)
Names = Callable[[npt.NDArray[Any]], tuple[pa.Array, npt.NDArray[Any]]]
_PLACES_AT_A_TIME = 1 << 17


@dataclass(frozen=True)
class Left:
    """Documents that no pack holds.

    Attributes:
        number: their numbers, increasing.
        reason: indices into `reasons`.
    """

    number: npt.NDArray[np.int64]
    reason: npt.NDArray[np.uint8]
    reasons = ("empty", "no_labels", "longer_than_a_pack")

    def counts(self) -> dict[str, int]:
        """Documents by reason."""
        counts = np.bincount(self.reason, minlength=len(self.reasons)).tolist()
        return {reason: n for reason, n in zip(self.reasons, counts, strict=True) if n}


def choose(documents: Documents, length: int) -> tuple[npt.NDArray[np.int64], Left]:
    """The documents that can be packed, and the others: empty, without a token to learn, or longer than a pack."""
    why = np.select([documents.lengths == 0, documents.trained == 0, documents.lengths > length], [0, 1, 2], -1)
    left = np.flatnonzero(why >= 0)
    return np.flatnonzero(why < 0), Left(left, why[left].astype(np.uint8))


def pack_file(
    table: pa.Table,
    out: str | Path,
    spec: Pack,
    *,
    trainer: str = "trl",
    seed: int = 0,
    files: Mapping[str, int],
    tokenised: tuple[int, pa.Table] | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Packs tokenised documents and writes them for a trainer.

    Args:
        table: with columns input_ids and labels, lists of whole numbers; a document a row. With `tokenised` also row
            and part, as `cf.tokenize` gives them.
        out: the output folder: `trainer/` is what the trainer takes, `packs.parquet` tells where each row lies,
            `ledger.parquet` which rows no pack holds, `manifest.json` the counts.
        spec: how to pack.
        trainer: `trl`, `llama-factory` or `torch`.
        seed: shuffles the packs.
        files: the rows' files, one after the other, and how many rows each has; row_ids are `NAME/0`, `NAME/1`, ...
        tokenised: the rows that were tokenised, and those without a document: row and reason.
        threads: default all cores.
        progress: told how far it is.

    Returns:
        The manifest.

    Raises:
        DataError: the columns are no documents, there is none that can be packed, or `out` is in use or another's.
        OSError: a file cannot be written.
    """
    progress = progress or NoProgress()
    documents = Documents(table)
    numbers, left = choose(documents, spec.length)
    row, part = (np.arange(len(documents)), np.zeros(len(documents), np.uint32))
    if tokenised is not None:
        row, part = (table[column].to_numpy() for column in ("row", "part"))
    removed = [("pack", row[left.number], [left.reasons[code] for code in left.reason.tolist()])]
    stages = [_stage("pack", len(documents), left.counts())]
    if tokenised is not None:
        rows, dropped = tokenised
        removed.insert(0, ("tokenize", dropped["row"].to_numpy(), dropped["reason"].to_pylist()))
        stages.insert(0, _stage("tokenize", rows, dict(Counter(dropped["reason"].to_pylist()))))
    if not len(numbers):
        counts = ", ".join(f"{reason}: {n:,}" for stage in stages for reason, n in stage["removed"].items())
        hint = "a longer pack, or rows that say what is learned"
        raise DataError(f"none of {stages[0]['rows_in']:,} rows can be packed ({counts or 'no rows'})\nhint: {hint}")
    with open_output(Path(out)) as output:
        packs = Packs(documents, numbers, spec, seed)
        progress.start("pack", packs.count, "packs")
        folder = output.staging / TRAINER
        written = write_packs(
            trainer, folder, "train", packs, spec.length, threads=thread_count(threads), advance=progress.advance
        )
        finish(trainer, folder, written)

        def names(some: npt.NDArray[Any]) -> tuple[pa.Array, npt.NDArray[Any]]:
            return _ids(files, row[some])[0], part[some]

        write_places(output.staging / PACKS, [("train", packs, names)])
        _write_ledger(output.staging / LEDGER, removed, files)
        values = {
            "stages": stages,
            "trainer": trainer,
            "pack": {**spec.model_dump(), "seed": seed, "splits": {"train": packs.summary()}},
            "outputs": outputs(written, folder),
            "chaffinch": build_info()[0],
            "files": output.files(MANIFEST),
        }
        manifest.write(output.staging / MANIFEST, values)
        output.publish()
        progress.finish(packs.count, 0)
    return values


def outputs(written: Iterable[Written], folder: Path) -> list[dict[str, Any]]:
    """The files as the manifest tells them."""
    return [
        {
            "split": file.split,
            "file": f"{TRAINER}/{file.file}",
            "rows": file.rows,
            "bytes": file.bytes,
            "hash": hash_file(folder / file.file),
        }
        for file in written
    ]


def write_places(path: Path, splits: Iterable[tuple[str, Packs, Names]]) -> None:
    """Writes which row lies where: of each split its packs, and what gives row_ids and parts of document numbers."""
    with pq.ParquetWriter(path, PLACES, compression="zstd", use_dictionary=["split"]) as writer:
        for split, packs, names in splits:
            for start in range(0, len(packs.document), _PLACES_AT_A_TIME):
                part = slice(start, start + _PLACES_AT_A_TIME)
                numbers = packs.document[part]
                row_ids, parts = names(numbers)
                places = [packs.offset[part], packs.documents.lengths[numbers]]
                columns = [pa.repeat(split, len(numbers)), packs.pack[part], row_ids, parts, *places]
                writer.write_batch(pa.record_batch(columns, schema=PLACES))


def _stage(stage: str, rows_in: int, removed: dict[str, int]) -> dict[str, Any]:
    return {"stage": stage, "rows_in": rows_in, "rows_out": rows_in - sum(removed.values()), "removed": removed}


def _ids(files: Mapping[str, int], rows: npt.NDArray[Any]) -> tuple[pa.Array, pa.Array]:
    """The row_ids of rows, and the file of each."""
    starts = np.cumsum([0, *files.values()])
    file = np.searchsorted(starts, rows, "right") - 1
    of_row = pa.array(list(files), pa.string()).take(pa.array(file))
    places = zip(of_row.to_pylist(), (rows - starts[file]).tolist(), strict=True)
    return pa.array([f"{name}/{row}" for name, row in places], pa.string()), of_row


def _write_ledger(
    path: Path, removed: Iterable[tuple[str, npt.NDArray[Any], list[str]]], files: Mapping[str, int]
) -> None:
    parts = []
    for stage, rows, reasons in removed:
        row_ids, of_row = _ids(files, rows)
        columns = {
            "row_id": row_ids,
            "source": of_row,
            "stage": pa.repeat(stage, len(rows)),
            "reason": pa.array(reasons, pa.string()),
        }
        nothing = pa.nulls(len(rows))
        arrays = [columns.get(field.name, nothing).cast(field.type) for field in LEDGER_SCHEMA]
        parts.append(pa.table(arrays, schema=LEDGER_SCHEMA))
    pq.write_table(pa.concat_tables(parts).unify_dictionaries(), path, compression="zstd")
