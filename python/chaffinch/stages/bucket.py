"""bucket: scores to strata."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_arrow, to_numpy
from chaffinch.decisions import Decisions, Rows
from chaffinch.recipe.bucket import Bucket
from chaffinch.recipe.clean import Limits

BUCKET = "bucket"
DECILES = [f"decile {number}" for number in range(11)]


def bucket(scores: Any, edges: Sequence[float], *, labels: Sequence[str] | None = None) -> pa.DictionaryArray:
    """Sorts scores into half-open intervals `[edges[i], edges[i + 1])`.

    Args:
        scores: a column of numbers.
        edges: at least two finite numbers that increase.
        labels: a name for every interval; default `[0.2, 0.3)` and so on.

    Returns:
        A dictionary array (int32 indices, string values) without nulls. The dictionary holds every interval
        in order and then `below`, `above` (at or beyond the last edge), `nan` and `null`, whether or not a
        score is there.

    Raises:
        ValueError: edges that do not increase or are not finite; labels that repeat or are too few or too
            many; scores that are not numbers.

    Examples:
        >>> bucket([0.1, 0.2, None], [0.0, 0.2, 0.3]).to_pylist()
        ['[0, 0.2)', '[0.2, 0.3)', 'null']
    """
    column = to_arrow(scores, "scores")
    if pa.types.is_null(column.type):
        column = column.cast(pa.float64())
    if not (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        raise ValueError(f"scores is {column.type}, not numbers")
    names = None if labels is None else list(labels)
    return pa.array(_core.bucket(column, [float(edge) for edge in edges], labels=names))


def run(
    rows: pa.Table,
    alive: Rows,
    spec: Bucket,
    *,
    limits: Callable[[pa.Table, Rows, Limits], Decisions],
    threads: int | None = None,
) -> Decisions:
    """Sorts the labelled rows by their scores, and removes those that the recipe has no use for.

    Exact match: the decile of the task's accuracy, floor(int(accuracy * 100) / 10), so `decile 10` where all is right.
    Generation: `bucket` of the score. A row's first reason counts: no score, then the task's accuracy or the edges,
    then a right answer, then the limits.

    Args:
        rows: the store's table with the columns `label`, `score`, `task_accuracy` and `answer` of the stages before.
        alive: the rows still in, increasing.
        spec: the recipe's edges and limits.
        limits: from rows, row numbers and limits to the removal of those beyond them.
        threads: default all cores.

    Returns:
        Decisions; `columns` has `bucket` (dictionary of string; null for rows without a label).
    """
    codes, tuples, _ = _core.factorize(rows.select(["label"]), threads=threads)
    label = to_numpy(codes)[alive]
    labels = pa.table(tuples)["label"].to_pylist()
    score, accuracy = (_numbers(rows[name], alive) for name in ("score", "task_accuracy"))
    is_exact = np.isin(label, [code for code, name in enumerate(labels) if name == "exact_match"])
    is_generation = np.isin(label, [code for code, name in enumerate(labels) if name == "generation"])
    sorted_in = bucket(score[is_generation], spec.generation.edges)
    names = [*DECILES, *sorted_in.dictionary.to_pylist()]
    below, above, nan, null = range(len(names) - 4, len(names))
    found = np.full(len(alive), -1, np.int16)
    # The same steps in the same order as Python's floor(int(accuracy * 100) / 10), whose last bits decide at the edges.
    percent = np.where(np.isnan(accuracy), 0, accuracy * 100).astype(np.int64)
    found[is_exact] = (percent // 10)[is_exact]
    found[is_generation] = len(DECILES) + to_numpy(sorted_in.indices)
    missing = (is_exact | is_generation) & ~rows["score"].is_valid().to_numpy()[alive]
    found[missing] = null
    found[np.isnan(score) & (is_exact | is_generation) & ~missing] = nan
    reasons = ["no answer", "no references", "score is NaN"]
    reason = np.full(len(alive), -1, np.int32)

    def remove(text: str, where: npt.NDArray[np.bool_]) -> None:
        if text not in reasons:
            reasons.append(text)
        reason[where & (reason < 0)] = reasons.index(text)

    if spec.missing == "remove":
        answered = rows["answer"].is_valid().to_numpy()[alive]
        remove("no answer", (found == null) & ~answered)
        remove("no references", (found == null) & answered)
        remove("score is NaN", found == nan)
    scored = (found >= 0) & (found != null) & (found != nan)
    least = spec.exact_match.remove_tasks_below
    remove(f"task accuracy under {least:g}", scored & is_exact & (accuracy < least))
    remove(f"score under {spec.generation.edges[0]:g}", found == below)
    remove(f"score {spec.generation.edges[-1]:g} or above", found == above)
    if spec.exact_match.only_wrong:
        remove("right answer", scored & is_exact & (score == 1))
    goes = reason >= 0
    parts = [Decisions(alive[goes], reason[goes].astype(np.uint16), reasons)]
    for ours, bounds in ((is_exact, spec.exact_match.limits), (is_generation, spec.generation.limits)):
        if bounds != Limits():
            parts.append(limits(rows, alive[ours & ~goes], bounds))
    decisions = Decisions.join(parts)
    indices = np.full(len(rows), -1, np.int16)
    indices[alive] = found
    column = pa.DictionaryArray.from_arrays(pa.array(indices, mask=indices < 0), pa.array(names, pa.string()))
    return replace(decisions, columns=pa.table({BUCKET: column}))


def _numbers(column: Any, chosen: Rows) -> npt.NDArray[np.float64]:
    """The chosen rows' numbers, NaN where there is none."""
    parts = [chunk.to_numpy(zero_copy_only=False) for chunk in column.chunks]
    values: npt.NDArray[np.float64] = np.concatenate([np.empty(0), *parts])[chosen]
    return values
