"""control: as many rows as another mixture has, by chance or by length: what a selection has to be better than.

Random rows are those with the smallest keyed hashes of their content, under a key of this stage's own, so that they are
no more like what `sample` draws than any others. The longest responses are those with most characters; of equal ones
the same hash decides.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from chaffinch import _core
from chaffinch.cache import key_of
from chaffinch.columns import to_numpy
from chaffinch.decisions import Decisions, Rows
from chaffinch.errors import DataError
from chaffinch.recipe.control import Control
from chaffinch.stages import sample, token_quotas
from chaffinch.stages.dedup import STORE_TEXTS


def run(
    rows: pa.Table,
    alive: Rows,
    spec: Control,
    seed: int,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Decisions:
    """Keeps as many rows as the recipe says.

    Args:
        rows: the store's table; with the column that `token_quotas.count` adds, where tokens are counted.
        alive: the rows still in, increasing.
        spec: the recipe's `control`.
        seed: the recipe's.
        threads: default all cores. The answer does not depend on it.
        progress: called with the rows read so far.

    Raises:
        DataError: there are fewer rows or tokens than asked for.
    """
    order = sample.order(rows, alive, int(key_of("control", seed)[:16], 16), threads=threads)
    if spec.choose == "longest":
        characters = to_numpy(_core.lengths(rows.select(STORE_TEXTS), "response", threads=threads, progress=progress))
        order = order[np.argsort(-characters[order].astype(np.int64), kind="stable")]
    if spec.rows is not None:
        there, asked, unit, wanted = len(order), spec.rows, "rows", spec.rows
    else:
        assert spec.tokens is not None
        so_far = np.cumsum(token_quotas.of(rows)[order])
        there, asked, unit = int(so_far[-1]) if len(so_far) else 0, spec.tokens, "tokens"
        wanted = int(np.searchsorted(so_far, spec.tokens, side="right"))
    if there < asked:
        raise DataError(f"control: {there:,} {unit} are left, {asked:,} were asked for\nhint: ask for fewer")
    reason = {"random": "not drawn by chance", "longest": "response not among the longest"}[spec.choose]
    return Decisions.because(reason, order[wanted:])
