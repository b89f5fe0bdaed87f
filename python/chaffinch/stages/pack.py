"""Documents into packs of a fixed number of tokens, each document once and whole."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.columns import to_arrow

Strategy = Literal["best-fit", "first-fit", "sequential"]


class Packed(NamedTuple):
    """What `pack` gives.

    Attributes:
        table: (pack, row, offset: uint32), by pack and then by offset; every row of `lengths` stands in it once.
        fill: the share of the packs' tokens that documents use, from 0 to 1.
    """

    table: pa.Table
    fill: float


def pack(lengths: Any, capacity: int, *, strategy: Strategy = "best-fit", seed: int = 0, ranks: int = 1) -> Packed:
    """Puts documents into as few packs as it can, without cutting, dropping or repeating any.

    Args:
        lengths: tokens of each document, a column of whole numbers from 1 to `capacity`.
        capacity: tokens of a pack.
        strategy: `best-fit`: longest documents first, each into the fullest pack with room (best-fit-decreasing,
            Johnson 1973); `first-fit`: longest first, each into the earliest pack with room; `sequential`: in the given
            order, a new pack when the next document does not fit.
        seed: shuffles the packs, which would otherwise begin with the longest documents; from 0 to 2^64 - 1. Sequential
            packs are not shuffled.
        ranks: processes that train together. Their packs are dealt in turn, pack `p` to rank `p % ranks`: each gets
            the same number, those of one step cost about the same attention (the sum of squared lengths), and so do
            those of one rank. Of sequential packs only the number is made even.

    Returns:
        A table (pack, row, offset) and the fill. The answer depends on the lengths in their order and on the arguments.

    Raises:
        ValueError: lengths that are no whole numbers or have nulls, an unknown strategy, a number outside its range.
        DataError: a document without tokens or longer than a pack; documents that no even number of packs can hold.

    Examples:
        >>> table, fill = pack([5, 3, 4, 2], 7)
        >>> table["row"].to_pylist(), table["offset"].to_pylist(), fill
        ([2, 1, 0, 3], [0, 4, 0, 5], 1.0)
    """
    for name, number, most in (("capacity", capacity, 2**32), ("seed", seed, 2**64), ("ranks", ranks, 2**32)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or not 0 <= number < most:
            raise ValueError(f"{name} is {number!r}, expected a whole number from 0 to {most - 1}")
    column = _lengths(lengths)
    table = pa.table(_core.pack(column, capacity=capacity, strategy=strategy, seed=seed, ranks=ranks))
    packs = table["pack"][-1].as_py() + 1 if len(table) else 0
    tokens = pc.sum(column).as_py() or 0
    return Packed(table, tokens / (packs * capacity) if packs else 1.0)


def _lengths(lengths: Any) -> pa.Array:
    column = to_arrow(lengths, "lengths")
    if pa.types.is_null(column.type) and len(column) == 0:
        column = column.cast(pa.uint32())
    if not pa.types.is_integer(column.type):
        raise ValueError(f"lengths is {column.type}, not whole numbers\nhint: give the tokens of each document")
    if column.null_count:
        raise ValueError(f"lengths has {column.null_count:,} nulls\nhint: leave rows without tokens out")
    try:
        column = column.cast(pa.uint32())
    except pa.ArrowInvalid as error:
        raise ValueError(f"lengths: {error}\nhint: a document has from 1 to 2^32 - 1 tokens") from None
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
