"""Which stratum each row of a sampling step is in, and CPython's own order of the rows in one."""

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_numpy
from chaffinch.decisions import Rows
from chaffinch.errors import RecipeError

NO_VALUE = "none"


@dataclass(frozen=True)
class Strata:
    """The strata of a step.

    Attributes:
        codes: uint32, every row's stratum.
        labels: by stratum, the values of the columns that quotas name, joined by "/".
        groups: by value of the columns that the step is done within (joined for messages), its strata, in order.
    """

    codes: npt.NDArray[np.uint32]
    labels: list[str]
    groups: dict[str, list[int]]


def strata(rows: pa.Table, by: list[str], per: list[str], where: str, threads: int | None) -> Strata:
    """The strata of all rows, in the order of the values of `per` and then of `by`.

    Raises:
        RecipeError: two strata that differ have one label.
    """
    codes, tuples, _ = _core.factorize(rows.select([*per, *by]), threads=threads)
    table = pa.table(tuples)
    values = list(zip(*(column.to_pylist() for column in table.columns), strict=True))
    labels: list[str] = []
    groups: defaultdict[tuple[str | None, ...], list[int]] = defaultdict(list)
    meant: dict[str, tuple[str | None, ...]] = {}
    for stratum, value in enumerate(values):
        within, named = value[: len(per)], value[len(per) :]
        label = "/".join(NO_VALUE if part is None else part for part in named)
        if meant.setdefault(label, named) != named:
            raise RecipeError(
                f"{where}: two strata are both called {label!r}\nhint: sample by fewer columns, or rename a value"
            )
        labels.append(label)
        groups[within].append(stratum)
    joined = {"/".join(NO_VALUE if part is None else part for part in within): of for within, of in groups.items()}
    if len(joined) < len(groups):
        raise RecipeError(f"{where}: `per:` has values that read alike\nhint: sample per fewer columns")
    return Strata(to_numpy(codes), labels, joined)


def first_shuffled(rows: Rows, code: npt.NDArray[np.uint32], quota: npt.NDArray[np.int64], seed: int) -> Rows:
    """The first `quota[stratum]` rows of each stratum after `random.Random(seed).shuffle` of its rows, in any order.

    One generator shuffles the strata one after the other, in the order of their codes, each from the order of `rows`.
    """
    generator = random.Random(seed)
    order = np.argsort(code, kind="stable")
    ends = np.cumsum(np.bincount(code, minlength=len(quota)))
    drawn = []
    for start, end, wanted in zip([0, *ends.tolist()], ends.tolist(), quota.tolist(), strict=False):
        shuffled = rows[order[start:end]].tolist()
        generator.shuffle(shuffled)
        drawn += shuffled[:wanted]
    return np.array(drawn, np.uint32)


def matching(rows: pa.Table, alive: Rows, where: Mapping[str, Sequence[str]], threads: int | None) -> Rows:
    """The rows of `alive` that have, in each column of `where`, one of its values."""
    for column, values in where.items():
        codes, tuples, _ = _core.factorize(rows.select([column]), threads=threads)
        fits = np.array([label in values for label in pa.table(tuples)[column].to_pylist()], bool)
        alive = alive[fits[to_numpy(codes)[alive]]] if len(alive) else alive
    return alive


def summed(reports: list[pa.Table]) -> pa.Table:
    """One line for each stratum: the sums over what a step was done within."""
    if len(reports) == 1:
        return reports[0]
    names = ["available", "asked", "taken", "shortfall"]
    sums = pa.concat_tables(reports).group_by("stratum", use_threads=False)
    table = sums.aggregate([(name, "sum") for name in names]).sort_by("stratum")
    return table.rename_columns(["stratum", *names])
