"""How many rows of each stratum, and which: exact quotas, rows drawn by their content and the seed alone."""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_arrow, to_labels, to_numpy, to_texts
from chaffinch.decisions import Decisions, Rows
from chaffinch.errors import DataError, RecipeError
from chaffinch.recipe.clean import Limits
from chaffinch.recipe.sample import Method, Sample, Shortfall
from chaffinch.stages import bounds, token_quotas
from chaffinch.stages.strata import NO_VALUE, first_shuffled, matching, strata, summed


def allocate(
    available: Mapping[str, int],
    *,
    rows: int | None = None,
    counts: Mapping[str, int] | None = None,
    fraction: float | Mapping[str, float] | None = None,
    method: Method = "proportional",
    cap: int | None = None,
    temperature: float | None = None,
    weights: Mapping[str, float] | None = None,
    min_each: int | None = None,
    max_each: int | None = None,
    shortfall: Shortfall = "error",
) -> pa.Table:
    """Decides how many rows to draw from each stratum, in whole numbers that meet the total exactly.

    Exactly one of `rows`, `counts` and `fraction` is given. Shares are rounded by largest remainder; ties go
    to the stratum whose name comes first. What a stratum lacks is, by `shortfall`, an error, drawn from the
    others in proportion to the same weights, or left missing.

    Args:
        available: rows that each stratum has.
        rows: a total, shared out by `method`.
        counts: rows asked of each stratum; a stratum not named gives none.
        fraction: share of each stratum's rows, one for all or one each; their sum is rounded to the nearest
            whole number, half up.
        method: `proportional` to the rows available, `temperature` (the same to the power of 1/temperature),
            `weights`, or `equal`.
        cap: rows beyond which a stratum weighs no more, for the first two methods.
        temperature: at least 1.
        weights: one for each stratum; one not named has none.
        min_each: of a total, rows of each stratum at least, or all it has (`stages.bounds`).
        max_each: of a total, rows of each stratum at most; the others give what it may not.
        shortfall: `error`, `redistribute` or `accept`.

    Returns:
        A table (stratum: string, available, asked, taken, shortfall: uint64) in the order of names.

    Raises:
        ValueError: a fraction where a number of rows belongs, or the other way round; numbers outside their
            range.
        DataError: the rows there are do not suffice.

    Examples:
        >>> allocate({"a": 10, "b": 30}, rows=8)["taken"].to_pylist()
        [2, 6]
    """
    for label, number in available.items():
        _whole(number, f"available[{label!r}]")
    names = sorted(set(available) | set(counts or {}), key=str.encode)
    there = [available.get(name, 0) for name in names]
    fractions: list[float] | None = None
    if isinstance(fraction, Mapping):
        fractions = [_share(fraction.get(name, 0.0), f"fraction[{name!r}]") for name in names]
    elif fraction is not None:
        fractions = [_share(fraction, "fraction")] * len(names)
    if min_each is not None or max_each is not None:
        if rows is None:
            raise ValueError("min_each and max_each go with rows, a total")
        level = bounds.levels(available, method, cap, temperature, weights)
        least = 0 if min_each is None else _whole(min_each, "min_each")
        most = None if max_each is None else _whole(max_each, "max_each")
        given = bounds.within(available, _whole(rows, "rows"), level, least, most, shortfall, _by_weights)
        return _table(names, there, [given[name][0] for name in names], [given[name][1] for name in names])
    asked, taken = _core.allocate(
        names,
        there,
        counts=None if counts is None else [_whole(counts.get(name, 0), f"counts[{name!r}]") for name in names],
        fractions=fractions,
        rows=None if rows is None else _whole(rows, "rows"),
        method=method,
        weights=None if weights is None else [float(weights.get(name, 0)) for name in names],
        cap=None if cap is None else _whole(cap, "cap"),
        temperature=temperature,
        shortfall=shortfall,
    )
    return _table(names, there, asked, taken)


def _table(names: list[str], there: list[int], asked: list[int], taken: list[int]) -> pa.Table:
    missing = [max(wanted - given, 0) for wanted, given in zip(asked, taken, strict=True)]
    columns = {"available": there, "asked": asked, "taken": taken, "shortfall": missing}
    return pa.table(
        {"stratum": pa.array(names, pa.string())}
        | {name: pa.array(numbers, pa.uint64()) for name, numbers in columns.items()}
    )


