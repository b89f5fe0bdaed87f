"""Bootstrap intervals: how far a score, or a difference of two, would move with other items."""

import hashlib
from collections.abc import Sequence

import numpy as np

from chaffinch.evaluation.task import Mean

RESAMPLES = 2_000
LEVEL = 0.95
_AT_ONCE = 4_000_000


def bootstrap(
    values: Sequence[float],
    groups: Sequence[str],
    mean: Mean,
    *,
    seed: int = 0,
    name: str = "",
    resamples: int = RESAMPLES,
) -> tuple[float, float]:
    """The percentile interval of 95 % for the mean (Efron 1979).

    Items are drawn with replacement; where the mean is over groups, within each group. Of paired scores the values are
    the differences.

    Args:
        values: one for each item, at least one.
        groups: each item's group.
        mean: as in `mean_score`.
        seed: with `name` it decides the draws.
        name: what is measured, so that two sets are not drawn alike.
        resamples: how many.
    """
    drawn = np.random.default_rng(int.from_bytes(hashlib.blake2b(f"{seed}/{name}".encode(), digest_size=8).digest()))
    parts = [np.asarray(values, np.float64)]
    if mean == "groups":
        # By name, so that the order of the items changes no draw of another group.
        names = np.array(groups)
        parts = [parts[0][names == group] for group in sorted(set(groups))]
    means = np.zeros(resamples)
    for own in parts:
        step = max(1, _AT_ONCE // len(own))
        for start in range(0, resamples, step):
            some = min(step, resamples - start)
            means[start : start + some] += own[drawn.integers(0, len(own), (some, len(own)))].mean(axis=1)
    low, high = np.quantile(means / len(parts), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
