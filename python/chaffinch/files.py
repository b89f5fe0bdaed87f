"""Whole files as tables and back, with every column they have: for the verbs that take one file and write another.

Values stay as they are. CSV and TSV have text only; a JSON column in which Arrow would change something (values of
several types, objects of different keys, whole numbers beyond 64 bits) is kept as JSON text, its field marked with
`JSON_COLUMN`, and is written to JSON as the values it stands for. Columns of string views become large strings: most
of pyarrow's kernels do not know views. A key that only some rows of a JSON file have is
null in the others. A BOM goes, blank lines go. A task file of Natural Instructions has a row for each instance.
"""

import csv
import io
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chaffinch.cache import atomic_path
from chaffinch.columns import check_names
from chaffinch.errors import DataError
from chaffinch.readers.columnar import damaged, open_batches
from chaffinch.readers.inputs import COLUMNAR, DELIMITED, PACKED, Input
from chaffinch.readers.natural import is_task, read_task

LINES = (".jsonl", ".ndjson")
SUFFIXES = (*LINES, ".json", *DELIMITED, *COLUMNAR)
PACKING = dict(zip(PACKED, ("gzip", "zstd"), strict=True))
JSON_COLUMN = {b"chaffinch": b"json"}
WRITE_ROWS = 16_384
# As builds have it: a file that unpacks to more than this and to more than so many times its size is refused.
BOMB_BYTES = 1 << 30
BOMB_RATIO = 200


def read_table(path: str | Path) -> pa.Table:
    """All rows and columns of one file, in memory; an uncompressed Arrow file is mapped.

    Args:
        path: .jsonl, .ndjson, .json (an array, lines, or a task of Natural Instructions), .csv, .tsv (both with a
            header), .parquet, .pq, .arrow, .feather or .ipc; text also packed, as .gz or .zst.

    Raises:
        DataError: another suffix, or contents that are not what the suffix says, with the line or index.
        OSError: the file cannot be read.
    """
    path = Path(path)
    suffix, packing = _format(path)
    if not path.exists():
        raise FileNotFoundError(f"no file {path}\nhint: give one that is there")
    if suffix in COLUMNAR:
        failed: list[Exception] = []
        try:
            table = open_batches(path, suffix, (), failed).read_all()
        except (pa.ArrowException, OSError) as error:
            raise damaged(path, failed[0] if failed else error) from None
        check_names(table.column_names, path)
        return _without_views(table)
    with _errors(path), pa.input_stream(str(path), compression=packing) as stream:
        if packing:
            _check_size(path, packing)
        text = io.TextIOWrapper(io.BufferedReader(stream), "utf-8-sig", newline="")
        return _read_delimited(path, text, suffix) if suffix in DELIMITED else _read_json(path, text, suffix)


def read_tables(paths: Sequence[Path]) -> tuple[pa.Table, dict[str, int]]:
    """The rows of several files, one after the other; a column that only some have is null in the others.

    Args:
        paths: as `read_table` takes them, at least one.

    Returns:
        The table, and the rows of each file by its name; by its path where two have one name.

    Raises:
        DataError: as `read_table`, or one is given twice, or a column is of another type in one of them.
        OSError: one cannot be read.
    """
    places = [path.resolve() for path in paths]
    twice = [path for at, path in enumerate(paths) if places[at] in places[:at]]
    if twice:
        raise DataError(f"{twice[0]} is given twice\nhint: each file once")
    names = [path.name for path in paths]
    if len({*names}) < len(names):
        names = [str(path) for path in paths]
    tables = [read_table(path) for path in paths]
    rows = {name: len(table) for name, table in zip(names, tables, strict=True)}
    if len(tables) == 1:
        return tables[0], rows
    try:
        return pa.concat_tables(tables, promote_options="permissive"), rows
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise DataError(f"{', '.join(names)} have other columns: {error}\nhint: take them one by one") from None


def _without_views(table: pa.Table) -> pa.Table:
    for index, field in enumerate(table.schema):
        if pa.types.is_string_view(field.type):
            table = table.set_column(index, field.with_type(pa.large_string()), table[index].cast(pa.large_string()))
    return table


def write_table(table: pa.Table, path: str | Path) -> None:
    """Writes a table in the format of the suffix, as `read_table` reads it; `path` is never half a file.

    Raises:
        DataError: another suffix, or values that the format cannot hold.
        OSError: the file cannot be written.
    """
    path = Path(path)
    suffix, packing = _format(path)
    with atomic_path(path) as temporary:
        if suffix in (".parquet", ".pq"):
            pq.write_table(table, temporary)
        elif suffix in COLUMNAR:
            with pa.ipc.new_file(str(temporary), table.schema) as writer:
                writer.write_table(table)
        else:
            with pa.output_stream(str(temporary), compression=packing) as stream:
                text = io.TextIOWrapper(io.BufferedWriter(stream), "utf-8", newline="")
                (_write_delimited if suffix in DELIMITED else _write_json)(table, text, path, suffix)
                text.flush()
                text.detach().detach()
        with temporary.open("rb") as written:
            os.fsync(written.fileno())


