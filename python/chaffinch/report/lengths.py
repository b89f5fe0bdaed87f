"""How long texts are, in words: counted on the bytes of Arrow's text buffers, never row by row."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

# Every length below this one has its own counter, so quantiles are exact; longer texts share the last.
LONGEST = 1 << 20

# 0, 1, 2, 3, 4, 6, 8, 12 ...: two bins an octave, and every edge a whole number.
EDGES = [0, 1, 2, 3, *(edge for power in range(2, 20) for edge in (1 << power, 3 << (power - 1)))]

_SPACE = np.zeros(256, np.bool_)
_SPACE[[9, 10, 11, 12, 13, 32]] = True


def count_words(texts: Any) -> np.ndarray:
    """Words, that is runs of anything but ASCII white space, of each text; null counts as empty.

    Args:
        texts: an Arrow array of string or large_string.

    Returns:
        int64, one count per text.
    """
    if texts.null_count:
        texts = texts.fill_null("")
    large = pa.types.is_large_string(texts.type)
    _, offset_buffer, data_buffer = texts.buffers()
    offsets = np.frombuffer(offset_buffer, np.int64 if large else np.int32)[
        texts.offset : texts.offset + len(texts) + 1
    ]
    first, last = (int(offsets[0]), int(offsets[-1])) if len(texts) else (0, 0)
    if first == last:
        return np.zeros(len(texts), np.int64)
    space = _SPACE[np.frombuffer(data_buffer, np.uint8)[first:last]]
    starts = offsets.astype(np.int64) - first
    begins = ~space
    begins[1:] &= space[:-1]
    # A text's first byte begins a word whatever the text before it ended with.
    filled = starts[:-1] < starts[1:]
    heads = starts[:-1][filled]
    begins[heads] = ~space[heads]
    counts = np.zeros(len(texts), np.int64)
    # reduceat gives an empty text its neighbour's first byte, so empty texts are left out of it.
    counts[filled] = np.add.reduceat(begins, heads, dtype=np.int64)
    return counts


@dataclass
class Lengths:
    """How many texts have each length; memory is fixed, however many there are."""

    counts: np.ndarray = field(default_factory=lambda: np.zeros(LONGEST + 1, np.int64))

    def add(self, texts: Any) -> None:
        """Counts the texts of an Arrow string array."""
        self.add_lengths(count_words(texts))

    def add_lengths(self, lengths: npt.NDArray[Any]) -> None:
        """Counts texts of these lengths."""
        found = np.bincount(np.minimum(lengths, LONGEST))
        self.counts[: len(found)] += found

    @property
    def total(self) -> int:
        """How many texts were counted."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> int:
        """The least length, in words, that so large a share of the texts does not exceed; 0 without texts."""
        ahead = np.cumsum(self.counts)
        return int(np.searchsorted(ahead, max(1, np.ceil(share * ahead[-1])))) if ahead[-1] else 0

    def mean(self) -> float:
        """The mean length in words; 0 when there are no texts."""
        return float(np.dot(self.counts, np.arange(LONGEST + 1)) / self.total) if self.total else 0.0

    def bins(self) -> list[tuple[int, int | None, int]]:
        """Log-spaced bins, shortest text to longest: first length, last length (None: no end), texts."""
        if not self.total:
            return []
        sums = np.add.reduceat(self.counts, EDGES)
        used = np.flatnonzero(sums)
        return [
            (EDGES[index], EDGES[index + 1] - 1 if index + 1 < len(EDGES) else None, int(sums[index]))
            for index in range(int(used[0]), int(used[-1]) + 1)
        ]


def histogram(lengths: Lengths) -> dict[str, Any]:
    """What the page draws of them, as JSON values."""
    bins = lengths.bins()
    median = lengths.quantile(0.5)
    return {
        "bins": bins,
        "most": max((rows for _, _, rows in bins), default=0),
        "median_bin": next((index for index, (_, last, _) in enumerate(bins) if last is None or median <= last), 0),
        "facts": [
            ("mean", lengths.mean()),
            ("median", median),
            ("95 % have at most", lengths.quantile(0.95)),
            ("longest", lengths.quantile(1.0)),
        ],
    }