def _by_weights(
    available: Mapping[str, int], rows: int, weights: Mapping[str, float], shortfall: Shortfall
) -> pa.Table:
    return allocate(available, rows=rows, method="weights", weights=weights, shortfall=shortfall)


def sample(
    strata: Any,
    quotas: Mapping[str, int],
    *,
    seed: int,
    keys: Any = None,
    shortfall: Shortfall = "error",
    threads: int | None = None,
) -> pa.Table:
    """Draws exactly so many rows of each stratum, without replacement.

    Within a stratum the rows whose keys come first in an order that the seed decides are drawn. So a draw
    depends on nothing outside its stratum, and a smaller quota draws a part of what a larger one draws.

    Args:
        strata: a column of labels, one per row.
        quotas: label -> rows to draw; strata not named give none. A null label is named None.
        seed: from 0 to 2^64 - 1.
        keys: what tells rows apart: content hashes (`fixed_size_binary[16]`), texts or whole numbers. Equal
            keys fall to the first row. Default is the row number, which makes the draw depend on the order of
            rows.
        shortfall: where a stratum has fewer rows: `error`, `redistribute` (in proportion to the quotas) or
            `accept`.
        threads: default all cores. The answer does not depend on it.

    Returns:
        A table (row: uint32, stratum: dictionary of string) in an order that the seed decides, strata mixed.

    Raises:
        ValueError: a quota that is no whole number, labels that are no text, or keys of another length.
        DataError: a stratum has too few rows.

    Examples:
        >>> sample(["a", "a", "b"], {"a": 1, "b": 1}, seed=0, keys=["x", "y", "z"]).num_rows
        2
    """
    codes, tuples, counts = _core.factorize(to_labels(strata, "strata"), threads=threads)
    labels: list[str | None] = pa.table(tuples)["strata"].to_pylist()
    if None in labels and NO_VALUE in labels and None in quotas:
        raise ValueError(f"strata has nulls and {NO_VALUE!r}\nhint: give the nulls a label of their own")
    names = [NO_VALUE if label is None else label for label in labels]
    have = dict(zip(labels, pa.table(counts)["rows"].to_pylist(), strict=True))
    wanted = {
        NO_VALUE if label is None else label: _whole(rows, f"quotas[{label!r}]") for label, rows in quotas.items()
    }
    there = {NO_VALUE if label is None else label: have.get(label, 0) for label in quotas}
    taken = _taken(allocate(there, counts=wanted, shortfall=shortfall))
    quota = np.array(
        [taken.get(name, 0) if label in quotas else 0 for label, name in zip(labels, names, strict=True)],
        np.uint64,
    )
    key_column = None if keys is None else _keys(keys, sum(have.values()))
    picks = pa.table(
        _core.select(
            codes,
            pa.array(quota),
            seed=_seed(seed),
            available=pa.table(counts)["rows"].combine_chunks(),
            keys=key_column,
            threads=threads,
        )
    )
    index = pa.array(to_numpy(picks["stratum"]).view(np.int32))
    stratum = pa.DictionaryArray.from_arrays(index, pa.array(labels, pa.string()), safe=False)
    return pa.table({"row": picks["row"], "stratum": stratum})


