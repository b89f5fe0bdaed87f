"""Packs of documents, made of their tokens a batch at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaffinch.handover.documents import UNTRAINED, Documents, Numbers, Tokens
from chaffinch.recipe.pack import Pack
from chaffinch.report.lengths import Lengths, histogram
from chaffinch.stages.pack import pack

BATCH_TOKENS = 1 << 22
FILE_TOKENS = 1 << 27


@dataclass(frozen=True)
class Batch:
    """Some packs: their tokens one behind the other.

    Attributes:
        input_ids, labels, position_ids: int32, a number for each token; the labels of prompts, of the first token of
            each document and of padding are -100; positions begin at 0 with each document.
        segment: int32, by token the document's number in its pack, from 1; 0 is padding.
        seq_lengths: int32, tokens of each document; padding counts as a document, the last of its pack.
        starts: int64 (packs + 1), where in the tokens each pack begins.
        first: int64 (packs + 1), where in `seq_lengths` each pack begins.
    """

    input_ids: Tokens
    labels: Tokens
    position_ids: Tokens
    segment: Tokens
    seq_lengths: Tokens
    starts: Numbers
    first: Numbers

    def lists(self, values: Tokens) -> pa.ListArray:
        """One list of `values` for each pack; `values` has a number for each token."""
        return pa.ListArray.from_arrays(self.starts.astype(np.int32), values)


class Packs:
    """Which document lies in which pack, and the packs themselves.

    Attributes:
        documents: where their tokens come from.
        pack, document, offset: uint32, by pack and place in it.
        count: packs.
        fill: the share of the packs' tokens that documents use.
        tokens: of all documents.
        lower_bound: no packing has fewer packs.
    """

    def __init__(self, documents: Documents, numbers: npt.NDArray[Any], spec: Pack, seed: int) -> None:
        """Packs the documents `numbers`, none of them empty or longer than a pack."""
        self.documents, self._spec = documents, spec
        lengths = documents.lengths[numbers]
        table, self.fill = pack(lengths, spec.length, strategy=spec.strategy, seed=seed, ranks=spec.ranks)
        self.pack, self.offset = (table[name].to_numpy() for name in ("pack", "offset"))
        self.document = np.asarray(numbers)[table["row"].to_numpy()]
        self.count = int(self.pack[-1]) + 1 if len(self.pack) else 0
        self.tokens = int(lengths.sum(dtype=np.int64))
        self.lower_bound = -(-self.tokens // spec.length)
        self._first = np.searchsorted(self.pack, np.arange(self.count + 1, dtype=np.uint32))

    def summary(self) -> dict[str, Any]:
        """Counts, as the manifest tells them."""
        lengths = Lengths()
        lengths.add_lengths(self.documents.lengths[self.document])
        return {
            "packs": self.count,
            "lower_bound": self.lower_bound,
            "fill": self.fill,
            "documents": len(self.document),
            "tokens": self.tokens,
            "trained_tokens": int(self.documents.trained[self.document].sum(dtype=np.int64)),
            "lengths": histogram(lengths),
        }

    def files(self) -> list[range]:
        """The packs of each file."""
        size = max(1, FILE_TOKENS // self._spec.length)
        return [range(start, min(start + size, self.count)) for start in range(0, max(1, self.count), size)]

    def batches(self, packs: range, multiple: int | None = None) -> Iterator[Batch]:
        """The packs, about four million tokens at a time, each padded to a multiple of so many tokens."""
        size = max(1, BATCH_TOKENS // self._spec.length)
        for start in packs[::size]:
            yield self._batch(start, min(start + size, packs.stop), multiple or self._spec.pad_to_multiple_of)

    def _batch(self, start: int, end: int, multiple: int) -> Batch:
        first = self._first[start : end + 1]
        chosen = slice(first[0], first[-1])
        first = first - first[0]
        lengths = self.documents.lengths[self.document[chosen]].astype(np.int64)
        number = np.arange(len(lengths)) - np.repeat(first[:-1], np.diff(first)) + 1
        used = np.add.reduceat(lengths, first[:-1])
        padding = -used % multiple
        padded = padding > 0
        if padded.any():
            lengths = np.insert(lengths, first[1:][padded], padding[padded])
            number = np.insert(number, first[1:][padded], 0)
            first = first + np.concatenate([[0], np.cumsum(padded)])
        begins = np.cumsum(lengths) - lengths
        total = int(lengths.sum())
        segment = np.repeat(number, lengths).astype(np.int32)
        ids, labels = np.zeros(total, np.int32), np.full(total, UNTRAINED, np.int32)
        real = slice(None) if not padded.any() else segment > 0
        ids[real], labels[real] = self.documents.take(self.document[chosen])
        labels[begins] = UNTRAINED
        position_ids = (np.arange(total) - np.repeat(begins, lengths)).astype(np.int32)
        starts = np.concatenate([[0], np.cumsum(used + padding)])
        return Batch(ids, labels, position_ids, segment, lengths.astype(np.int32), starts, first)
