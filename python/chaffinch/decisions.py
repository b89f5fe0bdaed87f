"""What a choosing stage says: which rows go, why, and against which kept row."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Rows = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class Decisions:
    """The removed rows of one stage.

    Attributes:
        row: uint32 row numbers, increasing; a subset of the rows the stage was given.
        reason: uint16 indices into `reasons`, one per row.
        reasons: what the indices mean.
        witness: uint32 row number of the kept row that stands for each removed one; None when the stage has
            none.
        score: float64, NaN where there is none; None when the stage has none.
        notes: counts worth reporting.
        evidence: uint32 indices into `evidences`, one per row; None when the stage has none.
        evidences: what of the rows' own text decided; the first is empty and stands for none.
        findings: an Arrow table of what was found, with a column `row`, where the stage has more to say than a score.
        columns: an Arrow table with a row for each of the store's, in its order: what later stages see beside the
            store's own columns. Only rows that the stage was given have values.
        lasting: whether another run would decide the same; not where an answer failed that may come another time.
    """

    row: Rows
    reason: npt.NDArray[np.uint16]
    reasons: list[str]
    witness: Rows | None = None
    score: npt.NDArray[np.float64] | None = None
    notes: dict[str, int | float | str] = field(default_factory=dict)
    evidence: npt.NDArray[np.uint32] | None = None
    evidences: list[str] = field(default_factory=list)
    findings: Any = None
    columns: Any = None
    lasting: bool = True

    @classmethod
    def none(cls) -> Self:
        """Every row stays."""
        return cls(np.empty(0, np.uint32), np.empty(0, np.uint16), [])

    @classmethod
    def because(cls, reason: str, row: npt.ArrayLike, witness: npt.ArrayLike | None = None) -> Self:
        """All of `row`, in any order, go for one reason."""
        rows = np.asarray(row, np.uint32)
        order = np.argsort(rows, kind="stable")
        witnesses = None if witness is None else np.asarray(witness, np.uint32)[order]
        return cls(rows[order], np.zeros(len(rows), np.uint16), [reason], witnesses)

    @classmethod
    def join(cls, parts: Sequence["Decisions"]) -> Self:
        """The decisions of several steps that each looked only at what the ones before had left.

        Where a later step removes a witness of an earlier one, the later witness takes its place, so that a
        witness is always a kept row; a score was the pair's, so it goes with the earlier witness.
        Notes keep the last value of each name, findings are told one after the other.
        """
        if not parts:
            return cls.none()
        reasons = list(dict.fromkeys(reason for part in parts for reason in part.reasons))
        row = np.concatenate([part.row for part in parts])
        order = np.argsort(row, kind="stable")
        codes = [np.array([reasons.index(reason) for reason in part.reasons], np.uint16)[part.reason] for part in parts]
        notes: dict[str, int | float | str] = {}
        for part in parts:
            notes.update(part.notes)
        row = row[order]
        score = None
        if any(part.score is not None for part in parts):
            none = [np.full(len(part.row), np.nan) if part.score is None else part.score for part in parts]
            score = np.concatenate(none)[order]
        witness = None
        # A part that removes nothing has no witness to give, and takes none from the others.
        removing = [part for part in parts if len(part.row)]
        if all(part.witness is not None for part in removing):
            witnesses = [part.witness for part in removing if part.witness is not None]
            witness = np.concatenate([np.empty(0, np.uint32), *witnesses])[order]
            # One step can remove the witnesses of all before it, so a chain is at most as long as there are
            # steps.
            for _ in parts:
                at = np.searchsorted(row, witness)
                gone = _at(row, at) == witness
                witness = np.where(gone, _at(witness, at), witness) if len(row) else witness
                score = None if score is None else np.where(gone, np.nan, score)
        evidence, evidences = None, [""]
        if any(part.evidence is not None for part in parts):
            shifted = []
            for part in parts:
                shifted.append(np.zeros(len(part.row), np.uint32))
                if part.evidence is not None:
                    shifted[-1] = np.where(part.evidence > 0, part.evidence + np.uint32(len(evidences) - 1), 0)
                    evidences += part.evidences[1:]
            evidence = np.concatenate(shifted).astype(np.uint32)[order]
        told = [part.findings for part in parts if part.findings is not None]
        findings = pa.concat_tables(told) if told else None
        return cls(row, np.concatenate(codes)[order], reasons, witness, score, notes, evidence, evidences, findings)

    def kept(self, alive: Rows) -> Rows:
        """The rows of `alive` that stay, in order."""
        stays = np.ones(len(alive), bool)
        stays[np.searchsorted(alive, self.row)] = False
        return alive[stays]

    def check(self, alive: Rows) -> Rows:
        """Makes sure that no row vanished or came from nowhere, and gives the rows that stay.

        Raises:
            AssertionError: the stage that made these decisions is wrong.
        """

        def require(holds: Any, what: str) -> None:
            if not holds:
                raise AssertionError(f"a stage broke its promise: {what}")

        require(self.row.dtype == np.uint32 and self.reason.dtype == np.uint16, "rows are uint32, reasons uint16")
        require(len(self.reason) == len(self.row), "one reason for each removed row")
        require(np.all(self.row[1:] > self.row[:-1]), "removed rows increase, each named once")
        require(np.all(self.reason < len(self.reasons)), "every reason has a text")
        require(np.array_equal(_at(alive, np.searchsorted(alive, self.row)), self.row), "removed rows were alive")
        kept = self.kept(alive)
        require(len(kept) + len(self.row) == len(alive), "kept and removed rows are all there were")
        if self.witness is not None:
            require(len(self.witness) == len(self.row), "one witness for each removed row")
            at = np.searchsorted(kept, self.witness)
            require(np.array_equal(_at(kept, at), self.witness), "every witness is a kept row")
        if self.score is not None:
            require(len(self.score) == len(self.row), "one score for each removed row")
        if self.evidence is not None:
            require(len(self.evidence) == len(self.row), "one evidence for each removed row")
            require(np.all(self.evidence < len(self.evidences)), "every evidence has a text")
        return kept


def _at(values: Rows, positions: npt.NDArray[np.intp]) -> Rows:
    """`values[positions]` where a position may be one past the end, which answers with the last value."""
    if len(values) == 0:
        return np.empty(0, values.dtype)
    return values[np.minimum(positions, len(values) - 1)]
