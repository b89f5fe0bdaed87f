"""The ledger: one line for every row that was read and is not in the mixture."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chaffinch.decisions import Decisions
from chaffinch.store import Rows

BATCH = 131_072
SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("stage", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("witness", pa.string()),
        pa.field("score", pa.float64()),
    ]
)


def write_ledger(path: Path, rows: Rows, stages: dict[str, Decisions], advance: Callable[[int], object]) -> int:
    """Writes every removal, by stage in order and then by row hash, so that equal builds write equal bytes.

    Args:
        path: the Parquet file to write: row_id, source, stage, reason, witness (a row id), score.
        rows: the store.
        stages: the removals of each stage.
        advance: called with the number of removals written so far.

    Returns:
        The number of removals.
    """
    written = 0
    text_columns = ["source", "stage", "reason"]
    with pq.ParquetWriter(path, SCHEMA, compression="zstd", compression_level=1, use_dictionary=text_columns) as writer:
        for stage, decisions in stages.items():
            for batch in _batches(rows, stage, decisions):
                writer.write_batch(batch)
                written += len(batch)
                advance(written)
    return written


def _batches(rows: Rows, stage: str, decisions: Decisions) -> Iterator[pa.RecordBatch]:
    # Stable: identical copies share a hash and stay in the order of their occurrence.
    order = np.argsort(rows.hash_prefix(decisions.row), kind="stable")
    reasons = pa.array(decisions.reasons, pa.string())
    sources = pa.array([*rows.ranges], pa.string())
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        row = decisions.row[part]
        witness = pa.nulls(len(part), pa.string())
        if decisions.witness is not None:
            witness = rows.ids(decisions.witness[part])
        score = pa.nulls(len(part), pa.float64())
        if decisions.score is not None:
            score = pa.array(decisions.score[part], pa.float64(), from_pandas=True)
        yield pa.record_batch(
            [
                rows.ids(row),
                sources.take(pa.array(rows.source_codes(row))),
                pa.array([stage]).take(pa.array(np.zeros(len(part), np.int8))),
                reasons.take(pa.array(decisions.reason[part])),
                witness,
                score,
            ],
            schema=SCHEMA,
        )
