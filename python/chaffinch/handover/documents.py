"""Tokenised documents, wherever their tokens lie: looked at block by block and fetched by number."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaffinch.errors import DataError

UNTRAINED = -100
COLUMNS = ("input_ids", "labels")
_MOST = 2**31 - 1
_BLOCK = 1 << 20

Tokens = npt.NDArray[np.int32]
Numbers = npt.NDArray[np.int64]


class Documents:
    """Documents of a table with the columns input_ids and labels.

    Attributes:
        lengths: uint32, the tokens of each.

    Raises:
        DataError: a column is missing or no list of whole numbers, a list or a number is null, or a document has more
            labels than ids or fewer.
    """

    def __init__(self, table: pa.Table) -> None:
        for name in COLUMNS:
            if name not in table.column_names:
                hint = "labels are the ids of what the model learns and -100 elsewhere; --tokenizer makes both"
                raise DataError(f"no column {name}\nhint: {hint}")
        self._ids, self._labels = (_Lists(name, table[name]) for name in COLUMNS)
        unequal = np.flatnonzero(self._ids.lengths != self._labels.lengths)
        if len(unequal):
            row = int(unequal[0])
            ids, labels = int(self._ids.lengths[row]), int(self._labels.lengths[row])
            hint = "each id needs its label; -100 where nothing is learned"
            raise DataError(f"row {row} has {ids:,} input_ids and {labels:,} labels\nhint: {hint}")
        if len(self._ids.lengths) and self._ids.lengths.max() > _MOST:
            row = int(self._ids.lengths.argmax())
            raise DataError(f"row {row} has {self._ids.lengths[row]:,} tokens\nhint: no pack can hold so many")
        self.lengths = self._ids.lengths.astype(np.uint32)

    @cached_property
    def trained(self) -> npt.NDArray[np.uint32]:
        """How many tokens of each a model learns: labels other than -100, from the second token on.

        Raises:
            DataError: an id is below 0, a label neither -100 nor an id, or a number does not fit into int32.
        """
        for block, values, _ in self._ids.blocks():
            _check(block, values, self._ids, values >= 0, "an id is a whole number from 0 to 2^31 - 1")
        trained = np.zeros(len(self.lengths), np.uint32)
        for block, values, starts in self._labels.blocks():
            learned = values != UNTRAINED
            _check(block, values, self._labels, (values >= 0) | ~learned, "a label is -100, or an id")
            # A document's first token is never learned: what would predict it is another document's end.
            learned[starts[:-1][starts[:-1] < starts[1:]]] = False
            sums = np.concatenate([[0], np.cumsum(learned)])
            trained[block] = sums[starts[1:]] - sums[starts[:-1]]
        return trained

    def __len__(self) -> int:
        return len(self.lengths)

    def take(self, numbers: npt.NDArray[Any]) -> tuple[Tokens, Tokens]:
        """The ids of these documents, one behind the other, and their labels."""
        return self._ids.take(numbers), self._labels.take(numbers)


class _Lists:
    """A column of lists of whole numbers, as the numbers of each chunk and where in them each list lies."""

    def __init__(self, name: str, column: pa.ChunkedArray) -> None:
        self.name = name
        kind = column.type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if pa.types.is_null(kind) or (is_list and pa.types.is_null(kind.value_type)):
            kind = pa.list_(pa.int32())
            column = column.cast(kind)
            is_list = True
        if not is_list or not pa.types.is_integer(kind.value_type):
            raise DataError(f"{name} is {kind}, not lists of whole numbers\nhint: give the tokens of each document")
        if pa.types.is_fixed_size_list(kind):
            column = column.cast(pa.large_list(kind.value_type))
        self.values: list[npt.NDArray[Any]] = []
        starts, chunks, lengths, base = [np.empty(0, np.int64)], [np.empty(0, np.uint32)], [np.empty(0, np.int64)], 0
        for chunk in column.chunks:
            if chunk.null_count:
                row = base + int(np.flatnonzero(chunk.is_null().to_numpy(zero_copy_only=False))[0])
                raise DataError(f"row {row} has no {name} (null)\nhint: leave the row out")
            if chunk.flatten().null_count:
                raise DataError(f"{name} has nulls among its numbers\nhint: mend the rows or leave them out")
            offsets = chunk.offsets.to_numpy().astype(np.int64)
            values = chunk.values.fill_null(0) if chunk.values.null_count else chunk.values
            self.values.append(values.to_numpy())
            starts.append(offsets[:-1])
            lengths.append(np.diff(offsets))
            chunks.append(np.full(len(chunk), len(self.values) - 1, np.uint32))
            base += len(chunk)
        self.starts: Numbers = np.concatenate(starts)
        self.lengths: Numbers = np.concatenate(lengths)
        self.chunk = np.concatenate(chunks)

    def blocks(self) -> Iterator[tuple[slice, npt.NDArray[Any], Numbers]]:
        """About a million numbers at a time: which documents, their numbers, and where in these each begins."""
        ends = self.starts + self.lengths
        firsts = np.searchsorted(self.chunk, np.arange(len(self.values) + 1))
        for values, first, end in zip(self.values, firsts[:-1].tolist(), firsts[1:].tolist(), strict=True):
            while first < end:
                upto = first + max(1, int(np.searchsorted(ends[first:end], self.starts[first] + _BLOCK)))
                starts = np.append(self.starts[first:upto], ends[upto - 1])
                yield slice(first, upto), values[starts[0] : starts[-1]], starts - starts[0]
                first = upto

    def take(self, numbers: npt.NDArray[Any]) -> Tokens:
        places = zip(
            self.chunk[numbers].tolist(), self.starts[numbers].tolist(), self.lengths[numbers].tolist(), strict=True
        )
        values = self.values
        parts = [values[chunk][start : start + length] for chunk, start, length in places]
        return np.concatenate([np.empty(0, np.int32), *parts]).astype(np.int32, copy=False)


def _check(block: slice, values: npt.NDArray[Any], lists: _Lists, right: npt.NDArray[np.bool_], hint: str) -> None:
    right &= values <= _MOST
    if right.all():
        return
    at = int(np.argmin(right))
    ends = np.cumsum(lists.lengths[block])
    row = block.start + int(np.searchsorted(ends, at, side="right"))
    raise DataError(f"row {row}: {lists.name} holds {values[at]}\nhint: {hint}")
