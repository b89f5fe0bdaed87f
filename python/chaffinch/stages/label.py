"""label: which tasks have one right answer, by the form of their outputs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import yaml

from chaffinch import _core
from chaffinch.columns import to_numpy
from chaffinch.decisions import Decisions
from chaffinch.decisions import Rows as RowNumbers
from chaffinch.errors import RecipeError
from chaffinch.readers import check_inside
from chaffinch.recipe.label import Label, LabelFile, TaskLabel
from chaffinch.recipe.load import read_yaml

EXACT_MATCH, GENERATION = get_args(TaskLabel)
LABEL = "label"
TEXTS = ["instruction", "input", "references", "messages"]
# Beyond so many words an output is long, however long: one that goes on for pages must not decide for its task.
MOST_WORDS = 10


def run(
    rows: pa.Table,
    alive: RowNumbers,
    spec: Label,
    known: Mapping[str, TaskLabel],
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Decisions:
    """Labels the tasks of the named sources; no row goes.

    Three ratios say how far a task's outputs are from each of the rule's clauses, 1 being the edge: few and short
    (the largest of distinct / `max_distinct`, distinct / rows / `max_distinct_share`, words / `max_label_words`),
    hardly more than a word (words / `max_answer_words`), and of a closed set (share of rows outside it /
    `max_outside`). The task is `exact_match` where the least of them is at most 1. An output counts as at most 10
    words.

    Args:
        rows: the store's table.
        alive: the rows still in, increasing.
        spec: the recipe's rule.
        known: task -> label, for tasks that the rule does not decide.
        threads: default all cores.
        progress: called with the rows done so far.

    Returns:
        Decisions without removals. `columns` has `label` (dictionary of string; null for rows of other sources),
        `findings` a line for each task: source, task, rows, distinct, words (mean), outside (share of the rows, null
        where too many outputs are different to look), ratio, label, decided_by (`rule` or `recipe`), borderline.
    """
    codes, tuples, _ = _core.factorize(rows.select(["source", "task"]), threads=threads)
    # Most of pyarrow's kernels do not know string views.
    names = pa.table(tuples).cast(pa.schema([("source", pa.string()), ("task", pa.string())]))
    task_of = to_numpy(codes)
    wanted = np.isin(names["source"].to_pylist(), spec.sources)
    ours = alive[wanted[task_of[alive]]] if len(alive) else alive
    task = task_of[ours]
    counts = np.bincount(task, minlength=len(names))
    distinct, outside = _outputs(rows, ours, task_of, counts, spec, threads)
    with np.errstate(invalid="ignore", divide="ignore"):
        words = np.bincount(task, _words(rows, ours, threads, progress), minlength=len(names)) / counts
        few = np.maximum(distinct / spec.max_distinct, distinct / counts / spec.max_distinct_share)
        few = np.maximum(few, words / spec.max_label_words)
        ratio = np.fmin(np.fmin(few, words / spec.max_answer_words), outside / spec.max_outside)
    there = np.flatnonzero(counts)
    is_known = np.array([name in known for name in names["task"].take(there).to_pylist()], bool)
    exact = ratio <= 1
    for at, name in zip(there[is_known].tolist(), names["task"].take(there[is_known]).to_pylist(), strict=True):
        exact[at] = known[name] == EXACT_MATCH
    label = np.full(len(rows), -1, np.int8)
    label[ours] = np.where(exact[task], 0, 1)
    labels = pa.array([EXACT_MATCH, GENERATION])
    findings = pa.table(
        {
            "source": names["source"].take(there),
            "task": names["task"].take(there),
            "rows": pa.array(counts[there], pa.uint32()),
            "distinct": pa.array(distinct[there], pa.uint32()),
            "words": words[there],
            "outside": pa.array(outside[there], mask=np.isnan(outside[there])),
            "ratio": ratio[there],
            LABEL: labels.take(pa.array(np.where(exact[there], 0, 1))),
            "decided_by": pa.array(np.where(is_known, "recipe", "rule").tolist(), pa.string()),
            "borderline": ~is_known & (ratio[there] > 1 / spec.near) & (ratio[there] < spec.near),
        }
    )
    column = pa.DictionaryArray.from_arrays(pa.array(label, mask=label < 0), labels)
    notes: dict[str, int | float | str] = {
        "tasks of exact match": int(exact[there].sum()),
        "tasks of generation": int((~exact[there]).sum()),
        "borderline tasks": int(findings["borderline"].to_numpy().sum()),
    }
    if len(known):
        notes["tasks labelled by the recipe"] = int(is_known.sum())
    none = Decisions.none()
    return Decisions(none.row, none.reason, [], notes=notes, findings=findings, columns=pa.table({LABEL: column}))


def known_labels(spec: Label, data: Path) -> dict[str, TaskLabel]:
    """The tasks whose labels the recipe says, itself or in a file under `data`.

    Raises:
        RecipeError: the file is missing, outside the data folder, no YAML, or says something else than task: label.
    """
    if not isinstance(spec.tasks, LabelFile):
        return spec.tasks
    check_inside(spec.tasks.file, "label.tasks.file")
    path = data / spec.tasks.file
    form = f"one line for each task, `task001_name: {EXACT_MATCH}` or `{GENERATION}`"
    if not path.is_file():
        raise RecipeError(f"label.tasks.file: no file {path}\nhint: {form}")
    try:
        values: Any = read_yaml(path.read_text(encoding="utf-8-sig"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise RecipeError(
            f"label.tasks.file: {path} is not YAML: {' '.join(str(error).split())}\nhint: {form}"
        ) from None
    if not isinstance(values, dict):
        raise RecipeError(f"label.tasks.file: {path} holds no tasks with labels\nhint: {form}")
    for task, label in values.items():
        if not isinstance(task, str) or label not in (EXACT_MATCH, GENERATION):
            raise RecipeError(f"label.tasks.file: {path}: {task!r}: {label!r} is no label\nhint: {form}")
    return values


def _words(
    rows: pa.Table, chosen: RowNumbers, threads: int | None, progress: Callable[[int], object] | None
) -> npt.NDArray[np.int64]:
    """Words of each chosen row's first reference, at most `MOST_WORDS`."""
    one_source = pa.array(np.zeros(len(rows), np.uint32))
    over: list[dict[str, Any]] = [
        {"test": "length", "field": "response", "unit": "whitespace", "min": None, "max": words - 1}
        | {"texts": [], "sources": None}
        for words in range(MOST_WORDS, 0, -1)
    ]
    first_broken = _core.clean(
        rows.select(TEXTS), pa.array(chosen), one_source, over, threads=threads, progress=progress
    )
    broken = to_numpy(first_broken).astype(np.int64)
    return np.where(broken > 0, MOST_WORDS + 1 - broken, 0)


