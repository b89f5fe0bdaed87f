"""How well tasks were answered, and what was taken of each: two drawings and two tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chaffinch.report.folder import Folder

WIDTH, TALLEST, BELOW = 840, 140, 70
MOST_COLUMNS = 210
MOST_TASKS = 50


@dataclass(frozen=True)
class Column:
    """One column of a drawing: where it stands, how far it goes up and down, and what it stands for."""

    x: float
    width: float
    up: float
    down: float
    title: str


def answers(folder: Folder) -> dict[str, Any] | None:
    """What the report shows of labels, scores and buckets; None for a build whose recipe labels no task."""
    tasks = [row for batch in folder.tasks() for row in batch.to_pylist()]
    if not tasks:
        return None
    exact = [task for task in tasks if task.get("accuracy") is not None]
    bins = folder.manifest.get("scores") or []
    borderline = [task for task in tasks if task["borderline"]]
    # The nearest to the edge first, on either side of it.
    borderline.sort(key=lambda task: (abs(float(np.log(max(task["ratio"], 1e-9)))), task["task"]))
    return {
        "labels": {
            label: (sum(task["label"] == label for task in tasks), sum(t["rows"] for t in tasks if t["label"] == label))
            for label in ("exact_match", "generation")
        },
        "choice": next((stage["notes"] for stage in folder.stages if "precision" in (stage.get("notes") or {})), None),
        "by_recipe": sum(task["decided_by"] == "recipe" for task in tasks),
        "accuracy": by_accuracy(exact),
        "n_exact": len(exact),
        "most_kept": max((task["kept"] for task in exact), default=0),
        "histogram": by_score(bins),
        "most_rows": max((rows for rows, _ in bins), default=0),
        "buckets": folder.manifest.get("buckets") or [],
        "borderline": borderline[:MOST_TASKS],
        "n_borderline": len(borderline),
    }


def by_accuracy(tasks: Sequence[Mapping[str, Any]]) -> list[Column]:
    """Tasks from the least accurate on: up the accuracy, down the rows taken; many tasks share a column, as means."""
    ranked = sorted(tasks, key=lambda task: (task["accuracy"], task["source"], task["task"]))
    parts = np.array_split(np.arange(len(ranked)), min(len(ranked), MOST_COLUMNS) or 1)
    groups = [part for part in parts if len(part)]
    most = max((float(np.mean([ranked[at]["kept"] for at in group])) for group in groups), default=0.0) or 1.0
    step = min(WIDTH / max(len(groups), 1), 30.0)
    columns = []
    for number, group in enumerate(groups):
        accuracy = float(np.mean([ranked[at]["accuracy"] for at in group]))
        kept = float(np.mean([ranked[at]["kept"] for at in group]))
        name = (
            ranked[group[0]]["task"] if len(group) == 1 else f"{len(group):,} tasks from {ranked[group[0]]['task']} on"
        )
        title = f"{name}: accuracy {100 * accuracy:.1f} %, {kept:,.0f} rows taken"
        columns.append(Column(10 + number * step, step * 0.86, TALLEST * accuracy, BELOW * kept / most, title))
    return columns


def by_score(bins: Sequence[Sequence[int]]) -> list[Column]:
    """Rows of generation tasks by score: up all of them, `down` (drawn over it) those in the mixture."""
    most = max((rows for rows, _ in bins), default=0) or 1
    step = WIDTH / max(len(bins), 1)
    return [
        Column(
            10 + number * step,
            step * 0.9,
            TALLEST * rows / most,
            TALLEST * kept / most,
            f"{number / len(bins):.2f} to {(number + 1) / len(bins):.2f}: {rows:,} rows, {kept:,} taken",
        )
        for number, (rows, kept) in enumerate(bins)
    ]
