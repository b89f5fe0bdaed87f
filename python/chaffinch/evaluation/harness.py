"""Evaluation under lm-evaluation-harness's rules: its own task files, over local files or those of the hub."""

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chaffinch.cache import atomic_path
from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation.harness_files import SETS, Part
from chaffinch.evaluation.task import files_of

HINT = "hint: pip install 'chaffinch[eval]' brings lm-eval"
# Why a set that the harness has is ours alone.
OURS = {"humaneval": "the harness runs the code that a model writes without a sandbox"}


@dataclass(frozen=True)
class Plan:
    """How the harness is to ask a set.

    Attributes:
        set: the split, as in `mmlu/test`.
        parts: by the harness's name for a task, what its items are.
        files: what is read; none where the harness takes the set from the hub.
        folder: for its task files and what was asked.
    """

    set: str
    parts: dict[str, Part]
    files: tuple[Path, ...]
    folder: Path


@dataclass(frozen=True)
class Metric:
    """One metric of one set, item by item.

    Attributes:
        set: the split, as in `mmlu/test`.
        protocol: the harness and its version.
        shots: as the harness counts them.
        metric: its name and filter, as the harness writes them.
        files: what was read; of the hub, the rows that were asked.
        revision: of the hub, which data sets in which revision; None of local files.
        items: item (as `evaluation_sets` names it), group, answer, score.
    """

    set: str
    protocol: str
    shots: int
    metric: str
    files: tuple[Path, ...]
    revision: str | None
    items: list[dict[str, Any]] = field(default_factory=list)


def planned(name: str, data: Path, work: Path, *, shots: int | None, hub: bool) -> Plan:
    """Finds a set and writes the harness's task files for it.

    Args:
        name: of `SETS`.
        data: the folder that the sets' files are under.
        work: a folder for task files and converted data.
        shots: instead of the harness's own numbers.
        hub: whether the harness takes a set that is not under `data` from the hub.

    Raises:
        RecipeError: lm-eval is not installed, or the set cannot be asked so.
        DataError: the set is not there, or has a part that the harness does not know.
    """
    if name not in SETS:
        why = f": {OURS[name]}" if name in OURS else ""
        hint = f"it is given {', '.join(SETS)}; leave out --protocol for {name}"
        raise RecipeError(f"{name} is not asked by the harness here{why}\nhint: {hint}")
    asked = SETS[name]
    if shots and not asked.shots:
        raise RecipeError(f"the harness asks {name} without shots here\nhint: leave out --shots")
    try:
        import lm_eval.tasks
    except ImportError as error:
        raise RecipeError(f"protocol harness needs {error.name}\n{HINT}") from None
    base = Path(lm_eval.tasks.__file__).parent
    folder = work / "harness" / name
    folder.mkdir(parents=True, exist_ok=True)
    try:
        files_of(asked.split, data)
    except DataError as error:
        if not hub:
            raise DataError(f"{error}; or --hub has the harness take it from the hub") from None
        return Plan(asked.split, _of_hub(base, asked.own), (), folder)
    files, parts = asked.local(data, base, folder)
    return Plan(asked.split, parts, files, folder)


def _of_hub(base: Path, own: str) -> dict[str, Part]:
    """The harness's own tasks of a set; nobody knows what other files name the hub's items."""
    tasks = []
    for path in sorted(base.glob(own)):
        tasks += re.findall(r'^"?task"?: "?(\w+)"?$', path.read_text("utf-8"), re.MULTILINE)
    metrics = {task: f"{task[-3:]} " for task in tasks if task.startswith("truthfulqa")}
    group = len(tasks) > 1 and not metrics
    return {task: Part(task if group else "", f"{task}:", metric=metrics.get(task, "")) for task in tasks}


def measure(
    model: Any, tokenizer: Any, plans: Sequence[Plan], *, shots: int | None, limit: int | None
) -> Iterator[Metric]:
    """Has the harness ask a model.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        plans: of the sets.
        shots: instead of the harness's own numbers.
        limit: only the first so many items of each of its tasks.

    Raises:
        DataError: the harness cannot load a set.
    """
    from importlib.metadata import version

    import lm_eval
    import lm_eval.tasks
    from lm_eval.models.huggingface import HFLM

    protocol = f"lm-eval=={version('lm_eval')}"
    manager = lm_eval.tasks.TaskManager(include_path=[str(plan.folder) for plan in plans if plan.files])
    loaded = [_loaded(manager, plan) for plan in plans]
    language_model = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    for plan, tasks in zip(plans, loaded, strict=True):
        found = lm_eval.simple_evaluate(
            language_model,
            tasks=list(tasks.values()),
            task_manager=manager,
            num_fewshot=shots,
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
        )
        number = int(found["n-shot"][next(iter(plan.parts))])
        files, revision = plan.files, None
        if not files:
            files, revision = (_asked(plan, found["samples"]),), _revision(tasks)
        metrics: dict[str, Metric] = {}
        for task, part in plan.parts.items():
            for sample in sorted(found["samples"][task], key=lambda one: one["doc_id"]):
                answer = str(sample["filtered_resps"] if sample["filter"] == "none" else sample["resps"])
                for name in sample["metrics"]:
                    # BBQ's biases are of many items together: no item has a score.
                    if isinstance(sample[name], tuple | list):
                        continue
                    metric = f"{part.metric}{name},{sample['filter']}"
                    one = metrics.setdefault(metric, Metric(plan.set, protocol, number, metric, files, revision))
                    item = {"item": part.item(sample["doc_id"]), "group": part.group, "answer": answer}
                    one.items.append({**item, "score": float(sample[name])})
        yield from metrics.values()


def _loaded(manager: Any, plan: Plan) -> dict[str, Any]:
    """The harness's tasks of a set.

    Raises:
        DataError: they cannot be loaded.
    """
    try:
        tasks: dict[str, Any] = manager.load(list(plan.parts))["tasks"]
    except Exception as error:
        # The harness's and the hub's errors are of many unrelated classes, down to those of the network stack.
        what = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        hint = "fetch its files again" if plan.files else "check the network, or put its files under --data"
        raise DataError(f"{plan.set}: the harness cannot load it: {what}\nhint: {hint}") from None
    return tasks


def _asked(plan: Plan, samples: dict[str, list[dict[str, Any]]]) -> Path:
    """A file of the rows that were asked, task by task, for their hash."""
    rows = {task: {one["doc_id"]: one["doc"] for one in samples[task]} for task in sorted(plan.parts)}
    path = plan.folder / "asked.json"
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(rows, sort_keys=True, default=str), "utf-8")
    return path


def _revision(tasks: dict[str, Any]) -> str:
    """The data sets of the hub with their revisions: the library's cache has a folder for each."""
    found = set()
    for task in tasks.values():
        places = [place["filename"] for rows in task.dataset.values() for place in rows.cache_files]
        commits = {commit for place in places for commit in re.findall(r"(?<![0-9a-f])[0-9a-f]{40}(?![0-9a-f])", place)}
        found |= {f"{task.config.dataset_path}@{commit}" for commit in commits or {"unknown"}}
    return ", ".join(sorted(found))
