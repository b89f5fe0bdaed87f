"""Quotas in tokens: how many a stratum has, and which of its rows fit into its quota."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaffinch.columns import to_numpy
from chaffinch.decisions import Decisions, Rows
from chaffinch.stages.format import Prepare
from chaffinch.stages.tokenize import Tokenizer

# The column of the store's rows that `count` adds.
COLUMN = "tokens"

Numbers = npt.NDArray[np.int64]


def count(rows: pa.Table, alive: Rows, tokenizer: Tokenizer, prepare: Prepare | None, **watch: Any) -> Decisions:
    """Adds the column `tokens` (uint64): of each row still in, the tokens of its documents.

    A row that gives no document has none; it goes when documents are made, for a reason of its own.
    """
    tokens = np.zeros(len(rows), np.uint64)
    for batch in tokenizer.batches(rows, alive, prepare, **watch):
        for chunk in batch.documents.to_batches():
            lengths = np.diff(chunk["input_ids"].offsets.to_numpy())
            np.add.at(tokens, chunk["row"].to_numpy(), lengths.astype(np.uint64))
    given = np.zeros(len(rows), bool)
    given[alive] = True
    none = Decisions.none()
    notes: dict[str, int | float | str] = {"tokens": int(tokens.sum())}
    columns = pa.table({COLUMN: pa.array(tokens, mask=~given)})
    return Decisions(none.row, none.reason, none.reasons, notes=notes, columns=columns)


def of(rows: pa.Table) -> Numbers:
    """The tokens of every row of the store, 0 where none were counted."""
    return to_numpy(rows[COLUMN].fill_null(0)).astype(np.int64)


def sums(code: npt.NDArray[np.uint32], tokens: Numbers, strata: int) -> Numbers:
    """The tokens of each stratum."""
    order = np.argsort(code, kind="stable")
    total = np.concatenate([[0], np.cumsum(tokens[order])])
    ends = np.cumsum(np.bincount(code, minlength=strata))
    made: Numbers = np.diff(total[np.concatenate([[0], ends])])
    return made


def within(order: Rows, code: npt.NDArray[np.uint32], tokens: Numbers, quota: Numbers) -> tuple[Rows, Numbers]:
    """The rows that are taken, and the tokens of each stratum's.

    A stratum's rows are taken in their order up to the first with which their tokens would be more than its quota.
    Shorter ones behind it are not: they would be drawn more often than long ones. So a larger quota takes the same
    rows and more, and what is left of a quota is less than the tokens of one row.

    Args:
        order: row numbers, each stratum's in its order.
        code: the stratum of each.
        tokens: of each.
        quota: the tokens of each stratum, at most; of one with a quota of 0 no row is taken.
    """
    by_stratum = np.argsort(code, kind="stable")
    total = np.cumsum(tokens[by_stratum])
    firsts = np.searchsorted(code[by_stratum], np.arange(len(quota)))
    before = np.concatenate([[0], total])[firsts]
    fits = np.empty(len(order), bool)
    strata = code[by_stratum]
    fits[by_stratum] = (total - before[strata] <= quota[strata]) & (quota[strata] > 0)
    return order[fits], sums(code[fits], tokens[fits], len(quota))
