"""The answerer that needs no model: the answer of the most similar of a task's other cases, by BM25."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from chaffinch.recipe.score import Prompt
from chaffinch.score.prompts import Case, Task, inputs, task_examples
from chaffinch.stages.nearest import nearest
from chaffinch.store import Rows

# Tasks are looked at together up to so many rows, which bounds the memory.
TOGETHER = 1 << 17

COLUMNS = ["source", "task", "instruction", "input", "references"]


def answers(
    rows: Rows, asked: np.ndarray, spec: Prompt, seed: int, *, threads: int | None = None
) -> Iterator[tuple[np.ndarray, list[str | None]]]:
    """Answers rows: each with the first reference of the most similar case of its task, an input apart from its own.

    Cases are the task's positive examples (unless the recipe takes rows alone) and its other rows among `asked`. Of
    rows with one input, the one with the smallest row hash stands for all.

    Yields:
        Some of the rows and their answers; None for a row whose task has no other case.
    """
    examples = task_examples(rows, seed) if spec.take == "examples" else {}
    codes = rows.codes(["source", "task"], threads=threads)[asked]
    in_order = np.lexsort((rows.hash_prefix(asked), codes))
    ends = np.flatnonzero(np.diff(codes[in_order], append=-1)) + 1
    start = 0
    for at, end in enumerate(ends.tolist()):
        if at + 1 < len(ends) and ends[at + 1] - start <= TOGETHER:
            continue
        some = asked[in_order[start:end]]
        start = end
        yield some, _answers(rows, some, examples, threads)


def _answers(rows: Rows, some: np.ndarray, examples: dict[Task, list[Case]], threads: int | None) -> list[str | None]:
    """The answers of whole tasks' rows."""
    table = rows.gather(some, COLUMNS)
    columns = {name: table[name].to_pylist() for name in COLUMNS}
    tasks = list(zip(columns["source"], columns["task"], strict=True))
    asked = list(zip(tasks, inputs(columns["instruction"], columns["input"]), strict=True))
    known: dict[tuple[Task, str], str | None] = {}
    for task in dict.fromkeys(tasks):
        for case in examples.get(task, []):
            known.setdefault((task, case.input), case.output)
    for question, references in zip(asked, columns["references"], strict=True):
        if known.get(question) is None:
            known[question] = references[0] if references else None
    cases = [(question, output) for question, output in known.items() if output is not None]
    number = {question: at for at, (question, _) in enumerate(cases)}
    questions = list(dict.fromkeys(asked))
    group = {task: str(at) for at, task in enumerate(dict.fromkeys(tasks))}
    found = nearest(
        pa.array([text for _, text in questions], pa.large_string()),
        pa.array([text for (_, text), _ in cases], pa.large_string()),
        groups=([group[task] for task, _ in questions], [group[task] for (task, _), _ in cases]),
        except_candidate=pa.array([number.get(question) for question in questions], pa.uint32()),
        threads=threads,
    )
    answer = {
        questions[query]: cases[candidate][1]
        for query, candidate in zip(found["query"].to_pylist(), found["candidate"].to_pylist(), strict=True)
    }
    return [answer.get(question) for question in asked]
