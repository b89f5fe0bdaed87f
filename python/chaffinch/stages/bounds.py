"""Totals shared out with a least and a most for each stratum, as OPT-IML and FLAN draw from their tasks."""

from collections.abc import Callable, Mapping

import pyarrow as pa

from chaffinch.errors import DataError
from chaffinch.recipe.sample import Method, Shortfall

Share = Callable[[Mapping[str, int], int, Mapping[str, float], Shortfall], pa.Table]


def levels(
    available: Mapping[str, int],
    method: Method,
    cap: int | None,
    temperature: float | None,
    weights: Mapping[str, float] | None,
) -> dict[str, float]:
    """What each stratum weighs by `stages.sample.allocate`'s methods."""
    if method == "equal":
        return dict.fromkeys(available, 1.0)
    if method == "weights":
        return {name: float((weights or {}).get(name, 0.0)) for name in available}
    power = 1 / temperature if method == "temperature" and temperature else 1.0
    return {name: float((count if cap is None else min(count, cap)) ** power) for name, count in available.items()}


def within(
    available: Mapping[str, int],
    rows: int,
    weights: Mapping[str, float],
    least: int,
    most: int | None,
    shortfall: Shortfall,
    share: Share,
) -> dict[str, tuple[int, int]]:
    """Rows asked and taken of each stratum, so that they are `rows` together.

    Of stratum i is taken clamp(level * weight_i, least, most), with the one level that makes the sum: what is under the
    least is raised to it and set aside until nothing is, which lowers the level for the others. A stratum that has
    fewer rows than the least gives all it has, and what one may not or cannot give is drawn from the others.

    Args:
        available: rows that each stratum has.
        rows: their sum.
        weights: one for each stratum.
        least: rows of each stratum at least.
        most: rows of each stratum at most; None for all it has.
        shortfall: `error` and `redistribute` fail where the strata cannot give so many, `accept` takes all they may.
        share: shares out a number of rows by weights over strata that have so many, by largest remainder.

    Raises:
        DataError: the least of all is more than the total, or the strata cannot give it.
    """
    highest = {name: count if most is None else min(count, most) for name, count in available.items()}
    lowest = {name: min(least, count) for name, count in highest.items()}
    if sum(highest.values()) < rows:
        if shortfall != "accept":
            raise DataError(
                f"{rows:,} rows are asked and {sum(highest.values()):,} are there within max_each\n"
                "hint: ask for fewer, raise max_each, or set shortfall to accept"
            )
        asked = _column(share(highest, rows, weights, "accept"), "asked")
        return {name: (max(asked[name], count), count) for name, count in highest.items()}
    together = sum(lowest.values())
    if together > rows:
        raise DataError(
            f"min_each={least:,} of {len(lowest):,} strata is {together:,} rows, more than the total of {rows:,}\n"
            "hint: lower min_each or raise the total"
        )
    taken: dict[str, int] = {}
    while True:
        rest = {name: count for name, count in highest.items() if name not in taken}
        found = _column(share(rest, rows - sum(taken.values()), weights, "redistribute"), "taken") if rest else {}
        low = [name for name, count in found.items() if count < lowest[name]]
        if not low:
            return {name: (count, count) for name, count in (taken | found).items()}
        taken |= {name: lowest[name] for name in low}


def _column(table: pa.Table, name: str) -> dict[str, int]:
    return dict(zip(table["stratum"].to_pylist(), table[name].to_pylist(), strict=True))
