"""The profiles: which files, of which kind and with how many rows, a corpus of a given size has."""

from collections.abc import Callable, Sequence

from chaffinch.synth import tasks
from chaffinch.synth.plan import DUPLICATES, File

ROWS_PER_FILE = 50_000
JSONL_BREAKS = ("truncated", "wrong-type", "missing-field", "lone-surrogate")
ARRAY_BREAKS = ("wrong-type", "missing-field")
CHAT_BREAKS = ("invalid-role", "wrong-type", "missing-field")
TASK_BREAKS = ("empty-references", "missing-field", "wrong-type")
FREE_TEXT = (
    *DUPLICATES,
    "prompt-duplicate",
    "evaluation-item",
    "model-generated",
    "nan",
    "too-short",
    "too-long",
    "broken",
)


def apportion(total: int, weights: Sequence[float]) -> list[int]:
    """Splits `total` in proportion to `weights`, largest remainders first."""
    exact = [total * weight / sum(weights) for weight in weights]
    parts = [int(value) for value in exact]
    by_remainder = sorted(range(len(parts)), key=lambda k: (parts[k] - exact[k], k))
    for k in by_remainder[: total - sum(parts)]:
        parts[k] += 1
    return parts


def _parts(name: str, ending: str, rows: int, make: Callable[[str, int], File]) -> list[File]:
    """One file, or as many as keep each under `ROWS_PER_FILE` rows."""
    if rows <= ROWS_PER_FILE:
        return [make(f"{name}{ending}", rows)] if rows else []
    sizes = apportion(rows, [1] * -(-rows // ROWS_PER_FILE))
    return [make(f"{name}-{number:03d}{ending}", size) for number, size in enumerate(sizes)]


def _task_files(
    folder: str,
    chosen: Sequence[tasks.Task],
    rows: int,
    plants: tuple[str, ...],
    traits: tuple[str, ...] = (),
    *,
    breaks: bool = True,
) -> list[File]:
    files = []
    for number, (task, size) in enumerate(zip(chosen, apportion(rows, [1] * len(chosen)), strict=True)):
        zipped = number % 4 == 3 and "2021" not in traits
        own = [trait for trait, here in (("gzip", zipped), ("nan", number == 1)) if here]
        several = ("repeated-references",) if "string-output" not in traits else ()
        path = f"{folder}/{task.name}.json{'.gz' if zipped else ''}"
        ways = (TASK_BREAKS if several else TASK_BREAKS[1:]) if breaks else ()
        planted = tuple(one for one in (*plants, *several) if breaks or one in DUPLICATES)
        files.append(File(path, "tasks", size, "task", task=task, plants=planted, breaks=ways, traits=(*traits, *own)))
    return [file for file in files if file.rows]


def demo(rows: int) -> list[File]:
    """Everything: each format, each drift of a schema, each sort of plant."""
    shares = {
        "tasks": 30.0,
        "2021": 6,
        "drifted": 4,
        "array": 8,
        "lines": 7,
        "chat": 9,
        "tool": 3,
        "p3": 9,
        "cot": 6,
        "quiz": 3,
        "table": 3,
        "code": 4,
        "math": 5,
        "platypus": 3,
    }
    n = dict(zip(shares, apportion(rows, list(shares.values())), strict=True))
    # About 400 rows a task, but each family at least once and no more tasks than there are topics for.
    count = max(len(tasks.FAMILIES), min(600, n["tasks"] // 400))
    early = max(4, min(60, n["2021"] // 400))
    drifted = max(2, min(40, n["drifted"] // 400))
    chosen = tasks.tasks(count + early + drifted)
    ni = (*DUPLICATES, "duplicate-id", "evaluation-item", "nan")
    files = _task_files("natural-instructions/tasks", chosen[:count], n["tasks"], ni)
    files += _task_files(
        "natural-instructions/tasks-2021-schema",
        chosen[count : count + early],
        n["2021"],
        DUPLICATES,
        ("2021",),
    )
    files += _task_files(
        "natural-instructions/tasks-variant",
        chosen[count + early :],
        n["drifted"],
        DUPLICATES,
        ("string-output", "foreign-ids"),
    )
    arrays = _parts(
        "alpaca/alpaca",
        ".json",
        n["array"],
        lambda path, size: File(path, "array", size, "alpaca", plants=FREE_TEXT, breaks=ARRAY_BREAKS),
    )
    files += arrays
    files += _parts(
        "alpaca/more_alpaca",
        ".jsonl",
        n["lines"],
        lambda path, size: File(
            path,
            "jsonl",
            size,
            "alpaca",
            plants=FREE_TEXT,
            breaks=JSONL_BREAKS,
            traits=("crlf",),
            twin=_twin(path, arrays),
        ),
    )
    files += _parts(
        "dialogues/sharegpt",
        ".json",
        n["chat"],
        lambda path, size: File(
            path,
            "array",
            size,
            "chat",
            plants=(*DUPLICATES, "duplicate-id", "model-generated", "broken"),
            breaks=CHAT_BREAKS,
        ),
    )
    files += _parts(
        "tool-calls/tool_calls",
        ".json",
        n["tool"],
        lambda path, size: File(
            path, "array", size, "tool", plants=("exact-duplicate", "broken"), breaks=("invalid-role",)
        ),
    )
    for template, size in zip(("yes_no", "which_place", "title"), apportion(n["p3"], [1, 1, 1]), strict=True):
        files += _parts(
            f"p3/town_news_{template}",
            ".jsonl",
            size,
            lambda path, size, template=template: File(  # type: ignore[misc]
                path,
                "jsonl",
                size,
                "p3",
                template,
                plants=(*DUPLICATES, "evaluation-item", "broken"),
                breaks=JSONL_BREAKS,
            ),
        )
    files += _parts(
        "flan-cot/sums_train",
        ".tsv",
        n["cot"],
        lambda path, size: File(
            path,
            "tsv",
            size,
            "cot",
            plants=("exact-duplicate", "evaluation-item", "broken"),
            breaks=("missing-field",),
        ),
    )
    files += _parts(
        "quiz/quiz",
        ".csv",
        n["quiz"],
        lambda path, size: File(path, "csv", size, "quiz", "places", plants=DUPLICATES, traits=("bom", "crlf")),
    )
    files += _parts(
        "table/table",
        ".parquet",
        n["table"],
        lambda path, size: File(path, "parquet", size, "table", plants=DUPLICATES),
    )
    # Lines in a file whose name promises an array, and with a byte order mark.
    files += _parts(
        "code/code",
        ".json",
        n["code"],
        lambda path, size: File(
            path,
            "jsonl",
            size,
            "code",
            plants=(*DUPLICATES, "model-generated", "broken"),
            breaks=("missing-field",),
            traits=("bom",),
        ),
    )
    files += _math_and_platypus(n["math"], n["platypus"], (*DUPLICATES, "nan"))
    return files


def _twin(path: str, files: list[File]) -> File | None:
    """The file that shares rows with this one: for the first part only, or two parts would be the same."""
    return files[0] if files and "-" not in path.rsplit("/", 1)[-1].removesuffix("-000.jsonl") else None


def _math_and_platypus(math: int, platypus: int, plants: tuple[str, ...]) -> list[File]:
    files = _parts(
        "mathinstruct/MathInstruct",
        ".json",
        math,
        lambda path, size: File(path, "array", size, "math", plants=plants),
    )
    return files + _parts(
        "open-platypus/open_platypus",
        ".jsonl",
        platypus,
        lambda path, size: File(path, "jsonl", size, "platypus", plants=plants),
    )


# Those whose inputs have about 400 bytes.
LONG_FAMILIES = {"simplification", "title_generation", "grammar_classification", "dialogue_generation"}


def flat(rows: int) -> list[File]:
    """Half JSONL, half task files, each row about 500 bytes; duplicates, but nothing broken."""
    lines, instances = apportion(rows, [1, 1])
    files = _parts(
        "lines/rows",
        ".jsonl",
        lines,
        lambda path, size: File(path, "jsonl", size, "alpaca", plants=DUPLICATES),
    )
    count = max(4, min(250, instances // 2_000))
    long = [family for family in tasks.FAMILIES if family.name in LONG_FAMILIES]
    sizes = apportion(instances, [1] * count)
    files += [
        File(f"tasks/{task.name}.json", "tasks", size, "task", task=task, plants=DUPLICATES)
        for task, size in zip(tasks.tasks(count, long), sizes, strict=True)
        if size
    ]
    return files


# So many that birbal-700k finds all it asks for in both modes. Open-Platypus, OpenBookQA and MathInstruct have fewer.
BIRBAL_ROWS = {
    "lima": 1_030,
    "platypus": 30_000,
    "tasks": 2_460_000,
    "left-out tasks": 30_000,
    "openbook": 5_200,
    "quac": 12_000,
    "cnn": 30_000,
    "math": 540_000,
}
# The tasks that Birbal's rules leave of Natural Instructions, and how many of them the published list has.
BIRBAL_TASKS, SELECTED = 784, 462
SELECTED_TASKS = "birbal/selected_NI_tasks.txt"


def birbal_tasks() -> list[tasks.Task]:
    """The tasks of the `birbal` profile that its list of chosen tasks names."""
    return _birbal_tasks()[:SELECTED]


def _birbal_tasks() -> list[tasks.Task]:
    return tasks.tasks(BIRBAL_TASKS, tasks.ENGLISH)


def birbal(rows: int) -> list[File]:
    """Stand-ins for every source of the Birbal recipes; 3,108,230 rows make all of them full-size."""
    n = dict(zip(BIRBAL_ROWS, apportion(rows, list(BIRBAL_ROWS.values())), strict=True))
    left_out = tasks.tasks(28, tasks.FAMILIES[len(tasks.ENGLISH) :], first=BIRBAL_TASKS + 1)
    files = _parts("lima/lima", ".json", n["lima"], lambda path, size: File(path, "array", size, "long"))
    files += _math_and_platypus(n["math"], n["platypus"], DUPLICATES)
    files += _task_files("natural-instructions/tasks", _birbal_tasks(), n["tasks"], DUPLICATES, breaks=False)
    files += _task_files("natural-instructions/tasks", left_out, n["left-out tasks"], (), breaks=False)
    files += _parts(
        "openbookqa/train", ".jsonl", n["openbook"], lambda path, size: File(path, "jsonl", size, "openbook")
    )
    files += [File("quac/train_v0.2.json", "quac", n["quac"], "quac")] if n["quac"] else []
    files += [File("cnn_dailymail/stories", "stories", n["cnn"], "story")] if n["cnn"] else []
    return files


# A few more than FLAN-MINI takes of each, so that it finds all it asks for.
FLAN_MINI_ROWS = {
    "flan2021": 390_000,
    "p3": 322_000,
    "tasks": 202_000,
    "cot": 101_000,
    "functions": 101_000,
    "contests": 50_500,
    "apps": 50_500,
    "gpt4-alpaca": 52_500,
    "code-alpaca": 20_500,
    "sharegpt": 60_500,
}
FLAN_MINI_TASKS = 200
LANGUAGES = ("go", "java", "javascript", "php", "python", "ruby")
TEMPLATES = ("yes_no", "which_place", "title")


def flan_mini(rows: int) -> list[File]:
    """Stand-ins for every source of the recipe flan-mini; 1,350,500 rows make all of them full-size."""
    n = dict(zip(FLAN_MINI_ROWS, apportion(rows, list(FLAN_MINI_ROWS.values())), strict=True))

    def lines(name: str, size: int, kind: str, variant: str = "", ending: str = ".jsonl") -> list[File]:
        form = {".jsonl": "jsonl", ".json": "array", ".tsv": "tsv"}[ending]
        return _parts(name, ending, size, lambda path, part: File(path, form, part, kind, variant, plants=DUPLICATES))

    files: list[File] = []
    for template, flan, p3 in zip(TEMPLATES, *(apportion(n[one], [1] * 3) for one in ("flan2021", "p3")), strict=True):
        files += lines(f"flan2021/{template}", flan, "flan", template)
        files += lines(f"p3/town_news_{template}", p3, "p3", template)
    files += _task_files(
        "natural-instructions/tasks", tasks.tasks(FLAN_MINI_TASKS, tasks.ENGLISH), n["tasks"], (), breaks=False
    )
    files += lines("flan-cot/sums_train", n["cot"], "cot", ending=".tsv")
    for language, size in zip(LANGUAGES, apportion(n["functions"], [1] * len(LANGUAGES)), strict=True):
        files += lines(f"code_search_net/{language}/train/{language}_train", size, "function", language)
    files += lines("code_contests/train", n["contests"], "contest")
    files += [File("apps/train", "problems", n["apps"], "problems")] if n["apps"] else []
    files += lines("gpt4-alpaca/alpaca_gpt4_data", n["gpt4-alpaca"], "alpaca", ending=".json")
    files += lines("code-alpaca/code_alpaca_20k", n["code-alpaca"], "code", ending=".json")
    return files + lines("sharegpt/sharegpt", n["sharegpt"], "chat", ending=".json")


PROFILES: dict[str, Callable[[int], list[File]]] = {
    "demo": demo,
    "flat": flat,
    "birbal": birbal,
    "flan-mini": flan_mini,
}
