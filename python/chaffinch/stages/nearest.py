"""The candidates most like a text, by BM25: the answerer that needs no model."""

from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import plain_text, to_arrow, to_numpy, to_texts

NONE = np.uint32(0xFFFF_FFFF)


def nearest(
    queries: Any,
    candidates: Any,
    *,
    count: int = 1,
    groups: tuple[Any, Any] | None = None,
    except_candidate: Any = None,
    threads: int | None = None,
) -> pa.Table:
    """Finds for each query the candidates with the highest BM25 scores.

    Scores are those of `BM25Okapi` of rank-bm25 0.2.2 with its defaults (k1 1.5, b 0.75, epsilon 0.25), over
    lower-cased runs of letters and digits; characters of scripts without spaces are words by themselves.

    Args:
        queries: a column of text.
        candidates: a column of text.
        count: how many candidates for each query.
        groups: labels of the queries and of the candidates, two columns of text; a query sees its own group alone.
        except_candidate: for each query the row number of the candidate that it must not find, or null.
        threads: default all cores. The answer does not depend on it.

    Returns:
        A table (query: uint32, candidate: uint32, score: float64), best first within each query; fewer than `count`
        rows where a group has fewer candidates. Equal scores are ordered by a hash of the candidates' texts.

    Raises:
        ValueError: columns of different lengths or not of text, or a count below 1.

    Examples:
        >>> nearest(["a far dog"], ["the cat sat", "dogs bark", "a dog ran far"]).select(["candidate"]).to_pylist()
        [{'candidate': 2}]
    """
    if count < 1:
        raise ValueError(f"count is {count}\nhint: at least 1")
    asked, there = to_texts(queries, "queries"), to_texts(candidates, "candidates")
    return pa.table(
        _core.nearest(
            asked.column(0),
            there.column(0),
            count=count,
            groups=None if groups is None else _codes(*groups),
            except_=None if except_candidate is None else _excepted(except_candidate),
            threads=threads,
        )
    )


def _codes(asked: Any, there: Any) -> tuple[pa.Array, pa.Array]:
    of_queries, of_candidates = to_texts(asked, "groups").column(0), to_texts(there, "groups").column(0)
    both = pa.chunked_array([*plain_text(of_queries).chunks, *plain_text(of_candidates).chunks], pa.large_string())
    codes = pa.array(_core.factorize(pa.table({"group": both}))[0])
    return codes.slice(0, len(of_queries)), codes.slice(len(of_queries))


def _excepted(rows: Any) -> pa.Array:
    numbers = to_arrow(rows, "except_candidate")
    if not (pa.types.is_integer(numbers.type) or pa.types.is_null(numbers.type)):
        raise ValueError(f"except_candidate is {numbers.type}\nhint: give row numbers of candidates, or null")
    return pa.array(to_numpy(numbers.cast(pa.uint32()).fill_null(int(NONE))))
