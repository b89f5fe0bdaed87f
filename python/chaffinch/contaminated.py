"""What a build found of evaluation sets: one line for each row and set, and their sums."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaffinch.pipeline import Run

SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("evaluation_set", pa.string(), nullable=False),
        pa.field("item", pa.string(), nullable=False),
        pa.field("removed", pa.bool_(), nullable=False),
        pa.field("matched_words", pa.uint32(), nullable=False),
        pa.field("coverage", pa.float64(), nullable=False),
        pa.field("text", pa.large_string(), nullable=False),
    ]
)


def write_evidence(path: Path, run: Run) -> None:
    """Writes the best match of each row and set, by set and then by row hash; nothing when no stage looked."""
    evidence = run.contamination()
    if evidence is None:
        return
    row = evidence["row"].to_numpy()
    # By name: the order in which the rows first hold an item of a set is no order of the sets.
    codes = pc.rank(evidence["evaluation_set"], tiebreaker="dense").to_numpy()
    order = np.lexsort((row, run.rows.hash_prefix(row), codes))
    row, evidence = row[order], evidence.take(pa.array(order))
    sources = pa.array([*run.rows.ranges], pa.string()).take(pa.array(run.rows.source_codes(row)))
    columns = {"row_id": run.rows.ids(row), "source": sources}
    columns |= {name: evidence[name] for name in evidence.column_names if name != "row"}
    pq.write_table(pa.table([columns[name] for name in SCHEMA.names], schema=SCHEMA), path, compression="zstd")


def held_in(run: Run) -> list[dict[str, Any]]:
    """By evaluation set and source: rows that match, rows removed for it, rows in the mixture, items that they hold.

    The items are those of all rows that came to the stage, and all of a row's, not only its best match.
    """
    evidence = run.contamination()
    if evidence is None:
        return []
    held = {(name, source): items for name, source, items in run.items_held()}
    row = evidence["row"].to_numpy()
    in_mixture = np.isin(row, run.alive)
    sources = list(run.rows.ranges)
    table = evidence.select(["evaluation_set", "removed"]).append_column("source", pa.array(run.rows.source_codes(row)))
    table = table.append_column("in_mixture", pa.array(in_mixture))
    groups = table.group_by(["evaluation_set", "source"], use_threads=False).aggregate(
        [([], "count_all"), ("removed", "sum"), ("in_mixture", "sum")]
    )
    lines = [
        {
            "evaluation_set": one["evaluation_set"],
            "source": sources[one["source"]],
            "rows": one["count_all"],
            "removed": one["removed_sum"],
            "in_mixture": one["in_mixture_sum"],
            "items": held[one["evaluation_set"], sources[one["source"]]],
        }
        for one in groups.to_pylist()
    ]
    return sorted(lines, key=lambda line: (line["evaluation_set"], sources.index(line["source"])))