def check_suffix(path: str | Path) -> None:
    """Refuses a name whose format is not known, before any work is done for it.

    Raises:
        DataError: naming the suffixes there are.
    """
    _format(Path(path))


def check_apart(read: Sequence[Path], written: Sequence[Path]) -> None:
    """Refuses to write a file twice, or over one that is read: what it held would be lost.

    Raises:
        DataError: naming the file.
    """
    inputs = {path.resolve() for path in read}
    seen: set[Path] = set()
    for path in written:
        if path.resolve() in inputs:
            raise DataError(f"{path} would be written over what is read\nhint: give the output another name")
        if path.resolve() in seen:
            raise DataError(f"{path} would be written twice\nhint: give each output its own name")
        seen.add(path.resolve())


def _format(path: Path) -> tuple[str, str | None]:
    name = Input(path.name, (), 0)
    packing = next((packing for end, packing in PACKING.items() if path.name.lower().endswith(end)), None)
    if name.suffix not in SUFFIXES:
        raise DataError(
            f"{path}: {name.suffix or 'no suffix'} is no format that is known\nhint: there are {', '.join(SUFFIXES)}"
        )
    if packing and name.suffix in COLUMNAR:
        raise DataError(f"{path}: {name.suffix} is packed inside\nhint: unpack it, or leave out {path.suffix}")
    return name.suffix, packing


def _check_size(path: Path, packing: str) -> None:
    """Refuses a file that unpacks to more than an honest one of its length: told at once, not when memory is full."""
    size = path.stat().st_size
    left = most = max(BOMB_BYTES, BOMB_RATIO * size)
    with pa.input_stream(str(path), compression=packing) as stream:
        while left >= 0 and (piece := stream.read(1 << 20)):
            left -= len(piece)
    if left < 0:
        hint = "unpack it yourself if you trust it, and name the unpacked file"
        raise DataError(f"{path}: {size:,} bytes unpack to more than {most:,}\nhint: {hint}")