def run(
    rows: pa.Table,
    alive: Rows,
    spec: Sequence[Sample],
    seed: int,
    *,
    limits: Callable[[pa.Table, Rows, Limits], Decisions] | None = None,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> tuple[Decisions, pa.Table]:
    """Draws rows, step by step.

    Args:
        rows: the store's table; a step's `by` and `where` may name any of its text columns, and its column `tokens` is
            what `tokens` are counted in.
        alive: the rows still in, increasing.
        spec: the recipe's steps; a later one sees what the earlier ones left.
        seed: the recipe's seed.
        limits: from rows, row numbers and a step's `limits` to the removal of those beyond them.
        threads: default all cores.
        progress: called with the rows done so far.

    Returns:
        The decisions (reasons `over quota`, `stratum not wanted` and those of the limits), and a report: step (from
        1), stratum, available, asked, taken, shortfall, summed over what a step is done within.

    Raises:
        RecipeError: a step names a column or a stratum that is not there.
        DataError: a stratum has too few rows.
    """
    parts: list[Decisions] = []
    reports: list[pa.Table] = []
    for number, step in enumerate(spec, 1):
        decisions, report = _draw(rows, alive, step, number, seed, limits, threads, progress)
        alive = decisions.kept(alive)
        parts.append(decisions)
        reports.append(report.add_column(0, "step", pa.array([number] * len(report), pa.uint32())))
    empty = pa.schema(
        [("step", pa.uint32()), ("stratum", pa.string())]
        + [(name, pa.uint64()) for name in ("available", "asked", "taken", "shortfall")]
    )
    return Decisions.join(parts), pa.concat_tables(reports) if reports else empty.empty_table()


def order(rows: pa.Table, chosen: Rows, seed: int, *, threads: int | None = None) -> Rows:
    """The chosen rows in the order of their places: a shuffle that content and seed decide."""
    one_stratum = pa.array(np.zeros(len(chosen), np.uint32))
    quota = pa.array(np.array([len(chosen)], np.uint64))
    picks = _core.select(
        one_stratum,
        quota,
        seed=_seed(seed),
        rows=pa.array(chosen),
        keys=rows["content_hash"],
        identity=rows["row_hash"],
        threads=threads,
    )
    return to_numpy(pa.table(picks)["row"])


def _draw(
    rows: pa.Table,
    alive: Rows,
    step: Sample,
    number: int,
    seed: int,
    limits: Callable[[pa.Table, Rows, Limits], Decisions] | None,
    threads: int | None,
    progress: Callable[[int], object] | None,
) -> tuple[Decisions, pa.Table]:
    where = f"sample, step {number}"
    missing = [name for name in [*step.by, *step.per, *step.where] if name not in rows.column_names]
    if missing:
        raise RecipeError(f"{where}: no column {missing[0]!r}\nhint: choose from {', '.join(rows.column_names)}")
    rows_in = matching(rows, alive, step.where, threads)
    found = strata(rows, step.by, step.per, where, threads)
    code = found.codes[rows_in]
    counts = np.bincount(code, minlength=len(found.labels))
    # What quotas are in: rows, or the tokens of each.
    units = None if step.tokens is None else token_quotas.of(rows)
    there = counts if units is None else token_quotas.sums(code, units[rows_in], len(found.labels))
    quota = np.zeros(len(found.labels), np.int64)
    is_wanted = np.zeros(len(found.labels), bool)
    reports: list[tuple[pa.Table, dict[str, int]]] = []
    # Without `per` there is one group; it is there even when no row is.
    for within, members in (found.groups if step.per else {"": [*range(len(found.labels))]}).items():
        present = {found.labels[at]: int(there[at]) for at in members if counts[at] > 0}
        if step.per and not present:
            continue
        wanted, untouched = _wanted(step, present, where)
        wanted = wanted & set(present) if step.per else wanted
        try:
            report = _quotas(step, {label: present.get(label, 0) for label in wanted})
        except DataError as error:
            told = str(error) if units is None else re.sub(r"(\d) rows", r"\1 tokens", str(error))
            raise DataError(f"{where}{f', {within}' if step.per else ''}: {told}") from error
        taken = _taken(report)
        for at in members:
            label = found.labels[at]
            quota[at] = there[at] + (units is not None) if label in untouched else taken.get(label, 0)
            is_wanted[at] = label in wanted
        reports.append((report, {found.labels[at]: at for at in members}))
    if step.order == "cpython":
        chosen = first_shuffled(rows_in, code, quota, _seed(seed))
    else:
        picks = pa.table(
            _core.select(
                pa.array(code),
                pa.array((quota if units is None else counts).astype(np.uint64)),
                seed=_seed(seed),
                available=pa.array(counts.astype(np.uint64)),
                rows=pa.array(rows_in),
                keys=rows["content_hash"],
                identity=rows["row_hash"],
                threads=threads,
                progress=progress,
            )
        )
        chosen = to_numpy(picks["row"])
        if units is not None:
            chosen, used = token_quotas.within(chosen, to_numpy(picks["stratum"]), units[chosen], quota)
            reports = [(_with_taken(report, used, places), places) for report, places in reports]
    drawn = np.zeros(len(rows), bool)
    drawn[chosen] = True
    goes = ~drawn[rows_in]
    reason = np.where(is_wanted[code[goes]], 0, 1).astype(np.uint16)
    decisions = Decisions(rows_in[goes], reason, ["over quota", "stratum not wanted"])
    if limits is not None and step.limits != Limits():
        decisions = Decisions.join([decisions, limits(rows, rows_in[~goes & is_wanted[code]], step.limits)])
    return decisions, summed([report for report, _ in reports] or [allocate({}, counts={})])


def _with_taken(report: pa.Table, used: Any, places: Mapping[str, int]) -> pa.Table:
    """The report with the tokens of the rows that were taken."""
    taken = [int(used[places[label]]) if label in places else 0 for label in report["stratum"].to_pylist()]
    return report.set_column(report.schema.get_field_index("taken"), "taken", pa.array(taken, pa.uint64()))


def _wanted(step: Sample, present: Mapping[str, int], where: str) -> tuple[set[str], set[str]]:
    """The strata that the step decides about, and those it passes over."""
    either = (step.rows, step.weights, step.fraction, step.tokens)
    named = next((one for one in either if isinstance(one, dict) and one), None)
    if named is None:
        return set(present), set()
    others = sorted(set(present) - set(named))
    if others and step.others == "error":
        raise RecipeError(
            f"{where}: no quota for {', '.join(others[:5])}{' ...' if len(others) > 5 else ''}\n"
            "hint: name every stratum, or set others to drop or keep"
        )
    return set(named), set(others) if step.others == "keep" else set()


def _quotas(step: Sample, present: Mapping[str, int]) -> pa.Table:
    each = step.tokens if isinstance(step.tokens, dict) else step.rows
    if each is not None:
        counts = {label: asked for label, asked in each.items() if label in present}
        return allocate(present, counts=counts, shortfall=step.shortfall)
    if step.rows_each is not None:
        return allocate(present, counts=dict.fromkeys(present, step.rows_each), shortfall=step.shortfall)
    if step.fraction is not None and step.rounding == "floor":
        one = step.fraction
        shares = one if isinstance(one, dict) else dict.fromkeys(present, one)
        # Binary floating point on purpose: this is what scripts do.
        floors = {label: math.floor(shares.get(label, 0.0) * count) for label, count in present.items()}
        return allocate(present, counts=floors)
    if step.fraction is not None:
        return allocate(present, fraction=step.fraction, shortfall=step.shortfall)
    return allocate(
        present,
        rows=step.tokens if isinstance(step.tokens, int) else step.total,
        method=step.method,
        cap=step.cap,
        temperature=step.temperature,
        weights=step.weights,
        min_each=step.min_each,
        max_each=step.max_each,
        shortfall=step.shortfall,
    )


def _taken(report: pa.Table) -> dict[str, int]:
    return dict(zip(report["stratum"].to_pylist(), report["taken"].to_pylist(), strict=True))


def _keys(keys: Any, rows: int) -> pa.ChunkedArray:
    column = to_arrow(keys, "keys")
    if len(column) != rows:
        raise ValueError(f"keys has {len(column)} rows and strata has {rows}")
    if column.null_count > 0:
        raise ValueError(f"keys has {column.null_count} nulls\nhint: give every row a key, or draw by row number")
    is_hash = pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == 16
    return column if is_hash or pa.types.is_integer(column.type) else to_texts(column, "keys")["keys"]


def _seed(seed: int) -> int:
    if isinstance(seed, bool) or not isinstance(seed, int) or not 0 <= seed < 2**64:
        raise ValueError(f"seed is {seed!r}, expected a whole number from 0 to 2^64 - 1")
    return seed


def _whole(value: object, name: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ValueError(
            f"{name} is {value!r}, not a whole number of rows\n"
            "hint: 1 and 1.0 are different things; for a share of the rows use cf.allocate(..., fraction=)"
        )
    if not 0 <= value < 2**64:
        raise ValueError(f"{name} is {value}, expected at least 0 and less than 2^64")
    return int(value)


def _share(value: object, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, float):
        raise ValueError(
            f"{name} is {value!r}, not a fraction\nhint: write 1.0 for all; a number of rows goes in counts"
        )
    return value
