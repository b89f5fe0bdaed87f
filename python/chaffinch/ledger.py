"""The ledger: one line for every row that was read and is not in the mixture."""

from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaffinch.decisions import Decisions
from chaffinch.order import lexsort
from chaffinch.store import ADDED, Rows

BATCH = 131_072
_NAME = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", _NAME, nullable=False),
        pa.field("stage", _NAME, nullable=False),
        pa.field("reason", _NAME, nullable=False),
        pa.field("witness", pa.string()),
        pa.field("score", pa.float64()),
        pa.field("evidence", pa.string()),
    ]
)


def write_ledger(path: Path, rows: Rows, stages: dict[str, Decisions], stopped: Event) -> None:
    """Writes every removal, by stage in order and then by row hash, so that equal builds write equal bytes.

    Args:
        path: the Parquet file to write: row_id, source, stage, reason, witness (a row id), score, evidence (what of the
            row's text decided), and what stages added to the rows (`store.ADDED`).
        rows: the store.
        stages: the removals of each stage.
        stopped: once set, writing ends at the next batch.
    """
    names = ["source", "stage", "reason", *ADDED]
    added = [pa.field(name, _NAME if kind == pa.string() else kind) for name, (_, kind) in ADDED.items()]
    schema = pa.schema([*SCHEMA, *(field for field in added if field.name in rows.added())])
    # Without Arrow's own schema the names come back as plain strings, whoever reads them.
    with pq.ParquetWriter(path, schema, compression="snappy", use_dictionary=names, store_schema=False) as writer:
        for stage, decisions in stages.items():
            for batch in _batches(rows, stage, decisions, schema):
                if stopped.is_set():
                    return
                writer.write_batch(batch)


def write_flagged(path: Path, rows: Rows, findings: Any) -> None:
    """Writes the near duplicates that were only flagged, as the ledger tells removals; nothing when no rule flags.

    Args:
        path: the Parquet file to write: row_id, source, reason, witness (a row id), similarity.
        rows: the store.
        findings: row, witness, similarity and reason, as `stages.dedup.run` tells them.
    """
    if findings is None:
        return
    row = findings["row"].to_numpy()
    codes = pc.rank(findings["reason"], tiebreaker="dense").to_numpy()
    order = lexsort((row, rows.hash_prefix(row), codes))
    row, findings = row[order], findings.take(pa.array(order))
    columns = {
        "row_id": rows.ids(row),
        "source": pa.array([*rows.ranges], pa.string()).take(pa.array(rows.source_codes(row))),
        "reason": findings["reason"],
        "witness": rows.ids(findings["witness"].to_numpy()),
        "similarity": findings["similarity"],
    }
    pq.write_table(pa.table(columns), path, compression="zstd")


def _batches(rows: Rows, stage: str, decisions: Decisions, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    # Stable: identical copies share a hash and stay in the order of their occurrence.
    order = np.argsort(rows.hash_prefix(decisions.row), kind="stable")
    reasons = pa.array(decisions.reasons, pa.string())
    sources = pa.array([*rows.ranges], pa.string())
    stages = pa.array([stage])
    for start in range(0, len(order), BATCH):
        part = order[start : start + BATCH]
        row = decisions.row[part]
        witness = pa.nulls(len(part), pa.string())
        if decisions.witness is not None:
            witness = rows.ids(decisions.witness[part])
        score = pa.nulls(len(part), pa.float64())
        if decisions.score is not None:
            score = pa.array(decisions.score[part], pa.float64(), from_pandas=True)
        evidence = pa.nulls(len(part), pa.string())
        if decisions.evidence is not None:
            texts = pa.array([text or None for text in decisions.evidences], pa.string())
            evidence = texts.take(pa.array(decisions.evidence[part]))
        yield pa.record_batch(
            [
                rows.ids(row),
                pa.DictionaryArray.from_arrays(rows.source_codes(row), sources),
                pa.DictionaryArray.from_arrays(np.zeros(len(part), np.int32), stages),
                pa.DictionaryArray.from_arrays(decisions.reason[part].astype(np.int32), reasons),
                witness,
                score,
                evidence,
                *(column.cast(schema.field(name).type) for name, column in rows.gather_added(row).items()),
            ],
            schema=schema,
        )
