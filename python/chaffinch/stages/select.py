"""select: rows by task, category, language, licence, or a field of the source's own."""

import re
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.columns import to_numpy
from chaffinch.decisions import Decisions
from chaffinch.errors import RecipeError
from chaffinch.readers import check_inside
from chaffinch.recipe.select import SelectStep, TaskFile
from chaffinch.store import Rows, hash_file

COLUMNS = ["source", "task", "category", "language", "licence"]


def run(rows: Rows, alive: np.ndarray, steps: list[SelectStep], data: Path, *, threads: int | None = None) -> Decisions:
    """Removes the rows that do not meet every condition of every step that applies to their source.

    The first failed condition is the reason. Where a row has several categories or licences (joined by `; `), one of
    them is enough to be selected; of its languages (`in>out`, each perhaps several), all must be. One that is excluded
    is enough to go. Case does not matter there. Task names are exact or globs.

    Args:
        rows: the store.
        alive: sorted uint32 row numbers still in.
        steps: the recipe's `select`.
        data: folder that holds the files named by `tasks: {file: ...}`.
        threads: default all cores.

    Raises:
        RecipeError: a task file that does not exist or is empty.
    """
    reasons: list[str] = []
    codes, distinct = _distinct(rows, threads)
    verdict = np.full(len(alive), -1, np.int32)
    for step in steps:
        tasks, not_tasks = _names(step.tasks, data), _names(step.not_tasks, data)
        by_value = np.array([_code(_reason(values, step, tasks, not_tasks), reasons) for values in distinct], np.int32)
        fresh = verdict < 0
        if len(by_value):
            verdict[fresh] = by_value[codes[alive[fresh]]]
        for field, values in step.where.items():
            _apply_where(rows, alive, step.sources, field, values, verdict, reasons)
    out = verdict >= 0
    chosen = [distinct[code] for code in np.unique(codes[alive[~out]]).tolist()]
    there = [distinct[code] for code in np.unique(codes[alive]).tolist()]
    notes: dict[str, int | float | str] = {}
    for step in steps:
        if step.compare is not None and (data / step.compare.file).is_file():
            notes = _compared(step, chosen, there, data)
    return Decisions(alive[out], verdict[out].astype(np.uint16), reasons, notes=notes)


def _compared(
    step: SelectStep, chosen: list[tuple[str | None, ...]], there: list[tuple[str | None, ...]], data: Path
) -> dict[str, int | float | str]:
    """How well the tasks chosen agree with a list, among the tasks that are there."""
    assert step.compare is not None
    listed = _names(step.compare, data)
    tasks, present = (
        {value[1] for value in values if step.sources is None or value[0] in step.sources} for values in (chosen, there)
    )
    assert listed is not None
    agreed, possible = (sum(listed.match(task) for task in some) for some in (tasks, present))
    return {
        "tasks chosen": len(tasks),
        "of these listed": agreed,
        "listed tasks in the data": possible,
        "precision": round(agreed / len(tasks), 4) if tasks else 0.0,
        "recall": round(agreed / possible, 4) if possible else 0.0,
        "list": step.compare.file,
    }


def _distinct(rows: Rows, threads: int | None) -> tuple[np.ndarray, list[tuple[str | None, ...]]]:
    codes, distinct, _ = _core.factorize(rows.table.select(COLUMNS), threads=threads)
    columns = [column.to_pylist() for column in pa.table(distinct).columns]
    return to_numpy(codes), list(zip(*columns, strict=True))


def check_task_lists(steps: list[SelectStep], data: Path) -> None:
    """Looks at the files of task names without using them.

    Raises:
        RecipeError: one is missing, outside the data folder, empty or no text.
    """
    for step in steps:
        _names(step.tasks, data)
        _names(step.not_tasks, data)
        # Nothing is decided by it, so it need not be there.
        if step.compare is not None and (data / step.compare.file).is_file():
            _names(step.compare, data)


class _Names:
    """Exact names by hash, and globs for the rest."""

    def __init__(self, names: list[str]) -> None:
        self.globs = [name for name in names if any(mark in name for mark in "*?[")]
        self.exact = set(names) - set(self.globs)

    def match(self, task: str | None) -> bool:
        return task in self.exact or any(fnmatchcase(task or "", glob) for glob in self.globs)


def _names(names: list[str] | TaskFile | None, data: Path) -> _Names | None:
    if isinstance(names, TaskFile):
        check_inside(names.file, "select.tasks.file")
        path = data / names.file
        if not path.is_file():
            raise RecipeError(
                f"select.tasks.file: no file {path}\nhint: put the list there, or name another with --set"
            )
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except UnicodeDecodeError as error:
            raise RecipeError(f"select.tasks.file: {path} is not UTF-8: {error}") from None
        names = [line.strip() for line in lines if line.strip()]
        if not names:
            raise RecipeError(f"select.tasks.file: {path} names no task")
    return _Names(names) if names is not None else None


def _reason(
    values: tuple[str | None, ...], step: SelectStep, tasks: _Names | None, not_tasks: _Names | None
) -> str | None:
    """Why a row with these values goes, if it does."""
    source, task, category, language, licence = values
    if step.sources is not None and source not in step.sources:
        return None
    if tasks is not None and not tasks.match(task):
        return "task not selected"
    if not_tasks is not None and not_tasks.match(task):
        return "task excluded"
    for name, value, wanted, unwanted in (
        ("category", category, step.categories, step.not_categories),
        ("language", language, step.languages, step.not_languages),
        ("licence", licence, step.licences, step.not_licences),
    ):
        parts = {part.strip().casefold() for part in re.split("[;>]", value or "")}
        keys = {text.casefold() for text in wanted or []}
        # A row in two languages is wanted only where both are; of several categories or licences, one is enough.
        if wanted is not None and (not parts <= keys if name == "language" else parts.isdisjoint(keys)):
            return f"{name} not selected"
        if not parts.isdisjoint(text.casefold() for text in unwanted):
            return f"{name} excluded"
    return None


def _code(reason: str | None, reasons: list[str]) -> int:
    if reason is None:
        return -1
    if reason not in reasons:
        reasons.append(reason)
    return reasons.index(reason)


def _apply_where(
    rows: Rows,
    alive: np.ndarray,
    sources: list[str] | None,
    field: str,
    values: list[str],
    verdict: np.ndarray,
    reasons: list[str],
) -> None:
    for source in sources or rows.ranges:
        first, end = rows.ranges.get(source, (0, 0))
        low, high = np.searchsorted(alive, [first, end])
        if low == high:
            continue
        column = pa.chunked_array(_core.meta_field(rows.table["meta"].slice(first, end - first), field))
        wanted = pc.is_in(column.cast(pa.string()), value_set=pa.array(values, pa.string()))
        missed = ~wanted.to_numpy()[alive[low:high] - first]
        part = verdict[low:high]
        part[(part < 0) & missed] = _code(f"{field} not selected", reasons)


def task_files(steps: list[SelectStep], data: Path) -> list[str]:
    """The contents that `tasks: {file: ...}` stand for: an edited list is another selection."""
    files = [
        names.file
        for step in steps
        for names in (step.tasks, step.not_tasks, step.compare)
        if not isinstance(names, list | None)
    ]
    return [hash_file(data / file) for file in files if (data / file).is_file()]
