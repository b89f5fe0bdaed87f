"""What the mixture is made of, from one pass over its files."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from chaffinch.report.folder import Folder
from chaffinch.report.lengths import Lengths

GROUPS = ("source", "category", "language")
UNKNOWN = "(unknown)"


@dataclass
class Mixture:
    """Counts of the kept rows.

    Attributes:
        rows: how many there are.
        groups: column -> value -> rows.
        prompt, response: lengths in words.
    """

    rows: int = 0
    groups: dict[str, Counter[str]] = field(default_factory=lambda: {name: Counter() for name in GROUPS})
    prompt: Lengths = field(default_factory=Lengths)
    response: Lengths = field(default_factory=Lengths)

    def add(self, batch: Any) -> None:
        """Counts the rows of a record batch with the columns of GROUPS, prompt and response."""
        self.rows += len(batch)
        for name, counter in self.groups.items():
            counted = pc.value_counts(batch.column(name))
            for value, count in zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True):
                counter[value if value is not None else UNKNOWN] += count
        self.prompt.add(batch.column("prompt"))
        self.response.add(batch.column("response"))


def measure(folder: Folder) -> Mixture:
    """Counts the mixture, in memory that does not grow with it."""
    mixture = Mixture()
    for _, batch in folder.mixture([*GROUPS, "prompt", "response"]):
        mixture.add(batch)
        # The pool keeps the reader's buffers for reuse; a report should stay small.
        pa.default_memory_pool().release_unused()
    return mixture