def _outputs(
    rows: pa.Table,
    chosen: RowNumbers,
    task_of: npt.NDArray[np.uint32],
    counts: npt.NDArray[np.int64],
    spec: Label,
    threads: int | None,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """By task: different outputs, and the share of its rows with one outside the closed set."""
    same = pa.table(
        _core.exact_duplicates(
            rows.select(TEXTS),
            normal_form="none",
            fields=["response"],
            rows=pa.array(chosen),
            groups=pa.array(task_of),
            match_empty=True,
            threads=threads,
        )
    )
    row, witness = to_numpy(same["row"]), to_numpy(same["witness"])
    distinct = counts - np.bincount(task_of[row], minlength=len(counts))
    # Where outputs are many, no closed set that anyone has written down holds them.
    few = (distinct > 0) & (distinct <= max(spec.max_distinct, len(spec.closed)))
    first = np.setdiff1d(chosen[few[task_of[chosen]]], row, assume_unique=True)
    like = 1 + np.bincount(witness, minlength=len(rows))
    gathered = pa.table(_core.gather(rows.select(["references"]), pa.array(first.astype(np.uint32)), threads=threads))
    closed = {text.strip().casefold().removesuffix(".") for text in spec.closed}
    references = gathered["references"].to_pylist()
    inside = [(texts[0] if texts else "").strip().casefold().removesuffix(".") in closed for texts in references]
    found = np.bincount(task_of[first], like[first] * np.array(inside, np.int64), minlength=len(counts))
    with np.errstate(invalid="ignore", divide="ignore"):
        return distinct, np.where(few, 1 - found / counts, np.nan)
