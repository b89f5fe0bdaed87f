"""The rows of a build: every shard, memory-mapped, as one table addressed by row number."""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from itertools import groupby, islice
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.errors import DataError
from chaffinch.readers import Shard
from chaffinch.recipe.source import Source

SCHEMA = pa.schema(
    [
        pa.field("source", pa.string_view(), nullable=False),
        pa.field("task", pa.string_view(), nullable=False),
        pa.field("category", pa.string_view()),
        pa.field("language", pa.string_view()),
        pa.field("licence", pa.string_view()),
        pa.field("instruction", pa.string_view(), nullable=False),
        pa.field("input", pa.string_view(), nullable=False),
        pa.field("references", pa.list_(pa.string_view()), nullable=False),
        pa.field("messages", pa.list_(pa.struct([("role", pa.string_view()), ("content", pa.string_view())]))),
        pa.field("meta", pa.string_view()),
        pa.field("content_hash", pa.binary(16), nullable=False),
        pa.field("row_hash", pa.binary(16), nullable=False),
        pa.field("position", pa.uint64(), nullable=False),
    ]
)

# What stages add and outputs tell: its name there, its name here and its type.
ADDED = {
    "label": ("label", pa.string()),
    "answer_score": ("score", pa.float64()),
    "task_accuracy": ("task_accuracy", pa.float64()),
    "bucket": ("bucket", pa.string()),
}

MAX_ROWS = 2**32 - 1

# Every chunk of a column costs time and memory in each stage, and Linux maps at most 65,530 files into a process.
# So of more shards than a few, the small ones are read and put together instead of mapped.
FEW_SHARDS = 4_096
TOGETHER = 4_096
MOST_MAPPED = 30_000
SMALL_SHARD_BYTES = 1 << 15

hash_file = _core.hash_file
build_info = _core.build_info


