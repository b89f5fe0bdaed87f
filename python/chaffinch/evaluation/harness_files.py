"""Local files as lm-evaluation-harness's own tasks read them: its task files, with the data taken from here.

Each set becomes one task of the harness for each file, subject or kind of question, and every item keeps the name that
`evaluation_sets` gives it.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from chaffinch.cache import atomic_path
from chaffinch.errors import DataError
from chaffinch.evaluation.further import boxed, utilitarian_pairs
from chaffinch.evaluation.instructeval import LETTERS, drop_answers, mmlu_rows
from chaffinch.evaluation.task import files_of, part, rows_of


@dataclass(frozen=True)
class Part:
    """One task of the harness.

    Attributes:
        group: what its items are counted with.
        prefix: what stands before an item's number.
        ids: the items' names, where they are not the prefix and the number.
        metric: what stands before the names of its metrics.
    """

    group: str = ""
    prefix: str = ""
    ids: Sequence[str] = ()
    metric: str = ""

    def item(self, at: int) -> str:
        """The name of the item with this number."""
        return self.ids[at] if self.ids else f"{self.prefix}{at}"


# What was read, and the tasks by the harness's name.
Made = tuple[tuple[Path, ...], dict[str, Part]]


def gsm8k(data: Path, base: Path, folder: Path) -> Made:
    """GSM8K, its files as they are."""
    test, train = files_of("gsm8k/test", data), files_of("gsm8k/train", data)
    files = {"train": str(train[0].resolve()), "test": str(test[0].resolve())}
    return (*test, *train), {_write_task(folder, base, "gsm8k/gsm8k.yaml", "chaffinch_gsm8k", files): Part()}


def bbh(data: Path, base: Path, folder: Path) -> Made:
    """BIG-Bench Hard, its files as they are."""
    tasks = {}
    files = files_of("bbh/test", data)
    for path in files:
        stem = _stem(path)
        place = {"test": str(path.resolve())}
        include = f"bbh/fewshot/{stem}.yaml"
        task = _write_task(folder, base, include, f"chaffinch_bbh_{stem}", place, field="examples")
        tasks[task] = Part(stem, _prefix(path, files))
    return files, tasks


def mmlu(data: Path, base: Path, folder: Path) -> Made:
    """MMLU, a task for each subject."""
    tests, devs = files_of("mmlu/test", data), files_of("mmlu/dev", data)
    by_name = {_stem(path): path for path in devs}
    tasks = {}
    for path in tests:
        subject = _stem(path).removesuffix("_test")
        if f"{subject}_dev" not in by_name:
            raise DataError(f"{path}: no dev items for the shots\nhint: put {subject}_dev.csv beside the others")
        rows = {
            split: [
                {"question": question, "subject": subject, "choices": options, "answer": LETTERS.index(label)}
                for question, options, label in mmlu_rows(file)
            ]
            for split, file in (("test", path), ("dev", by_name[f"{subject}_dev"]))
        }
        task = _write(folder, base, f"mmlu/default/mmlu_{subject}.yaml", f"chaffinch_mmlu_{subject}", rows)
        tasks[task] = Part(subject, f"{subject}_test:" if len(tests) > 1 else "")
    return (*tests, *devs), tasks


def drop(data: Path, base: Path, folder: Path) -> Made:
    """DROP, of its makers' file or of rows with `answer` and `validated_answers`."""
    files = files_of("drop/validation", data)
    rows, ids = [], []
    for path in files:
        count = 0
        for passage, pair in _drop_pairs(path):
            answers = drop_answers(pair)
            # Items that are named by a number elsewhere are those that are left on the hub.
            count += answers is not None
            ids.append(f"{_prefix(path, files)}{pair['query_id'] if answers is None else count - 1}")
            rows.append({
                "query_id": pair["query_id"],
                "passage": passage.strip(),
                "question": part(pair, path, "question").strip(),
                "answer": _drop_answer(part(pair, path, "answer")),
                "validated_answers": _columns(pair.get("validated_answers") or []),
            })  # fmt: skip
    task = _write(folder, base, "drop/default.yaml", "chaffinch_drop", {"validation": rows})
    return files, {task: Part(ids=ids)}


def _drop_pairs(path: Path) -> list[tuple[str, Mapping[str, Any]]]:
    rows = rows_of(path)
    found: list[tuple[str, Mapping[str, Any]]] = []
    for row in rows:
        if "passage" not in row:
            found += [(section["passage"], pair) for section in row.values() for pair in section["qa_pairs"]]
            continue
        part(row, path, "answer")
        answers = row.get("validated_answers") or {}
        listed = answers if isinstance(answers, list) else _listed(answers)
        found.append((row["passage"], {**row, "validated_answers": listed}))
    return found


