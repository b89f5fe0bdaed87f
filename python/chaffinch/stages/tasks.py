"""What a build knows of labelled tasks in the end: how they were labelled, answered, and taken from."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_numpy
from chaffinch.decisions import Rows

BINS = 50


def by_task(rows: pa.Table, kept: Rows, labelled: pa.Table) -> pa.Table:
    """The stage `label`'s findings, and of each task: what its answers are worth and how many rows were taken.

    Args:
        rows: the store's table with what stages added.
        kept: the rows of the mixture.
        labelled: `findings` of `stages.label.run`.

    Returns:
        The findings and answered, mean_score, accuracy (of exact-match tasks), bucket (of these) and kept. Without the
        stages that say so, columns are null.
    """
    codes, tuples, _ = _core.factorize(rows.select(["source", "task"]), threads=None)
    names = pa.table(tuples)
    pairs = zip(names["source"].to_pylist(), names["task"].to_pylist(), strict=True)
    at = {pair: code for code, pair in enumerate(pairs)}
    of = zip(labelled["source"].to_pylist(), labelled["task"].to_pylist(), strict=True)
    task = np.array([at[pair] for pair in of], np.int64)
    task_of = to_numpy(codes)
    columns: dict[str, Any] = {name: labelled[name] for name in labelled.column_names}
    score, accuracy = (_numbers(rows, name) for name in ("score", "task_accuracy"))
    if score is not None:
        answered = ~np.isnan(score)
        counts = np.bincount(task_of[answered], minlength=len(names))[task]
        sums = np.bincount(task_of[answered], score[answered], minlength=len(names))[task]
        columns["answered"] = pa.array(counts, pa.uint32())
        columns["mean_score"] = pa.array(sums / np.maximum(counts, 1), mask=counts == 0)
    if accuracy is not None:
        of_task = np.full(len(names), np.nan)
        known = ~np.isnan(accuracy)
        of_task[task_of[known]] = accuracy[known]
        columns["accuracy"] = pa.array(of_task[task], mask=np.isnan(of_task[task]))
        decile = (np.nan_to_num(of_task[task]) * 100).astype(np.int64) // 10
        if "bucket" in rows.column_names:
            texts = [f"decile {one}" for one in decile.tolist()]
            columns["bucket"] = pa.array(texts, pa.string(), mask=np.isnan(of_task[task]))
    columns["kept"] = pa.array(np.bincount(task_of[kept], minlength=len(names))[task], pa.uint32())
    return pa.table(columns)


def by_bucket(rows: pa.Table, kept: Rows) -> list[dict[str, Any]]:
    """By label and bucket, in order of names: the rows that were sorted into it, and those in the mixture."""
    if not {"label", "bucket"} <= {*rows.column_names}:
        return []
    codes, tuples, counts = _core.factorize(rows.select(["label", "bucket"]), threads=None)
    sums = pa.table(counts)["rows"].to_pylist()
    taken = np.bincount(to_numpy(codes)[kept], minlength=len(sums)).tolist()
    return [
        {**named, "rows": total, "kept": taken[code]}
        for code, (named, total) in enumerate(zip(pa.table(tuples).to_pylist(), sums, strict=True))
        if named["label"] is not None and named["bucket"] is not None
    ]


def histogram(rows: pa.Table, kept: Rows) -> list[list[int]]:
    """Rows of generation tasks by score, in equal bins from 0 to 1: all that have one, and those in the mixture."""
    score = _numbers(rows, "score")
    if score is None or "label" not in rows.column_names:
        return []
    codes, tuples, _ = _core.factorize(rows.select(["label"]), threads=None)
    of = [code for code, label in enumerate(pa.table(tuples)["label"].to_pylist()) if label == "generation"]
    ours = np.isin(to_numpy(codes), of) & ~np.isnan(score)
    bins = np.minimum((score[ours] * BINS).astype(np.int64), BINS - 1)
    in_mixture = np.zeros(len(rows), bool)
    in_mixture[kept] = True
    taken = np.bincount(bins[in_mixture[ours]], minlength=BINS)
    return [list(pair) for pair in zip(np.bincount(bins, minlength=BINS).tolist(), taken.tolist(), strict=True)]


def _numbers(rows: pa.Table, name: str) -> npt.NDArray[np.float64] | None:
    if name not in rows.column_names:
        return None
    parts = [chunk.to_numpy(zero_copy_only=False) for chunk in rows[name].chunks]
    return np.concatenate([np.empty(0), *parts])