@contextmanager
def _errors(path: Path) -> Iterator[None]:
    """What the libraries say of a damaged file, with its name; what the system says stays `OSError`."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: byte {error.start} of a block is not UTF-8\nhint: convert the file to UTF-8"
        ) from None
    except RecursionError:
        raise DataError(f"{path}: a value is nested too deep\nhint: mend the row or leave it out") from None
    except OSError as error:
        if error.errno:
            raise
        raise DataError(f"{path}: {str(error).splitlines()[0]}\nhint: the file is damaged or cut short") from None


def _read_json(path: Path, text: io.TextIOBase, suffix: str) -> pa.Table:
    columns: dict[str, list[Any]] = {}
    for rows, (place, record) in enumerate(_records(path, text, suffix)):
        if not isinstance(record, dict):
            hint = "each row has to be an object of named values"
            raise DataError(f"{path}: {place} is {type(record).__name__}, not an object\nhint: {hint}")
        for name, value in record.items():
            column = columns.get(name)
            if column is None:
                column = columns[name] = [None] * rows
            column.append(value)
        if len(record) < len(columns):
            for column in columns.values():
                if len(column) == rows:
                    column.append(None)
    made = {}
    for name in list(columns):
        made[name] = _column(path, name, columns.pop(name))
    fields = [pa.field(_unicode(path, name), array.type, metadata=more) for name, (array, more) in made.items()]
    return pa.table([array for array, _ in made.values()], schema=pa.schema(fields))


def _records(path: Path, text: io.TextIOBase, suffix: str) -> Iterator[tuple[str, Any]]:
    if suffix == ".json":
        content = text.read()
        if content.lstrip()[:1] != "{" or "\n{" not in content:
            records = _parse(path, "the file", content)
            if is_task(records):
                del content, records
                yield from read_task(path)
                return
            if not isinstance(records, list | dict):
                hint = "it has to be an array of objects, or one object a line"
                raise DataError(f"{path} holds {type(records).__name__}\nhint: {hint}")
            rows = records if isinstance(records, list) else [records]
            yield from ((f"row {index}", record) for index, record in enumerate(rows))
            return
        text = io.StringIO(content, newline="\n")
    for number, line in enumerate(text, 1):
        if not line.isspace():
            yield f"line {number}", _parse(path, f"line {number}", line)


def _parse(path: Path, place: str, text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "mend or remove it; a .json file is an array of objects or one object a line"
        raise DataError(f"{path}: {place} is not JSON: {error}\nhint: {hint}") from None


def _column(path: Path, name: str, values: list[Any]) -> tuple[pa.Array, dict[bytes, bytes] | None]:
    kinds = {type(value) for value in values} - {type(None)}
    try:
        if kinds <= {str}:
            return pa.array(values, pa.large_string() if kinds else None), None
        if len(kinds) == 1:
            array = pa.array(values)
            if kinds <= {bool, int, float} or json.dumps(array.to_pylist()) == json.dumps(values):
                return array, None
    except UnicodeEncodeError:
        if kinds <= {str}:
            row = next(row for row, value in enumerate(values) if value is not None and not _is_unicode(value))
            hint = "it is no Unicode text; mend the row or leave it out"
            raise DataError(f"{path}: row {row}: {name!a} holds a lone surrogate\nhint: {hint}") from None
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        pass
    # Escaped, so that even lone surrogates come back as they were.
    return pa.array([None if value is None else json.dumps(value) for value in values], pa.large_string()), JSON_COLUMN


def _is_unicode(text: str) -> bool:
    return text == text.encode(errors="replace").decode()


def _unicode(path: Path, name: str) -> str:
    if not _is_unicode(name):
        raise DataError(f"{path}: the name {name!a} holds a lone surrogate\nhint: rename it")
    return name


def _dialect(suffix: str) -> dict[str, Any]:
    # As in recipes: quotes enclose cells, but not in tab-separated files.
    if suffix == ".tsv":
        return {"delimiter": "\t", "quoting": csv.QUOTE_NONE, "quotechar": None}
    return {"delimiter": ","}


def csv_lines(path: Path) -> list[list[str]]:
    """The lines of a CSV that need not have a header, without empty ones; it may be compressed.

    Raises:
        DataError: it is damaged.
    """
    csv.field_size_limit(2**31 - 1)
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            text = stream.read().decode("utf-8-sig")
        return [line for line in csv.reader(text.splitlines(keepends=True), strict=True) if line]
    except (UnicodeDecodeError, csv.Error, pa.ArrowException, OSError) as error:
        raise DataError(f"{path} is no CSV: {error}\nhint: fetch it again") from None


class _Lines:
    """Ends rows with a line feed. The writer itself is told both marks: only what it ends rows with does it quote."""

    END = "\r\n"

    def __init__(self, text: io.TextIOBase) -> None:
        self._text = text

    def write(self, row: str) -> int:
        """Writes a row that ends with both marks."""
        return self._text.write(f"{row.removesuffix(self.END)}\n")


def _read_delimited(path: Path, text: io.TextIOBase, suffix: str) -> pa.Table:
    csv.field_size_limit(2**31 - 1)
    reader = csv.reader(text, strict=True, **_dialect(suffix))
    try:
        header = next(reader, [])
        check_names(header, path)
        columns: list[list[str]] = [[] for _ in header]
        for cells in reader:
            if len(cells) != len(header):
                if not cells:
                    continue
                message = f"{path}: line {reader.line_num} has {len(cells)} cells, the header {len(header)}"
                raise DataError(f"{message}\nhint: quote cells that hold the delimiter, or write .jsonl")
            for column, cell in zip(columns, cells, strict=True):
                column.append(cell)
    except csv.Error as error:
        raise DataError(f"{path}: line {reader.line_num}: {error}\nhint: quote the cell, or write .jsonl") from None
    arrays = [pa.array(column, pa.large_string()) for column in columns]
    return pa.table(arrays, names=header)


def _write_delimited(table: pa.Table, text: io.TextIOBase, path: Path, suffix: str) -> None:
    writer = csv.writer(_Lines(text), lineterminator=_Lines.END, **_dialect(suffix))
    try:
        writer.writerow(table.column_names)
        for batch in table.to_batches(WRITE_ROWS):
            columns = [[_cell(value, path) for value in column.to_pylist()] for column in batch.columns]
            writer.writerows(zip(*columns, strict=True))
    except csv.Error as error:
        hint = "no cell may hold a tab or a line break, and no row be empty; write .csv or .jsonl"
        raise DataError(f"{path}: {error}\nhint: {hint}") from None


def _cell(value: Any, path: Path) -> Any:
    return _dump(value, path) if isinstance(value, list | dict | bytes) else value


def _write_json(table: pa.Table, text: io.TextIOBase, path: Path, suffix: str) -> None:
    before, between, after = ("", "\n", "\n") if suffix in LINES else ("[\n", ",\n", "\n]\n")
    parsed = [(field.metadata or {}).items() >= JSON_COLUMN.items() for field in table.schema]
    text.write(before)
    first = True
    for batch in table.to_batches(WRITE_ROWS):
        columns = [
            [None if value is None else json.loads(value) for value in column.to_pylist()]
            if json_
            else column.to_pylist()
            for column, json_ in zip(batch.columns, parsed, strict=True)
        ]
        lines = _lines(table.column_names, columns, batch.num_rows, path)
        if batch.num_rows:
            text.write(("" if first else between) + between.join(lines))
            first = False
    text.write(after if suffix == ".json" or not first else "")


def _lines(names: list[str], columns: list[list[Any]], rows: int, path: Path) -> Iterable[str]:
    for row in range(rows):
        yield _dump({name: column[row] for name, column in zip(names, columns, strict=True)}, path)


def _dump(value: Any, path: Path) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, default=_other)
        return text if _is_unicode(text) else json.dumps(value, default=_other)
    except TypeError as error:
        raise DataError(f"{path}: {error}\nhint: write .parquet or .arrow, which hold every type") from None


def _other(value: Any) -> Any:
    isoformat: Callable[[], str] | None = getattr(value, "isoformat", None)
    if isoformat is not None:
        return isoformat()
    raise TypeError(f"JSON has no {type(value).__name__}")
