"""The rows that could not be read, by reason and file."""

from collections import Counter
from dataclasses import dataclass, field

from chaffinch.report.folder import Folder

EXAMPLES = 3


@dataclass
class BadReason:
    """One reason why rows could not be read.

    Attributes:
        files: (source, file) -> rows.
        examples: up to EXAMPLES rows: file, position, pointer and the raw text.
    """

    files: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: list[dict[str, str]] = field(default_factory=list)

    @property
    def rows(self) -> int:
        """How many rows."""
        return self.files.total()


def quarantined(folder: Folder) -> dict[str, BadReason]:
    """Reason -> its rows, most frequent first."""
    reasons: dict[str, BadReason] = {}
    for batch in folder.quarantine(["source", "file", "position", "pointer", "reason", "raw"]):
        keys = (batch.column(name).to_pylist() for name in ("source", "file", "reason"))
        for row, (source, file, reason) in enumerate(zip(*keys, strict=True)):
            bad = reasons.setdefault(str(reason), BadReason())
            bad.files[str(source), str(file)] += 1
            if len(bad.examples) < EXAMPLES:
                values = {name: batch.column(name)[row].as_py() for name in ("file", "position", "pointer", "raw")}
                bad.examples.append({name: "" if value is None else str(value) for name, value in values.items()})
    return dict(sorted(reasons.items(), key=lambda item: (-item[1].rows, item[0])))