class Rows:
    """Every row that was read, in recipe order; a row number is an index into it.

    Attributes:
        shards: the input files, in order.
        table: the store's columns (ARCHITECTURE.md) and those that stages added, memory-mapped: its pages are not the
            process's own memory.
        ranges: source name -> half-open range of row numbers, in recipe order; empty where nothing was read.
    """

    def __init__(self, shards: Sequence[Shard], sources: Sequence[Source]) -> None:
        self.shards = [shard for shard in shards if shard.rows]
        n_rows = sum(shard.rows for shard in self.shards)
        if n_rows > MAX_ROWS:
            raise DataError(f"{n_rows:,} rows, at most {MAX_ROWS:,} fit in one build\nhint: build it in several runs")
        self.table: Any = pa.concat_tables(_tables(self.shards)) if self.shards else SCHEMA.empty_table()
        self.starts = np.cumsum([0, *(shard.rows for shard in self.shards)])
        self.ranges: dict[str, tuple[int, int]] = {}
        end = 0
        for source in sources:
            start = end
            end += sum(shard.rows for shard in self.shards if shard.source == source.name)
            self.ranges[source.name] = (start, end)
        self._classes = [source.row_class for source in sources]

    def __len__(self) -> int:
        return int(self.starts[-1])

    def add(self, columns: Any) -> None:
        """Lays `columns`, a table with a row for each of the store's, beside those there are."""
        twice = sorted({*columns.column_names} & {*self.table.column_names})
        if twice or len(columns) != len(self):
            raise AssertionError(f"columns {', '.join(twice) or 'for other rows'} cannot be added to the store")
        for name in columns.column_names:
            self.table = self.table.append_column(columns.schema.field(name), columns[name])

    def shard_of(self, row: int) -> Shard:
        """The input file that a row came from."""
        return self.shards[int(np.searchsorted(self.starts, row, side="right")) - 1]

    @cached_property
    def occurrences(self) -> Any:
        """Rows that are the second, third ... identical copy of another: row (uint32, sorted), occurrence (uint32)."""
        return pa.table(_core.occurrences(self.table["row_hash"]))

    def ids(self, rows: np.ndarray) -> Any:
        """The row ids of `rows`, as an Arrow string array."""
        return pa.array(
            _core.row_ids(self.table.select(["source", "task", "row_hash"]), pa.array(rows), self.occurrences)
        )

    def gather(self, rows: np.ndarray, columns: list[str]) -> Any:
        """Copies `rows` out, in the given order, as a table with these of the store's columns."""
        return pa.table(_core.gather(self.table.select(columns), pa.array(rows), threads=1))

    def added(self) -> list[str]:
        """Of `ADDED`, what stages have added."""
        return [name for name, (here, _) in ADDED.items() if here in self.table.column_names]

    def gather_added(self, rows: np.ndarray) -> dict[str, Any]:
        """What stages have added to `rows`, in the given order, by its names in the outputs."""
        names = self.added()
        if not names:
            return {}
        gathered = self.gather(rows, [ADDED[name][0] for name in names])
        return {name: gathered[ADDED[name][0]].cast(ADDED[name][1]).combine_chunks() for name in names}

    def source_codes(self, rows: np.ndarray) -> np.ndarray:
        """Which source each row is of, as an index into `ranges`."""
        ends = np.array([end for _, end in self.ranges.values()], np.int64)
        return np.searchsorted(ends, rows, side="right").astype(np.int32)

    def codes(self, columns: list[str], *, threads: int | None = None) -> np.ndarray:
        """Which combination of values each row of the store has in these columns, as uint32."""
        codes = pa.array(_core.factorize(self.table.select(columns), threads=threads)[0])
        made: np.ndarray = codes.to_numpy()
        return made

    def asked(self, sources: Iterable[str]) -> np.ndarray:
        """For every row of the store, whether it is of one of the sources and no conversation."""
        wanted = np.zeros(len(self), bool)
        for source in sources:
            start, end = self.ranges[source]
            wanted[start:end] = True
        questions: np.ndarray = wanted & ~self.table["messages"].is_valid().to_numpy()
        return questions

    def classes(self, rows: np.ndarray, conversation: Any) -> Any:
        """The class of each row: what the recipe says of its source, else `conversation` or `instruction`."""
        declared = pa.array(self._classes, pa.string()).take(pa.array(self.source_codes(rows)))
        found = pc.if_else(conversation, "conversation", "instruction")
        return pc.coalesce(declared, found)

    def hash_prefix(self, rows: np.ndarray) -> np.ndarray:
        """The first eight bytes of each row's hash as big-endian uint64: sorts as the digits of the row id do."""
        prefix: np.ndarray = self._prefixes[rows]
        return prefix

    @cached_property
    def _prefixes(self) -> np.ndarray:
        parts = [hash_prefixes(chunk) for chunk in self.table["row_hash"].chunks]
        return np.concatenate([np.empty(0, np.uint64), *parts])


def hash_prefixes(chunk: Any) -> np.ndarray:
    """The first eight bytes of each hash in an Arrow array of them, as big-endian uint64."""
    values = np.frombuffer(chunk.buffers()[1], np.dtype(">u8"))[2 * chunk.offset : 2 * (chunk.offset + len(chunk)) : 2]
    return values.astype(np.uint64)


def _tables(shards: Sequence[Shard]) -> Iterator[Any]:
    sizes = [shard.path.stat().st_size for shard in shards]
    by_size = sorted(range(len(shards)), key=lambda at: -sizes[at])
    mapped = {at for rank, at in enumerate(by_size[:MOST_MAPPED]) if rank < FEW_SHARDS or sizes[at] > SMALL_SHARD_BYTES}
    for is_mapped, run in groupby(range(len(shards)), key=mapped.__contains__):
        tables = (_open(shards[at], mapped=is_mapped) for at in run)
        if is_mapped:
            yield from tables
        else:
            while some := list(islice(tables, TOGETHER)):
                yield pa.concat_tables(some).combine_chunks()


def _open(shard: Shard, *, mapped: bool) -> Any:
    try:
        source = pa.memory_map(str(shard.path)) if mapped else pa.py_buffer(shard.path.read_bytes())
        table = pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid as error:
        raise DataError(
            f"{shard.path}: {error}\nhint: the cache is damaged; delete this file and build again"
        ) from None
    if table.schema != SCHEMA or len(table) != shard.rows:
        raise DataError(f"{shard.path}: not the shard it should be\nhint: delete this file and build again")
    return table
