"""What differs between two builds: the rows gained and lost, why, and the recipe keys behind it."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from chaffinch.report.folder import Folder

EXAMPLES = 3
_SCHEMA = pa.schema([(name, pa.string()) for name in ("row_id", "source", "stage", "reason")])


@dataclass(frozen=True)
class Change:
    """A recipe key with its two values; None also where a recipe does not have it."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Difference:
    """Two builds, the second seen from the first.

    Attributes:
        common: rows that both mixtures have.
        gained: rows that only the second has. Columns row_id, source, stage and reason (string): the stage
            and reason that removed the row from the first build; null when that build never had it.
        lost: rows that only the first has, with the stage and reason of the second build.
        recipe: the recipe keys whose values differ, sorted.
    """

    common: int
    gained: pa.Table
    lost: pa.Table
    recipe: list[Change]

    def to_dict(self) -> dict[str, Any]:
        """Counts by source and by stage and reason with a few ids each, as JSON values."""
        return {
            "common": self.common,
            "gained": summary(self.gained),
            "lost": summary(self.lost),
            "recipe": [{"key": change.key, "before": change.before, "after": change.after} for change in self.recipe],
        }


def diff(out_a: str | Path, out_b: str | Path) -> Difference:
    """Compares two finished builds by their rows' ids.

    Args:
        out_a: the output folder of the first build.
        out_b: the output folder of the second.

    Raises:
        DataError: one of the folders holds no finished build, or a damaged one.
    """
    first, second = Folder(out_a), Folder(out_b)
    rows_a, rows_b = _rows(first), _rows(second)
    gained, lost = _without(rows_b, rows_a), _without(rows_a, rows_b)
    return Difference(
        common=len(rows_a) - len(lost),
        gained=_with_reasons(gained, first),
        lost=_with_reasons(lost, second),
        recipe=changes(first.recipe, second.recipe),
    )


def summary(rows: pa.Table) -> dict[str, Any]:
    """Counts of gained or lost rows.

    Args:
        rows: the columns of `Difference.gained`.

    Returns:
        rows, sources (source -> rows, most first) and reasons (a list of stage, reason, rows and up to three
        examples, most first).
    """
    sources = Counter(dict(_counted(rows, ["source"])))
    reasons = []
    for (stage, reason), count in sorted(
        _counted(rows, ["stage", "reason"]), key=lambda item: (-item[1], str(item[0]))
    ):
        same = pc.and_(_same(rows["stage"], stage), _same(rows["reason"], reason))
        examples = rows.filter(same).slice(0, EXAMPLES)["row_id"].to_pylist()
        reasons.append({"stage": stage, "reason": reason, "rows": count, "examples": examples})
    return {"rows": len(rows), "sources": dict(sources.most_common()), "reasons": reasons}


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Change]:
    """The keys whose values differ, dotted as `--set` takes them: list items by `name`, else by number.

    Of what only one of them has, a source or a stage, it is one change and not one for each key below it.
    """
    return sorted(_changes(before, after, ""), key=lambda change: change.key)


def _changes(before: Any, after: Any, key: str) -> Iterator[Change]:
    first, second = _items(before), _items(after)
    if first and second:
        for name in {**first, **second}:
            yield from _changes(first.get(name), second.get(name), f"{key}.{name}" if key else name)
    elif _written(before) != _written(after):
        yield Change(key, before, after)


def _written(value: Any) -> str:
    # As JSON, because 1, 1.0 and true are equal in Python and not in a recipe.
    return json.dumps(value, sort_keys=True)


def _items(value: Any) -> dict[str, Any]:
    """What lies below a key, by name; nothing where the value is one."""
    if isinstance(value, Mapping):
        return {str(name): below for name, below in value.items()}
    if isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        named = all(isinstance(item, Mapping) and item.get("name") is not None for item in value)
        return {str(item["name"] if named else number): item for number, item in enumerate(value)}
    return {}


def _rows(folder: Folder) -> Any:
    schema = pa.schema([_SCHEMA.field("row_id"), _SCHEMA.field("source")])
    return pa.Table.from_batches((batch.cast(schema) for _, batch in folder.mixture(["row_id", "source"])), schema)


def _without(rows: Any, others: Any) -> Any:
    return rows.filter(pc.invert(pc.is_in(rows["row_id"], others["row_id"])))


def _with_reasons(rows: Any, other: Folder) -> pa.Table:
    """Adds why the other build removed each of `rows`: stage and reason, null where it never read them."""
    columns = ["row_id", "stage", "reason"]
    schema = pa.schema([_SCHEMA.field(name) for name in columns])
    wanted = rows["row_id"].combine_chunks()
    found = [schema.empty_table()]
    if len(rows):
        # As a filter of the scan, the set is hashed once and not once for every batch.
        found += [pa.table(batch).cast(schema) for batch in other.ledger(columns, ds.field("row_id").isin(wanted))]
    removed = pa.concat_tables(found)
    where = pc.index_in(rows["row_id"], removed["row_id"].combine_chunks())
    return pa.table(
        [rows["row_id"], rows["source"], removed["stage"].take(where), removed["reason"].take(where)],
        schema=_SCHEMA,
    )


def _counted(rows: pa.Table, names: list[str]) -> list[tuple[Any, int]]:
    counted = rows.group_by(names).aggregate([([], "count_all")]).to_pylist()
    return [
        (row[names[0]] if len(names) == 1 else tuple(row[name] for name in names), row["count_all"]) for row in counted
    ]


def _same(column: Any, value: str | None) -> Any:
    return pc.is_null(column) if value is None else pc.fill_null(pc.equal(column, value), False)
