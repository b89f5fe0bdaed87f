"""Mixtures that a selection is held against: as large, of the same candidates, and chosen without its judgement."""

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from chaffinch.building import build
from chaffinch.errors import DataError
from chaffinch.output import WORK
from chaffinch.progress import Progress
from chaffinch.result import Result

KINDS = ("random", "longest")
# What judges rows, and what draws of them by that.
JUDGING = ("label", "score", "bucket", "sample")


def controls(
    out: str | Path,
    *,
    data: str | Path,
    to: str | Path,
    by: Literal["rows", "tokens"] = "rows",
    threads: int | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> dict[str, Result]:
    """Builds the controls of a finished build: as many random rows, and as many rows with the longest responses.

    The candidates are the rows that its recipe leaves before `label`, `score`, `bucket` and `sample`: bad, unwanted,
    duplicate and contaminated rows are in no control either. What the build has read and decided is not done again.

    Args:
        out: the build's output folder.
        data: the folder that it was built from.
        to: the controls are `to/random` and `to/longest`, output folders as any other.
        by: `rows`: exactly as many rows as it drew; `tokens`: rows that together have at most as many tokens as the
            mixture, of a recipe with `tokenize`.
        threads: default all cores.
        cache: where shards and decisions are kept; `out/.chaffinch` when None.
        progress: told how far each build is.

    Returns:
        By `random` and `longest`, the builds.

    Raises:
        DataError: `out` holds no finished build, its data is another now, it has no tokens to count, or there are fewer
            candidates than rows.
        OSError: a file cannot be read or written.
    """
    made = Result(out)
    recipe = dict(made.summary["recipe"])
    if not any(recipe.get(stage) for stage in JUDGING):
        raise DataError(f"{out} chose nothing by {', '.join(JUDGING)}\nhint: it is all of its candidates: no control")
    drawn = [stage["rows_out"] for stage in made.summary["stages"] if stage["stage"] in JUDGING]
    size = drawn[-1] if by == "rows" else _tokens(made)
    left = {name: value for name, value in recipe.items() if name not in JUDGING}
    found = {}
    for kind in KINDS:
        own = left | {"name": f"{recipe['name']}-{kind}", "control": {"choose": kind, by: size}}
        place = Path(to) / kind
        found[kind] = build(
            own, data=data, out=place, threads=threads, cache=cache or Path(out) / WORK, progress=progress
        )
        if _inputs(found[kind]) != _inputs(made):
            raise DataError(f"{data} is not what {out} was built from, or has changed\nhint: build {out} again")
    return found


def _inputs(result: Result) -> list[tuple[Any, ...]]:
    return [(one["source"], one["file"], one["hash"]) for one in result.summary["inputs"]]


def _tokens(result: Result) -> int:
    if not result.summary["recipe"].get("tokenize"):
        raise DataError(f"{result.out} has no tokens\nhint: a recipe with tokenize: has them, or compare by rows")
    splits = dict.fromkeys(output["split"] for output in result.summary["outputs"])
    columns: list[pa.ChunkedArray] = [result.split(name)["input_ids"] for name in splits]
    return sum(pc.sum(pc.list_value_length(column)).as_py() or 0 for column in columns)