def _listed(columns: Mapping[str, Sequence[Any]]) -> list[dict[str, Any]]:
    names = ("number", "date", "spans")
    return [
        dict(zip(names, values, strict=True))
        for values in zip(*(columns.get(name) or [] for name in names), strict=True)
    ]


def _drop_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    date = answer.get("date") or {}
    return {
        "number": str(answer["number"]),
        "date": {name: date.get(name) or "" for name in ("day", "month", "year")},
        "spans": list(answer["spans"]),
    }


def _columns(answers: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    plain = [_drop_answer(answer) for answer in answers]
    return {name: [one[name] for one in plain] for name in ("number", "date", "spans")}


SUBJECTS = {
    "Algebra": "algebra",
    "Counting & Probability": "counting_and_prob",
    "Geometry": "geometry",
    "Intermediate Algebra": "intermediate_algebra",
    "Number Theory": "num_theory",
    "Prealgebra": "prealgebra",
    "Precalculus": "precalc",
}


def mathematics(data: Path, base: Path, folder: Path) -> Made:
    """MATH, a task for each subject."""
    files = files_of("math/test", data)
    by_subject: dict[str, list[tuple[str, dict[str, str]]]] = {}
    for path in files:
        for at, row in enumerate(rows_of(path)):
            subject, solution = part(row, path, "type"), part(row, path, "solution")
            if subject not in SUBJECTS:
                hint = f"its type has to be one of {', '.join(SUBJECTS)}"
                raise DataError(f"{path}: row {at} has the type {subject!r}\nhint: {hint}")
            if boxed(solution) is None and "\\boxed " not in solution:
                raise DataError(
                    f"{path}: row {at} has nothing in \\boxed{{...}}\nhint: its solution has to say the answer"
                )
            own = {"problem": part(row, path, "problem"), "solution": solution}
            by_subject.setdefault(subject, []).append((f"{_prefix(path, files)}{at}", own))
    tasks = {}
    for subject, items in sorted(by_subject.items()):
        name = SUBJECTS[subject]
        rows = {"test": [row for _, row in items]}
        task = _write(folder, base, f"hendrycks_math/hendrycks_math_{name}.yaml", f"chaffinch_math_{name}", rows)
        tasks[task] = Part(subject, ids=[id_ for id_, _ in items])
    return files, tasks


def ethics(data: Path, base: Path, folder: Path) -> Made:
    """ETHICS, a task for each file: tests and hard tests."""
    files = files_of("ethics/test", data)
    tasks = {}
    for path in files:
        stem = _stem(path)
        kind = stem.partition("_test")[0]
        kind = {"cm": "commonsense", "util": "utilitarianism"}.get(kind, kind)
        if kind == "utilitarianism":
            rows = [{"activity": better, "baseline": worse} for better, worse in utilitarian_pairs(path)]
        else:
            rows = [_judged(kind, row, path, at) for at, row in enumerate(rows_of(path))]
        task = _write(folder, base, f"hendrycks_ethics/{kind}.yaml", f"chaffinch_ethics_{stem}", {"test": rows})
        tasks[task] = Part(stem, _prefix(path, files))
    return files, tasks


def _judged(kind: str, row: Mapping[str, Any], path: Path, at: int) -> dict[str, Any]:
    label = str(part(row, path, "label"))
    if label not in ("0", "1"):
        raise DataError(f"{path}: row {at} has the label {label!r}\nhint: it is 0 or 1")
    said: dict[str, Any] = {"label": int(label)}
    if kind == "commonsense":
        return said | {"input": part(row, path, "input")}
    scenario = part(row, path, "scenario")
    if kind == "deontology":
        return said | {"scenario": scenario, "excuse": part(row, path, "excuse")}
    if kind == "virtue":
        scenario, _, trait = scenario.partition(" [SEP] ")
        return said | {"scenario": scenario, "trait": trait}
    return said | {"scenario": scenario}


def truthfulqa(data: Path, base: Path, folder: Path) -> Made:
    """TruthfulQA's questions with choices, as in its makers' `mc_task.json` or in the hub's `multiple_choice`."""
    files = files_of("truthfulqa/validation", data)
    tasks = {}
    for path in files:
        rows = [_choices(row, path, at) for at, row in enumerate(rows_of(path))]
        for kind in ("mc1", "mc2"):
            name = f"chaffinch_truthfulqa_{kind}_{_stem(path)}"
            task = _write(folder, base, f"truthfulqa/truthfulqa_{kind}.yaml", name, {"validation": rows})
            tasks[task] = Part(prefix=_prefix(path, files), metric=f"{kind} ")
    return files, tasks


def _choices(row: Mapping[str, Any], path: Path, at: int) -> dict[str, Any]:
    found: dict[str, Any] = {"question": part(row, path, "question")}
    for name in ("mc1_targets", "mc2_targets"):
        targets = part(row, path, name)
        if "labels" not in targets:
            # Of a table made of many objects, every one has the choices of all.
            of = {text: label for text, label in targets.items() if label is not None}
            targets = {"choices": list(of), "labels": list(of.values())}
        labels = list(targets["labels"])
        if len(labels) != len(targets["choices"]) or set(labels) != {0, 1}:
            raise DataError(f"{path}: row {at} has no right and wrong ones in {name}\nhint: its labels are 1 and 0")
        found[name] = {"choices": list(targets["choices"]), "labels": labels}
    if found["mc1_targets"]["labels"][0] != 1:
        raise DataError(f"{path}: row {at}: the first of mc1_targets is wrong\nhint: the harness takes it for right")
    return found


def bbq(data: Path, base: Path, folder: Path) -> Made:
    """BBQ, a task for each category's file."""
    from lm_eval.tasks.bbq.utils import UNKNOWN_RESPONSES

    files = files_of("bbq/test", data)
    tasks = {}
    for path in files:
        rows = []
        for at, row in enumerate(rows_of(path)):
            own = {name: part(row, path, name) for name in ("context", "question", "ans0", "ans1", "ans2", "category")}
            own |= {name: part(row, path, name) for name in ("question_polarity", "context_condition")}
            groups = part(row, path, "answer_info")
            stereotyped = part(part(row, path, "additional_metadata"), path, "stereotyped_groups")
            own |= {"label": int(part(row, path, "label")), "answer_info": {key: list(groups[key]) for key in ANSWERS}}
            own |= {"additional_metadata": {"stereotyped_groups": list(stereotyped)}}
            if not {own[name] for name in ANSWERS} & set(UNKNOWN_RESPONSES):
                hint = f"the harness knows {', '.join(UNKNOWN_RESPONSES)}"
                raise DataError(f"{path}: row {at} has no answer that says that it is not known\nhint: {hint}")
            rows.append(own)
        task = _write(folder, base, "bbq/bbq_multiple_choice.yaml", f"chaffinch_bbq_{_stem(path)}", {"test": rows})
        tasks[task] = Part(_stem(path), _prefix(path, files))
    return files, tasks


ANSWERS = ("ans0", "ans1", "ans2")


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _prefix(path: Path, files: Sequence[Path]) -> str:
    """As `evaluation_sets` has it: the stem before an item's number where there are several files."""
    return f"{_stem(path)}:" if len(files) > 1 else ""


def _write(folder: Path, base: Path, include: str, name: str, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    """A task over rows by split, which are all that it has."""
    places = {}
    for split, own in rows.items():
        path = (folder / f"{name}_{split}.json").resolve()
        with atomic_path(path) as temporary:
            temporary.write_text(json.dumps(own), "utf-8")
        places[split] = str(path)
    return _write_task(folder, base, include, name, places, {"training_split": None, "tag": []})


def _write_task(
    folder: Path,
    base: Path,
    include: str,
    name: str,
    files: Mapping[str, str],
    also: Mapping[str, Any] = MappingProxyType({}),
    **more: Any,
) -> str:
    """A task file that takes all but the data, and what `also` has, from the harness's own one.

    Raises:
        DataError: the harness has none.
    """
    if not (base / include).is_file():
        raise DataError(f"the harness knows no task {include}\nhint: leave out the file that is named so")
    own = {"cache_dir": str(folder / "cache"), "data_files": dict(files), **more}
    task = {"include": str(base / include), "task": name, "dataset_path": "json", "dataset_name": None}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({**task, **also, "dataset_kwargs": own}), "utf-8")
    return name


@dataclass(frozen=True)
class Asked:
    """A set that the harness asks.

    Attributes:
        split: as our files are named.
        local: makes its tasks of local files.
        own: the harness's own task files, as a pattern.
        shots: whether other numbers of shots than the harness's own are possible.
    """

    split: str
    local: Callable[[Path, Path, Path], Made]
    own: str
    shots: bool = False


SETS = {
    "mmlu": Asked("mmlu/test", mmlu, "mmlu/default/mmlu_*.yaml", shots=True),
    "bbh": Asked("bbh/test", bbh, "bbh/fewshot/[!_]*.yaml", shots=True),
    "gsm8k": Asked("gsm8k/test", gsm8k, "gsm8k/gsm8k.yaml", shots=True),
    "drop": Asked("drop/validation", drop, "drop/default.yaml"),
    "math": Asked("math/test", mathematics, "hendrycks_math/hendrycks_math_*.yaml"),
    "ethics": Asked("ethics/test", ethics, "hendrycks_ethics/*.yaml"),
    "truthfulqa": Asked("truthfulqa/validation", truthfulqa, "truthfulqa/truthfulqa_mc*.yaml"),
    "bbq": Asked("bbq/test", bbq, "bbq/bbq_multiple_choice.yaml"),
}
