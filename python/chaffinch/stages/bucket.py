"""Scores to strata."""

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_arrow


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
