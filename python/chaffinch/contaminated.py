"""What a build found of evaluation sets: one line for each row and set, and their sums."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaffinch.errors import RecipeError
from chaffinch.evaluation_sets import lookup
from chaffinch.order import lexsort
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
    order = lexsort((row, run.rows.hash_prefix(row), codes))
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


def held_in_tasks(run: Run) -> list[dict[str, Any]]:
    """By evaluation set and task of the mixture that is named after it: evaluation_set, source, task, rows.

    A set's training part shares no item with its test part, so no match tells that it was trained on; its task's name
    does: `drop`, `drop_train`, `drop:2.0.0`, `task026_drop_question_generation`.
    """
    spec = run.recipe.decontaminate
    if spec is None or not len(run.alive):
        return []
    known = {
        entry.name: (entry.name, entry.title, *entry.aliases) for one in spec.against for entry in _known(one.name)
    }
    codes, first, counts = np.unique(
        run.rows.codes(["source", "task"], threads=run.threads)[run.alive], return_index=True, return_counts=True
    )
    names = run.rows.gather(run.alive[first], ["source", "task"]).to_pylist()
    found = [
        {"evaluation_set": name, "source": one["source"], "task": one["task"], "rows": int(rows)}
        for one, rows in zip(names, counts[: len(codes)].tolist(), strict=True)
        for name, titles in known.items()
        if any(_is_named_after(one["task"], title) for title in titles)
    ]
    return sorted(found, key=lambda line: (line["evaluation_set"], line["source"], line["task"]))


def _known(name: str) -> list[Any]:
    try:
        return [entry for entry, _ in lookup(name) or []]
    except RecipeError:
        return []


def _is_named_after(task: str, title: str) -> bool:
    words, named = ([part for part in re.split(r"[\W_]+", text.lower()) if part] for text in (task, title))
    after_number = words[1:] if words and re.fullmatch(r"task\d+", words[0]) else words
    return bool(named) and after_number[: len(named)] == named
