"""Near duplicates: rows whose sets of shingles overlap, by true Jaccard similarity.

Nothing is sketched: every pair at or above the threshold counts and no other (rust/core/src/dedup/near). A text is
seen word by word in NFKC and lower case, digits, accents and punctuation count; words lie between white space, and in
scripts without spaces (Han, kana, Thai, Lao, Khmer, Burmese, Tibetan) every character is one. A text shorter than the
shingle is one shingle; two empty texts are alike. The text itself is never changed.

Memory: up to 4 bytes for each shingle of the texts, 8 for each shingle of the rows that may be duplicates and about
60 a row, beside the texts, which are read in place.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pyarrow as pa

from chaffinch import _core
from chaffinch.cache import atomic_path
from chaffinch.columns import to_arrow, to_numpy, to_texts
from chaffinch.errors import DataError
from chaffinch.order import lexsort

FORMAT = "chaffinch near index"
VERSION = 2
HASH = "hash"
BATCH = 65_536
UNITS = ("word", "char")


def near_duplicates(
    texts: Any,
    *,
    min_similarity: float | Sequence[float] | Mapping[str, float] = 0.8,
    ngram: int = 5,
    unit: str = "word",
    priority: Any = None,
    content: Any = None,
    against: "NearIndex | None" = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> pa.Table:
    """Finds rows that are nearly the same as a row that stays.

    Rows are taken by rank. One is removed when in every column its set of shingles has at least the column's Jaccard
    similarity, |A and B| / |A or B|, with that of a row kept before it; the first such row is its witness. So a
    removed row is never a witness, and the answer depends on neither threads nor the order of rows.

    Args:
        texts: a column of text, or up to four (a table, a mapping or a list of columns), all of which must be alike.
            A null is the empty text; rows that are empty in all columns are left alone.
        min_similarity: above 0 and at most 1; one for all columns, or one for each by order or name.
        ngram: units of a shingle.
        unit: `word`, or `char` for characters of the text with its white space collapsed.
        priority: numbers, one per row, or a list of such columns, the first of which counts most; the lowest
            ranks first (for a score, give it negated). NaN and null rank last.
        content: content hashes, `fixed_size_binary[16]`, that decide next; default: of the texts. The row number
            decides last.
        against: an index of rows that were kept before. They rank before all others and are not compared again.
        seed: keys the hashes of shingles. The answer does not depend on it.
        threads: default all cores. The answer does not depend on it.
        progress: called with the rows read so far.

    Returns:
        A table (row: uint32, witness: uint32, similarity: float64) of the rows to remove, in order; of several
        columns the lowest similarity. With `against` there is a fourth column, `against`: the id of the index's row
        that stays, where `witness` is null.

    Raises:
        ValueError: columns of different lengths or not of text, a threshold out of range, an unknown unit, or an index
            with other parameters.

    Examples:
        >>> texts = ["a b c d e f g h i j", "z", "A  b c d e f g h i j k"]
        >>> near_duplicates(texts, priority=[0, 1, 2]).to_pylist()
        [{'row': 2, 'witness': 0, 'similarity': 0.8571428571428571}]
    """
    table = to_texts(texts)
    _check(ngram, unit, seed)
    if not isinstance(against, NearIndex | None):
        raise ValueError(f"against is {type(against).__name__}\nhint: NearIndex.load(path) opens a saved index")
    if against is not None:
        against.check(table.column_names, ngram, unit, seed)
    found = pa.table(
        _core.near_duplicates(
            table,
            min_similarity=_thresholds(min_similarity, table.column_names),
            ngram=ngram,
            unit=unit,
            seed=seed,
            priority=None if priority is None else pa.array(ranks(priority, len(table))),
            content=None if content is None else to_arrow(content, "content"),
            against=None if against is None else against.sets(),
            threads=threads,
            progress=progress,
        )
    )
    if against is None:
        return found.select(["row", "witness", "similarity"])
    witness, of_against = to_numpy(found["witness"]), found["of_against"].to_numpy()
    ids = against.table["id"].combine_chunks().take(pa.array(np.where(of_against, witness, 0), mask=~of_against))
    columns = [found["row"], pa.array(witness, mask=of_against), found["similarity"], ids]
    return pa.table(columns, ["row", "witness", "similarity", "against"])


@dataclass(frozen=True)
class NearIndex:
    """Shingle sets of rows that were kept, to compare new rows with.

    Attributes:
        table: `id`, and for each text column a `large_list<uint64>` with the row's distinct shingles: 8 bytes a
            shingle. What it was made with is in the schema's metadata.
    """

    table: pa.Table

    @classmethod
    def build(
        cls,
        texts: Any,
        ids: Any,
        *,
        rows: Any = None,
        ngram: int = 5,
        unit: str = "word",
        seed: int = 0,
        threads: int | None = None,
    ) -> Self:
        """Makes an index of rows.

        Args:
            texts: one or more columns, as `near_duplicates` takes them.
            ids: what is told of a row when it is a witness; text or numbers.
            rows: the row numbers to index; default all. Give the rows that stayed.
            ngram: as in `near_duplicates`, which must be given the same.
            unit: as in `near_duplicates`.
            seed: as in `near_duplicates`.
            threads: default all cores.

        Raises:
            ValueError: columns of different lengths or not of text, ids that are neither text nor numbers, or row
                numbers that there are not.
        """
        columns = to_texts(texts)
        _check(ngram, unit, seed)
        names = _ids(to_arrow(ids, "ids"))
        if len(names) != len(columns):
            raise ValueError(f"{len(names):,} ids for {len(columns):,} rows\nhint: give one id for each row")
        chosen = _chosen(rows, len(columns))
        parameters = {"ngram": ngram, "unit": unit, "seed": seed, "columns": columns.column_names}
        schema = pa.schema(
            [("id", names.type), *((name, pa.large_list(_SHINGLE)) for name in _set_names(columns.column_names))],
            {"chaffinch": json.dumps({"format": FORMAT, "version": VERSION, **parameters})},
        )

        def batches() -> Iterator[pa.RecordBatch]:
            for start in range(0, len(chosen), BATCH):
                part = pa.array(chosen[start : start + BATCH])
                sets = _core.shingle_sets(columns, rows=part, ngram=ngram, unit=unit, seed=seed, threads=threads)
                taken = names.take(part).combine_chunks()
                yield pa.record_batch([taken, *(pa.array(one) for one in sets)], schema=schema)

        return cls(pa.Table.from_batches(batches(), schema))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Opens a saved index; its sets stay in the mapped file.

        Raises:
            DataError: no index, one cut short or damaged, or one of another version.
            OSError: it cannot be read.
        """
        if not Path(path).exists():
            raise FileNotFoundError(f"no index {path}\nhint: NearIndex.build(...).save(path) makes one")
        try:
            with pa.memory_map(str(path)) as source:
                table = pa.ipc.open_file(source).read_all()
            made = json.loads((table.schema.metadata or {}).get(b"chaffinch", b"{}"))
            # Offsets that lead out of the values would be read as they are.
            table.validate(full=True)
        except (pa.ArrowException, OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno:
                raise
            raise DataError(f"{path}: not a near index: {error}\nhint: make it again") from error
        if not isinstance(made, dict) or made.get("format") != FORMAT:
            raise DataError(
                f"{path}: an Arrow file, but not a near index\nhint: NearIndex.build(...).save(path) makes one"
            )
        if made.get("version") != VERSION:
            raise DataError(
                f"{path}: a near index of version {made.get('version')}, this is {VERSION}\nhint: make it again"
            )
        columns = made.get("columns")
        names = ["id", *_set_names(columns)] if isinstance(columns, list) else []
        sets = table.schema.types[1:]
        is_whole = table.column_names == names and all(
            kind == pa.large_list(_SHINGLE) and kind.value_field.equals(_SHINGLE) for kind in sets
        )
        if not is_whole or not {"ngram", "unit", "seed", HASH} <= set(made):
            raise DataError(f"{path}: a near index without some of its parts\nhint: make it again")
        told = made.pop(HASH)
        index = cls(table.replace_schema_metadata({"chaffinch": json.dumps(made)}))
        if index.hash() != told:
            raise DataError(f"{path}: damaged, it does not hold what was saved\nhint: make it again")
        return index

    def save(self, path: str | Path) -> None:
        """Writes the index as an Arrow file, atomically, with a hash of what is in it."""
        made = json.loads(self.table.schema.metadata[b"chaffinch"]) | {HASH: self.hash()}
        table = self.table.replace_schema_metadata({"chaffinch": json.dumps(made)})
        with atomic_path(Path(path)) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
            writer.write_table(table)

    def hash(self) -> str:
        """The hash of what the index was made with, of its ids and of its sets."""
        made = json.dumps(self.parameters, sort_keys=True)
        ids = self.table["id"].cast(pa.large_string())
        return _core.index_hash(f"{self.table.schema.field('id').type} {made}", ids, self.sets())

    def merge(self, *others: "NearIndex") -> "NearIndex":
        """All rows of this index and then of the others.

        Raises:
            ValueError: they were made with other parameters.
        """
        for other in others:
            made = other.parameters
            self.check(made["columns"], made["ngram"], made["unit"], made["seed"])
            if other.table.schema.field("id").type != self.table.schema.field("id").type:
                raise ValueError("the ids of two indexes have different types\nhint: cast one of them")
        names = self.table.column_names
        tables = [self.table, *(other.table.rename_columns(names) for other in others)]
        return NearIndex(pa.concat_tables(one.replace_schema_metadata(self.table.schema.metadata) for one in tables))

    @property
    def parameters(self) -> dict[str, Any]:
        """What it was made with: ngram, unit, seed and the names of the text columns."""
        made: dict[str, Any] = json.loads(self.table.schema.metadata[b"chaffinch"])
        return {name: made[name] for name in ("ngram", "unit", "seed", "columns")}

    def __len__(self) -> int:
        return len(self.table)

    def sets(self) -> list[pa.ChunkedArray]:
        """The sets, a column for each column of text."""
        return [self.table[name] for name in self.table.column_names[1:]]

    def check(self, columns: Sequence[str], ngram: int, unit: str, seed: int) -> None:
        """Refuses texts that were not cut as the index was.

        Raises:
            ValueError: naming what differs.
        """
        made = self.parameters
        asked = {"ngram": ngram, "unit": unit, "seed": seed, "columns": list(columns)}
        if len(columns) == len(made["columns"]) == 1:
            # Of a single column it does not matter how it is called.
            asked["columns"] = made["columns"]
        for name, value in asked.items():
            if made[name] != value:
                raise ValueError(
                    f"the index was made with {name}={made[name]!r}, not {value!r}\n"
                    f"hint: give {name}={made[name]!r}, or make the index again"
                )


def _chosen(rows: Any, length: int) -> np.ndarray:
    if rows is None:
        return np.arange(length, dtype=np.uint32)
    chosen = np.asarray(rows)
    if chosen.ndim != 1 or (chosen.size and chosen.dtype.kind not in "iu"):
        raise ValueError(f"rows are {chosen.dtype}\nhint: give row numbers")
    if chosen.size and not 0 <= chosen.min() <= chosen.max() < length:
        raise ValueError(f"rows go from {chosen.min()} to {chosen.max()}, of {length:,}\nhint: they count from 0")
    return chosen.astype(np.uint32)


def _ids(ids: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = ids.type.value_type if isinstance(ids.type, pa.DictionaryType) else ids.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        # One type, whatever file they are from: indexes merge.
        return ids.cast(pa.large_string())
    if pa.types.is_nested(kind) or not (pa.types.is_primitive(kind) or pa.types.is_null(kind)):
        raise ValueError(f"ids are {ids.type}\nhint: give text or numbers")
    return ids.cast(kind)


def _check(ngram: int, unit: str, seed: int) -> None:
    if not 1 <= ngram <= 1000:
        raise ValueError(f"ngram is {ngram}\nhint: a shingle has 1 to 1000 units")
    if unit not in UNITS:
        raise ValueError(f"unit is {unit!r}\nhint: there are {' and '.join(UNITS)}")
    if not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed}\nhint: give a whole number from 0, below 2**64")


_SHINGLE = pa.field("item", pa.uint64(), nullable=False)


def _set_names(columns: Sequence[str]) -> list[str]:
    return [f"shingles of {name}" for name in columns]


def _thresholds(given: float | Sequence[float] | Mapping[str, float], columns: Sequence[str]) -> list[float]:
    if isinstance(given, Mapping):
        unknown = [name for name in given if name not in columns]
        missing = [name for name in columns if name not in given]
        if unknown or missing:
            problem = f"no column {unknown[0]!r}" if unknown else f"nothing for column {missing[0]!r}"
            raise ValueError(f"min_similarity: {problem}\nhint: the columns are {', '.join(columns)}")
        given = [given[name] for name in columns]
    several: list[Any] = [*given] if isinstance(given, list | tuple) else [given] * len(columns)
    try:
        return [float(one) for one in several]
    except (TypeError, ValueError):
        raise ValueError(f"min_similarity is {given!r}\nhint: give numbers above 0 and at most 1") from None


def ranks(priority: Any, rows: int) -> np.ndarray:
    """The rank of each row as uint64, equal rows equally: by the first column, then the next.

    Args:
        priority: a column of numbers, or a list of such columns. The lowest ranks first, NaN and null last.
        rows: how many there must be.

    Raises:
        ValueError: a column is not of numbers, or not of that length.
    """
    plain = not isinstance(priority, list | tuple) or not priority or isinstance(priority[0], int | float | None)
    columns = [_numbers(one, rows) for one in ([priority] if plain else priority)]
    order = lexsort([key for column in reversed(columns) for key in (column, np.isnan(column))])
    new = np.zeros(rows, bool)
    for column in columns:
        ordered = column[order]
        # NaN differs from itself, and rows without a number rank alike.
        new[1:] |= (ordered[1:] != ordered[:-1]) & ~(np.isnan(ordered[1:]) & np.isnan(ordered[:-1]))
    rank = np.empty(rows, np.uint64)
    rank[order] = np.cumsum(new).astype(np.uint64)
    return rank


def _numbers(priority: Any, rows: int) -> np.ndarray:
    column = to_arrow(priority, "priority")
    if pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_boolean(column.type)):
        raise ValueError(f"priority is {column.type}\nhint: give numbers, the lowest of which stays")
    if len(column) != rows:
        raise ValueError(f"priority has {len(column):,} rows, the texts {rows:,}\nhint: give one number for each row")
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    numbers: np.ndarray = column.combine_chunks().to_numpy(zero_copy_only=False)
    return numbers
