"""Parquet and Arrow files, and data sets of the Hugging Face hub, as streams of Arrow batches."""

import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chaffinch.errors import DataError
from chaffinch.readers.inputs import HUB

PARQUET = (".parquet", ".pq")
PARQUET_MAGIC = b"PAR1"
ARROW_MAGIC = b"ARROW1"

# Batches become JSON on their way to the reader; this many rows keep that text small.
BATCH_ROWS = 4096


def open_batches(path: Path, suffix: str, texts: Collection[str], failed: list[Exception]) -> pa.RecordBatchReader:
    """The batches of a Parquet or Arrow file.

    Args:
        path: the file.
        suffix: its format.
        texts: columns that are due to be text: those of bytes are, if they are UTF-8. Some writers do not say so.
        failed: gets what goes wrong after this call, which Arrow would tell as a Python traceback.

    Raises:
        DataError: the file is not what its name says.
    """
    try:
        if suffix in PARQUET:
            parquet = pq.ParquetFile(path)
            schema, batches = parquet.schema_arrow, parquet.iter_batches(BATCH_ROWS)
        else:
            schema, batches = _open_arrow(path)
    except (pa.ArrowException, OSError) as error:
        raise damaged(path, error) from None
    told = pa.schema([field.with_type(pa.string()) if _is_text(field, texts) else field for field in schema])
    return pa.RecordBatchReader.from_batches(told, _watched(batches, told, failed))


def ends_well(path: Path, magic: bytes) -> bool:
    """Whether the file's last bytes are the mark that its format ends with."""
    with path.open("rb") as file:
        file.seek(0, os.SEEK_END)
        file.seek(max(0, file.tell() - len(magic)))
        return file.read() == magic


def cut_short(path: Path, suffix: str) -> bytes | None:
    """The first bytes of a Parquet or Arrow file that is empty or ends before its footer; None for any other."""
    magic = PARQUET_MAGIC if suffix in PARQUET else ARROW_MAGIC
    with path.open("rb") as file:
        start = file.read(500)
    # A file without the mark is no such file, or an Arrow stream, which has none.
    return start if not start or (start.startswith(magic) and not ends_well(path, magic)) else None


def damaged(path: Path, error: Exception) -> Exception:
    """The error to raise for a file that Arrow fails to read; the operating system's own errors stay as they are."""
    if isinstance(error, OSError) and error.errno:
        return error
    message = f"{path}: {str(error).splitlines()[0]}"
    return DataError(f"{message}\nhint: the file is damaged or not what its name says")


def _is_text(field: pa.Field, texts: Collection[str]) -> bool:
    bytes_ = pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type) or field.type == pa.binary_view()
    return bytes_ and field.name in texts


def _watched(batches: Iterator[pa.RecordBatch], schema: pa.Schema, failed: list[Exception]) -> Iterator[pa.RecordBatch]:
    try:
        for batch in batches:
            yield batch if batch.schema.equals(schema) else batch.cast(schema)
    except Exception as error:
        failed.append(error)
        raise


def _open_arrow(path: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    # Not mapped: a file that is shortened while it is read would end the process.
    source = pa.OSFile(str(path))
    try:
        file = pa.ipc.open_file(source)
    except pa.ArrowInvalid:
        source.seek(0)
        stream = pa.ipc.open_stream(source)
        return stream.schema, stream
    return file.schema, _small(file.get_batch(number) for number in range(file.num_record_batches))


def _small(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)


@dataclass(frozen=True)
class HubSplit:
    """One split of a data set of the hub: its `hf:` name, its rows, and the local files that hold them."""

    file: str
    table: pa.Table
    files: tuple[Path, ...]


def open_hub(name: str) -> list[HubSplit]:
    """The splits that `hf:org/name[/config][:split]` names, through the `datasets` library and its cache.

    Raises:
        DataError: the library is missing, the name is not of that form, or the data set cannot be loaded.
    """
    path, _, split = name.removeprefix(HUB).partition(":")
    parts = path.split("/")
    # The library takes `../folder` for a folder of this machine.
    if len(parts) not in (2, 3) or not all(parts) or any(part.startswith(".") for part in parts):
        raise DataError(f"{name!r} names no data set\nhint: write hf:org/name, hf:org/name/config or hf:org/name:split")
    try:
        import datasets
    except ImportError:
        message = f"{name}: reading from the hub needs the `datasets` library"
        raise DataError(f"{message}\nhint: pip install 'chaffinch[hub]'") from None
    try:
        loaded = datasets.load_dataset("/".join(parts[:2]), *parts[2:], split=split or None)
    except Exception as error:
        # The library's errors are of many unrelated classes, down to those of its network stack.
        message = f"{name}: {type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        hint = "check the name and the network, or download the files and name them in `files`"
        raise DataError(f"{message}\nhint: {hint}") from None
    splits = {split: loaded} if split else dict(loaded)
    return [
        HubSplit(
            file=f"{HUB}{path}:{split_name}",
            table=rows.data.table,
            files=tuple(Path(file["filename"]) for file in rows.cache_files),
        )
        for split_name, rows in sorted(splits.items())
    ]
