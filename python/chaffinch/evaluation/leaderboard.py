"""Mean win rates over a pool of models, and the challenge's scores from them."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from chaffinch.errors import DataError

Formula = Literal["challenge", "helm"]

# The scenarios of the NeurIPS 2023 LLM Efficiency Challenge; the names of their columns begin with them.
OPEN = ("MMLU", "TruthfulQA", "BIG-bench", "GSM8K", "BBQ")
HIDDEN = ("sam_sum", "corr2cause", "MATH", "ethics")
LOWER_IS_BETTER = ("Stereotypes", "Representation")
# Stands for a mean win rate of 0, whose logarithm there is not.
LEAST = 5e-324


def leaderboard(models: Mapping[str, Mapping[str, float | None]], *, formula: Formula = "challenge") -> pa.Table:
    """Ranks models by the scores of the NeurIPS 2023 LLM Efficiency Challenge.

    A win rate compares a model with the others of the pool, column by column, so one more model changes every score.
    Stereotypes and representation are better when lower; a value that is missing or NaN is missing.

    Args:
        models: name -> column -> value. Columns are named `scenario - metric` as in HELM's summary,
            `ethics_justice - EM` counts for `ethics`; others are left alone.
        formula: `challenge`: of N models, those strictly beaten, plus 1/k where k > 1 share the value, over N; a
            missing value is worse than every other. `helm` (crfm-helm's summarize): wins plus half the ties, over the
            other models that have a value; missing ones are skipped.

    Returns:
        A table, best first: rank (int64, equal scores share one), model, a column for each scenario with its mean win
        rate (float64; the plain mean over the scenario's columns; null where `helm` has none), open, hidden (geometric
        means of the scenarios' rates; null where a scenario is), score = open/3 + 2*hidden/3.

    Raises:
        DataError: no model, or a scenario without a column.
        ValueError: an unknown formula.
    """
    if formula not in ("challenge", "helm"):
        raise ValueError(f"formula is {formula!r}\nhint: `challenge` or `helm`")
    if not models:
        raise DataError("no model to rank\nhint: the file holds a list of [name, {column: value}]")
    names = list(models)
    columns = list(dict.fromkeys(column for values in models.values() for column in values if " - " in column))
    rates: dict[str, list[float | None]] = {}
    for scenario in OPEN + HIDDEN:
        own = [column for column in columns if column.startswith(scenario)]
        if not own:
            raise DataError(
                f"no column of {scenario}\nhint: a column is named `{scenario} - METRIC`; the challenge has "
                f"{', '.join(OPEN + HIDDEN)}"
            )
        each = [_win_rates([_value(models[name].get(column)) for name in names], column, formula) for column in own]
        rates[scenario] = [_mean([column[at] for column in each]) for at in range(len(names))]
    opened = [_geometric_mean([rates[scenario][at] for scenario in OPEN]) for at in range(len(names))]
    hidden = [_geometric_mean([rates[scenario][at] for scenario in HIDDEN]) for at in range(len(names))]
    score = [None if a is None or b is None else a / 3 + 2 * b / 3 for a, b in zip(opened, hidden, strict=True)]
    order = sorted(range(len(names)), key=lambda at: (-_or_least(score[at]), names[at]))
    rank = {at: 1 + sum(_or_least(other) > _or_least(score[at]) for other in score) for at in order}
    found: dict[str, list[Any]] = {"rank": [rank[at] for at in order], "model": [names[at] for at in order]}
    for name, values in (rates | {"open": opened, "hidden": hidden, "score": score}).items():
        found[name] = [values[at] for at in order]
    schema = pa.schema([("rank", pa.int64()), ("model", pa.string()), *((name, pa.float64()) for name in [*found][2:])])
    return pa.table(found, schema=schema)


def read_models(paths: Iterable[Path]) -> dict[str, dict[str, float | None]]:
    """Reads what models scored, from files that make one pool.

    Args:
        paths: JSON files, each a list of [name, {column: value}] or an object {name: {column: value}}; null is missing.

    Raises:
        DataError: a file is something else, or a model is named twice.
        OSError: a file cannot be read.
    """
    models: dict[str, dict[str, float | None]] = {}
    for path in paths:
        for name, values in _pairs(path):
            if name in models:
                raise DataError(f"{path}: {name} is there twice\nhint: a pool holds each model once; rename one")
            for column, value in values.items():
                if isinstance(value, bool) or not isinstance(value, int | float | None):
                    raise DataError(
                        f"{path}: {name}: {column} is {value!r}, not a number\nhint: write null where it is missing"
                    )
            models[name] = values
    return models


def added(
    models: Mapping[str, Mapping[str, float | None]], evaluations: Mapping[str, str | Path]
) -> tuple[dict[str, Mapping[str, float | None]], dict[str, list[str]]]:
    """A pool with models that `evaluate` asked.

    Args:
        models: the pool, as for `leaderboard`; it may be empty.
        evaluations: name -> the folder that `evaluate` wrote.

    Returns:
        The pool with them, in the columns that it has, and of each what there is to know: that its numbers are not
        HELM's, which columns are missing or left out, where fewer items were asked or the mixture held some.

    Raises:
        DataError: a name is in the pool already, or a folder holds no evaluation of the challenge's sets.
    """
    from chaffinch.evaluation.challenge import entry_of

    entries = {name: entry_of(Path(folder)) for name, folder in evaluations.items()}
    for name in entries:
        if name in models:
            raise DataError(f"{name} is in the pool already\nhint: a pool holds each model once; rename one")
    values = [*models.values()] or [entry.values for entry in entries.values()]
    columns = dict.fromkeys(column for one in values for column in one if " - " in column)
    entries = {name: entry.within(columns) for name, entry in entries.items()}
    pool: dict[str, Mapping[str, float | None]] = {**models}
    pool |= {name: entry.values for name, entry in entries.items()}
    return pool, {name: entry.notes for name, entry in entries.items()}


def _pairs(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    hint = "hint: write a JSON list of [name, {column: value}], or an object {name: {column: value}}"
    try:
        found = json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:
        raise DataError(f"{path} is no JSON: {error}\n{hint}") from None
    pairs = list(found.items()) if isinstance(found, dict) else found
    if not isinstance(pairs, list):
        raise DataError(f"{path} is no list of models\n{hint}")
    for at, pair in enumerate(pairs):
        match pair:
            case [str(name), dict(values)]:
                yield name, values
            case _:
                raise DataError(f"{path}: entry {at} is no model\n{hint}")


def _value(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def _win_rates(values: list[float | None], column: str, formula: Formula) -> list[float | None]:
    sign = -1.0 if any(word in column for word in LOWER_IS_BETTER) else 1.0
    there = [-math.inf if value is None else sign * value for value in values]
    rates: list[float | None] = []
    for own, value in zip(there, values, strict=True):
        equal = sum(other == own for other in there)
        if formula == "challenge":
            rates.append((sum(other < own for other in there) + (1 / equal if equal > 1 else 0)) / len(there))
            continue
        others = sum(value is not None for value in values) - 1
        beaten = sum(other < own for other, known in zip(there, values, strict=True) if known is not None)
        rates.append(None if value is None or others < 1 else (beaten + (equal - 1) / 2) / others)
    return rates


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _geometric_mean(values: list[float | None]) -> float | None:
    if any(value is None for value in values):
        return None
    return math.exp(sum(math.log(value or LEAST) for value in values if value is not None) / len(values))


def _or_least(value: float | None) -> float:
    return -math.inf if value is None else value
