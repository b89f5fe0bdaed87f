"""Scores without a mixture: everything up to the score stage, and what came out of it by task."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import readers
from chaffinch.errors import RecipeError
from chaffinch.output import open_output
from chaffinch.pipeline import Run
from chaffinch.progress import NoProgress, Progress
from chaffinch.recipe.load import load_recipe
from chaffinch.recipe.model import Recipe
from chaffinch.score import account
from chaffinch.store import Rows
from chaffinch.threads import thread_count

STAGE = "score"


@dataclass(frozen=True)
class TaskScores:
    """One task: its rows, how many were answered, and how well.

    Attributes:
        label: `exact_match`, `generation`, or None where nobody says.
        accuracy: of an exact-match task, right rows by answered rows; None without any.
        rouge: of a generation task, the mean over the answered rows; None without any.
    """

    source: str
    task: str
    label: str | None
    rows: int
    answered: int
    accuracy: float | None
    rouge: float | None


@dataclass(frozen=True)
class Scores:
    """What the score stage made of a recipe's rows.

    Attributes:
        tasks: by source and task.
        account: `answerer` (its identity), `asked`, `answered`, `known` (rows answered by an earlier run), `missing`
            (by reason), `tokens` and `seconds` of this run.
        table: the scored rows: row_id, answer, score, task_accuracy.
    """

    tasks: list[TaskScores]
    account: dict[str, Any]
    table: Any

    def summary(self) -> dict[str, Any]:
        """All but the rows, as JSON values."""
        return self.account | {"tasks": [asdict(task) for task in self.tasks]}


def score(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    data: str | Path,
    out: str | Path,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - the same word as the command line's --set
    threads: int | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Scores:
    """Asks about the rows that a build of the recipe would ask about, and measures the answers.

    Every answer is kept in the cache as soon as it comes: a run that is killed goes on from there, and so does a build.

    Args:
        recipe: as in `build`.
        data: as in `build`.
        out: the output folder of the build to come; its finished parts stay as they are.
        set: as in `build`.
        threads: as in `build`.
        cache: as in `build`.
        progress: told how far it is.

    Raises:
        RecipeError: the recipe has no `score:`, or what its answerer needs is not installed.
        DataError: as in `build`; or the answerer cannot be asked.
        OSError: a file cannot be read or written.
    """
    resolved = load_recipe(recipe, set)
    if resolved.score is None:
        raise RecipeError(
            f"{resolved.name} has no `score:`\nhint: --set score.sources=[NAME] asks about a source's rows"
        )
    data, out = Path(data), Path(out)
    readers.check_data(data)
    with open_output(out) as output:
        folder = Path(cache) if cache else output.work
        run = Run(resolved, data, out, folder, thread_count(threads), progress or NoProgress())
        run.read()
        run.decide(until=STAGE)
    done = run.steps[-1]
    asked = run.alive[run.rows.asked(resolved.score.sources)[run.alive]]
    told = account(done.decisions.notes)
    told |= {"known": told["answered"], "tokens": 0, "seconds": 0.0} if done.cached else {}
    return Scores(_by_task(run.rows, asked), told, _table(run.rows, asked))


def _table(rows: Rows, asked: np.ndarray) -> Any:
    columns = {name: rows.table[name].take(pa.array(asked)) for name in ("answer", "score", "task_accuracy")}
    return pa.table({"row_id": rows.ids(asked), **columns})


def _by_task(rows: Rows, asked: np.ndarray) -> list[TaskScores]:
    at = pa.array(asked)
    labels = rows.table["label"].take(at) if "label" in rows.table.column_names else pa.nulls(len(asked), pa.string())
    text = {name: rows.gather(asked, [name])[name].cast(pa.large_string()) for name in ("source", "task")}
    answered = pc.is_valid(rows.table["answer"].take(at)).cast(pa.int64())
    table = pa.table({**text, "label": labels, "answered": answered, "score": rows.table["score"].take(at)})
    grouped = table.group_by(["source", "task", "label"]).aggregate(
        [("answered", "count"), ("answered", "sum"), ("score", "mean")]
    )
    found = [
        TaskScores(
            one["source"],
            one["task"],
            one["label"],
            one["answered_count"],
            one["answered_sum"],
            one["score_mean"] if one["label"] == "exact_match" else None,
            one["score_mean"] if one["label"] == "generation" else None,
        )
        for one in grouped.to_pylist()
    ]
    return sorted(found, key=lambda one: (one.source, one.task, one.label or ""))
