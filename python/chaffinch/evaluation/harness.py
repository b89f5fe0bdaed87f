"""The same files under lm-evaluation-harness's rules: its own task files, with the data taken from here."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation.instructeval import LETTERS, mmlu_rows
from chaffinch.evaluation.task import files_of
from chaffinch.readers.hashes import write_json

SETS = ("mmlu", "bbh", "gsm8k")
HINT = "hint: pip install 'chaffinch[eval]' brings lm-eval"


@dataclass(frozen=True)
class Metric:
    """One metric of one set, item by item.

    Attributes:
        set: the split, as in `mmlu/test`.
        protocol: the harness and its version.
        shots: as the harness counts them.
        metric: its name and filter, as the harness writes them.
        files: what was read.
        items: item (as `evaluation_sets` names it), group, answer, score.
    """

    set: str
    protocol: str
    shots: int
    metric: str
    files: tuple[Path, ...]
    items: list[dict[str, Any]]


def measure(
    model: Any, tokenizer: Any, names: Sequence[str], data: Path, work: Path, *, shots: int | None, limit: int | None
) -> Iterator[Metric]:
    """Has the harness ask a model.

    Args:
        model: a causal language model of transformers.
        tokenizer: its tokenizer.
        names: of `SETS`.
        data: the folder that the sets' files are under.
        work: a folder for task files and converted data.
        shots: instead of the harness's own numbers.
        limit: only the first so many items of each of its tasks.

    Raises:
        RecipeError: lm-eval is not installed, or a set cannot be asked so.
        DataError: a set is not there, or has a part that the harness does not know.
    """
    try:
        import lm_eval
        import lm_eval.tasks
        from lm_eval.models.huggingface import HFLM
    except ImportError as error:
        raise RecipeError(f"protocol harness needs {error.name}\n{HINT}") from None
    from importlib.metadata import version

    protocol = f"lm-eval=={version('lm_eval')}"
    language_model = HFLM(pretrained=model, tokenizer=tokenizer, batch_size=1)
    base = Path(lm_eval.tasks.__file__).parent
    for name in names:
        folder = work / "harness" / name
        folder.mkdir(parents=True, exist_ok=True)
        split, files, tasks = _TASKS[name](data, base, folder)
        manager = lm_eval.tasks.TaskManager(include_path=str(folder))
        found = lm_eval.simple_evaluate(
            language_model,
            tasks=list(tasks),
            task_manager=manager,
            num_fewshot=shots,
            limit=limit,
            bootstrap_iters=0,
            log_samples=True,
        )
        items: dict[str, list[dict[str, Any]]] = {}
        for task, (group, prefix) in tasks.items():
            for sample in sorted(found["samples"][task], key=lambda one: one["doc_id"]):
                answer = str(sample["filtered_resps"] if sample["filter"] == "none" else sample["resps"])
                for metric in sample["metrics"]:
                    item = {"item": f"{prefix}{sample['doc_id']}", "group": group, "answer": answer}
                    own = items.setdefault(f"{metric},{sample['filter']}", [])
                    own.append({**item, "score": float(sample[metric])})
        number = int(found["n-shot"][next(iter(tasks))])
        for metric, measured in items.items():
            yield Metric(split, protocol, number, metric, files, measured)


def _write_task(folder: Path, base: Path, include: str, name: str, files: dict[str, str], **more: Any) -> None:
    """A task file that takes all but the data from the harness's own one.

    Raises:
        DataError: the harness has none.
    """
    if not (base / include).is_file():
        raise DataError(f"the harness knows no task {include}\nhint: leave out the file that is named so")
    own = {"cache_dir": str(folder / "cache"), "data_files": files, **more}
    task = {"include": str(base / include), "task": name, "dataset_path": "json", "dataset_name": None}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({**task, "dataset_kwargs": own}), "utf-8")


def _gsm8k(data: Path, base: Path, folder: Path) -> tuple[str, tuple[Path, ...], dict[str, tuple[str, str]]]:
    test, train = files_of("gsm8k/test", data), files_of("gsm8k/train", data)
    files = {"train": str(train[0].resolve()), "test": str(test[0].resolve())}
    _write_task(folder, base, "gsm8k/gsm8k.yaml", "chaffinch_gsm8k", files)
    return "gsm8k/test", (*test, *train), {"chaffinch_gsm8k": ("", "")}


def _bbh(data: Path, base: Path, folder: Path) -> tuple[str, tuple[Path, ...], dict[str, tuple[str, str]]]:
    tasks = {}
    files = files_of("bbh/test", data)
    for path in files:
        stem = path.name.partition(".")[0]
        tasks[f"chaffinch_bbh_{stem}"] = (stem, f"{stem}:" if len(files) > 1 else "")
        place = {"test": str(path.resolve())}
        _write_task(folder, base, f"bbh/fewshot/{stem}.yaml", f"chaffinch_bbh_{stem}", place, field="examples")
    return "bbh/test", files, tasks


def _mmlu(data: Path, base: Path, folder: Path) -> tuple[str, tuple[Path, ...], dict[str, tuple[str, str]]]:
    tests, devs = files_of("mmlu/test", data), files_of("mmlu/dev", data)
    by_name = {path.name.partition(".")[0]: path for path in devs}
    tasks = {}
    for path in tests:
        subject = path.name.partition(".")[0].removesuffix("_test")
        if f"{subject}_dev" not in by_name:
            raise DataError(f"{path}: no dev items for the shots\nhint: put {subject}_dev.csv beside the others")
        places = {}
        for split, file in (("test", path), ("dev", by_name[f"{subject}_dev"])):
            rows = [
                {"question": question, "subject": subject, "choices": options, "answer": LETTERS.index(label)}
                for question, options, label in mmlu_rows(file)
            ]
            places[split] = str((folder / f"{subject}_{split}.json").resolve())
            write_json(Path(places[split]), rows)
        name = f"chaffinch_mmlu_{subject}"
        tasks[name] = (subject, f"{subject}_test:" if len(tests) > 1 else "")
        _write_task(folder, base, f"mmlu/default/mmlu_{subject}.yaml", name, places)
    return "mmlu/test", (*tests, *devs), tasks


_TASKS = {"gsm8k": _gsm8k, "bbh": _bbh, "mmlu": _mmlu}
