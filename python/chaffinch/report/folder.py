"""A finished output folder, read a batch at a time whatever format its mixture has."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.json as pj
import pyarrow.parquet as pq

from chaffinch.errors import DataError
from chaffinch.output import CONTAMINATION, DATA, FLAGGED, LEDGER, QUARANTINE, TASKS, manifest
from chaffinch.store import ADDED

BATCH_ROWS = 32_768
_JSON_BLOCK = 16 << 20
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
# Columns that are no text.
_KINDS = {"messages": _MESSAGES} | {name: kind for name, (_, kind) in ADDED.items()}


class Folder:
    """The folder that `--out` named, once `manifest.json` says that it is complete.

    Attributes:
        path: the folder.
        manifest: the manifest's values.

    Raises:
        DataError: the folder holds no finished build.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.manifest: dict[str, Any] = manifest(self.path)

    @property
    def recipe(self) -> dict[str, Any]:
        """The resolved recipe."""
        return dict(self.manifest.get("recipe") or {})

    @property
    def stages(self) -> list[dict[str, Any]]:
        """The stages in the order in which they ran."""
        return list(self.manifest.get("stages") or [])

    def files(self) -> list[Path]:
        """The mixture's files, in the order of its rows.

        Raises:
            DataError: there are none although the manifest says that there are rows.
        """
        found = [path for path in (self.path / DATA).rglob("*") if path.suffix in {".parquet", ".jsonl", ".arrow"}]
        if not found and self.manifest.get("kept"):
            raise DataError(f"{self.path / DATA}: the mixture's files are gone\nhint: build again")
        return sorted(found)

    def mixture(self, columns: Sequence[str]) -> Iterator[tuple[Path, Any]]:
        """Batches of the mixture, each with its file.

        Args:
            columns: string columns to read; one that a file lacks is null.

        Yields:
            The file and a record batch with exactly `columns`, each a (large) string array.

        Raises:
            DataError: a file is damaged.
        """
        for path in self.files():
            for batch in self.file_batches(path, columns):
                yield path, batch

    def file_batches(self, path: Path, columns: Sequence[str]) -> Iterator[Any]:
        """The batches of one of the mixture's files, as `mixture` gives them."""
        try:
            for batch in _batches(path, columns):
                yield _only(batch, columns)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: {_first_line(error)}\nhint: the file is damaged; build again") from None

    def ledger(self, columns: Sequence[str], condition: Any = None) -> Iterator[Any]:
        """Batches of the ledger's rows that meet a pyarrow `condition`; nothing when there is no ledger."""
        return self._table(LEDGER, columns, condition)

    def quarantine(self, columns: Sequence[str], condition: Any = None) -> Iterator[Any]:
        """Batches of the rows that could not be read, as `ledger` gives them; nothing when there is no such file."""
        return self._table(QUARANTINE, columns, condition)

    def contamination(self, columns: Sequence[str], condition: Any = None) -> Iterator[Any]:
        """Batches of what was found of evaluation sets; nothing when no stage looked."""
        return self._table(CONTAMINATION, columns, condition)

    def flagged(self, columns: Sequence[str], condition: Any = None) -> Iterator[Any]:
        """Batches of the near duplicates that were only flagged; nothing when there are none."""
        return self._table(FLAGGED, columns, condition)

    def tasks(self) -> Iterator[Any]:
        """Batches of what is known of labelled tasks; nothing when no stage labelled them."""
        return self._table(TASKS, None, None)

    def _table(self, name: str, columns: Sequence[str] | None, condition: Any) -> Iterator[Any]:
        path = self.path / name
        if not path.is_file():
            return
        try:
            table = ds.dataset(path, format="parquet")
            # An older build's ledger lacks what later ones have.
            there = None if columns is None else [name for name in columns if name in table.schema.names]
            yield from table.to_batches(columns=there, filter=condition, batch_size=BATCH_ROWS, batch_readahead=2)
        except pa.ArrowInvalid as error:
            raise DataError(f"{path}: {_first_line(error)}\nhint: the file is damaged; build again") from None


def _batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    if path.suffix == ".parquet":
        with pq.ParquetFile(path) as file:
            there = [name for name in columns if name in file.schema_arrow.names]
            yield from file.iter_batches(batch_size=BATCH_ROWS, columns=there)
    elif path.suffix == ".arrow":
        with pa.OSFile(str(path)) as source:
            yield from pa.ipc.open_stream(source)
    elif path.stat().st_size:
        yield from _json_batches(path, columns)


def _json_batches(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    # A row may be longer than a block; then only a block as long as the file is sure to hold it.
    size = path.stat().st_size
    block = _JSON_BLOCK if size <= _JSON_BLOCK or _longest_line(path) < _JSON_BLOCK else size + 1
    parse = pj.ParseOptions(
        explicit_schema=pa.schema([(name, _KINDS.get(name, pa.string())) for name in columns]),
        unexpected_field_behavior="ignore",
    )
    with pj.open_json(path, pj.ReadOptions(block_size=block), parse) as reader:
        yield from reader


def _longest_line(path: Path) -> int:
    longest = length = 0
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            first, *rest = block.split(b"\n")
            length += len(first)
            for part in rest:
                longest, length = max(longest, length), len(part)
    return max(longest, length)


def _only(batch: Any, columns: Sequence[str]) -> Any:
    arrays = []
    for name in columns:
        if name in batch.schema.names:
            array = batch.column(name)
            if pa.types.is_string_view(array.type):
                # Most of pyarrow's kernels do not know string views.
                array = array.cast(pa.string())
        else:
            array = pa.nulls(len(batch), pa.string())
        arrays.append(array)
    return pa.record_batch(arrays, names=list(columns))


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
