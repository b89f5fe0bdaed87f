"""Models side by side: the differences to one of them, item by item, with bootstrap intervals."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from chaffinch.cache import atomic_path
from chaffinch.errors import DataError
from chaffinch.evaluation.intervals import bootstrap
from chaffinch.evaluation.measuring import NAMES, PLAIN
from chaffinch.evaluation.run import ITEMS, RESULTS
from chaffinch.evaluation.task import mean_score
from chaffinch.files import write_table
from chaffinch.report.html import environment

# As the documents name what a selection is held against.
CONTROLS = ("base", "random", "longest")
# What else scores depend on, and what sets it; the seed is no matter where nothing is varied.
DEPENDS = {"judge": "--judge-model", "lists": "--lists", "seed": "--seed"}

SCHEMA = pa.schema(
    [
        pa.field("set", pa.string()),
        pa.field("protocol", pa.string()),
        pa.field("shots", pa.int64()),
        pa.field("variant", pa.string()),
        pa.field("metric", pa.string()),
        pa.field("model", pa.string()),
        pa.field("standing", pa.string()),
        pa.field("items", pa.int64()),
        pa.field("score", pa.float64()),
        pa.field("difference", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("differs", pa.bool_()),
    ]
)


def compare(evaluations: Mapping[str, str | Path], *, against: str | None = None, seed: int = 0) -> pa.Table:
    """Compares evaluations with one of them.

    A claim that a selection of rows is good needs the base model, a model trained on as many random rows and one
    trained on as many of the longest responses beside it: without them a gain may come from any training at all.

    Args:
        evaluations: name -> the folder that `evaluate` wrote: at least two, with the same items.
        against: the one that the others are compared with; default the first.
        seed: of the bootstrap.

    Returns:
        A table, a row for each set, shot number, variant and metric that all of them have, and each model: set,
        protocol, shots, variant, metric, model, standing (to the model's mixture), items, score, difference (to
        `against`; null of itself), low and high (paired bootstrap, 95 %, 2,000 draws), differs (0 is not between).

    Raises:
        DataError: a folder holds no evaluation, the items or the data of a set differ, or they have nothing in common.
        ValueError: fewer than two evaluations, or `against` is none of them.
    """
    names = list(evaluations)
    base = names[0] if against is None and names else against
    if len(names) < 2 or base not in names:
        raise ValueError(
            f"{against!r} among {names}\nhint: name at least two evaluations and one of them to compare with"
        )
    lines = {name: lines_of(Path(folder)) for name, folder in evaluations.items()}
    items = {name: _items(Path(folder)) for name, folder in evaluations.items()}
    common = [key for key in lines[base] if all(key in own for own in lines.values())]
    if not common:
        raise DataError(f"{', '.join(names)} have no set in common\nhint: evaluate them with the same --suite")
    rows = []
    for key in common:
        if len({own[key]["data"] for own in lines.values()}) > 1:
            raise DataError(f"{key[0]}: the evaluations read different data\nhint: evaluate them with the same --data")
        for name, option in DEPENDS.items():
            if (name != "seed" or key[3] != PLAIN) and len({own[key].get(name) for own in lines.values()}) > 1:
                raise DataError(
                    f"{key[0]}, {key[3]}: the evaluations differ in their {name}\n"
                    f"hint: evaluate them with the same {option}"
                )
        first = items[base][key]
        for name in [base, *(name for name in names if name != base)]:
            line, own = lines[name][key], items[name][key]
            row = dict(zip(NAMES, key, strict=True)) | {"model": name, "standing": line["standing"]}
            row |= {"items": line["items"], "score": line["score"]}
            if name != base:
                row |= _difference(key, first, own, line["mean"], seed)
            rows.append(row)
    return pa.Table.from_pylist(rows, schema=SCHEMA)


def controls(names: Sequence[str]) -> str | None:
    """What is said where some of the controls are not among the models; None where all are there, by these names."""
    missing = [name for name in CONTROLS if name not in names]
    if not missing:
        return None
    return f"No model is named {', '.join(missing)}: without these controls a gain may come from any training at all."


def _difference(
    key: tuple[Any, ...],
    first: Mapping[str, tuple[str, float]],
    own: Mapping[str, tuple[str, float]],
    mean: Any,
    seed: int,
) -> dict[str, Any]:
    if first.keys() != own.keys():
        raise DataError(
            f"{key[0]}: {len(first.keys() ^ own.keys()):,} items were asked of one model alone\n"
            "hint: evaluate them with the same --limit"
        )
    ids = sorted(first)
    groups = [first[id_][0] for id_ in ids]
    differences = [own[id_][1] - first[id_][1] for id_ in ids]
    low, high = bootstrap(differences, groups, mean, seed=seed, name="/".join(map(str, key)))
    found = mean_score(differences, groups, mean)
    return {"difference": found, "low": low, "high": high, "differs": not low <= 0 <= high}


def lines_of(folder: Path) -> dict[tuple[Any, ...], dict[str, Any]]:
    """The lines of an evaluation's table, by what tells them apart.

    Raises:
        DataError: the folder holds no evaluation.
    """
    path = folder / RESULTS
    try:
        lines = json.loads(path.read_text("utf-8"))["results"]
        return {tuple(line[name] for name in NAMES): line for line in lines}
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        raise DataError(
            f"{folder} holds no evaluation\nhint: give the folder that `chaffinch evaluate` wrote"
        ) from None


def _items(folder: Path) -> dict[tuple[Any, ...], dict[str, tuple[str, float]]]:
    """By line, item -> group and score."""
    try:
        table = pq.read_table(folder / ITEMS, columns=[*NAMES, "item", "group", "score"])
    except (FileNotFoundError, pa.ArrowException) as error:
        raise DataError(f"{folder}: {error}\nhint: evaluate again") from None
    found: dict[tuple[Any, ...], dict[str, tuple[str, float]]] = {}
    for row in table.to_pylist():
        own = found.setdefault(tuple(row[name] for name in NAMES), {})
        own[row["item"]] = (row["group"], row["score"])
    return found


def write(table: pa.Table, path: Path) -> None:
    """Writes a comparison as a page, or in the format of another suffix.

    Raises:
        DataError: a suffix that is not known.
        OSError: the file cannot be written.
    """
    if path.suffix != ".html":
        write_table(table, path)
        return
    rows = table.to_pylist()
    template = environment(Path(__file__).parent).get_template("comparison.html.jinja")
    names = list(dict.fromkeys(row["model"] for row in rows))
    page = template.render(rows=rows, names=names, controls=controls(names))
    with atomic_path(path) as temporary:
        temporary.write_text(page, "utf-8")
