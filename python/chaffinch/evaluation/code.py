"""HumanEval: functions that a model wrote, run against their tests in the sandbox."""

from collections.abc import Sequence
from pathlib import Path

from chaffinch.evaluation.sandbox import Limits, run_code
from chaffinch.evaluation.task import Change, Question, Task, files_of, part, rows_of

# As INSTRUCTEVAL asks.
ASKING = (
    "Please complete the following Python code without providing any additional tasks such as testing or explanations\n"
)
SECONDS = 3.0


def humaneval(data: Path, shots: int, change: Change) -> Task:
    """HumanEval: no shots, 512 new tokens, the first function of one answer."""
    files = files_of("humaneval", data)
    questions = []
    for path in files:
        for row in rows_of(path):
            prompt = part(row, path, "prompt")
            more = {"prompt": prompt, "test": part(row, path, "test"), "entry_point": part(row, path, "entry_point")}
            questions.append(Question(part(row, path, "task_id"), "", f"{ASKING}{change(prompt)}", (), more=more))
    return Task(
        "humaneval/test",
        "instructeval",
        shots,
        "pass@1",
        "items",
        512,
        files,
        questions,
        passes,
        runs_code=True,
    )


def completion(answer: str) -> str:
    """What INSTRUCTEVAL takes of an answer: odd indents made even, and the text before the first blank line."""
    lines = [" " * ((len(line) - len(line.lstrip(" "))) % 2) + line for line in answer.split("\n")]
    return "\n".join(lines).lstrip("\n").split("\n\n")[0]


def passes(question: Question, answers: Sequence[str]) -> float:
    """Whether the function passes its tests within three seconds."""
    more = question.more
    program = f"{more['prompt']}{completion(answers[0])}\n{more['test']}\ncheck({more['entry_point']})"
    return float(run_code(program, limits=Limits(seconds=SECONDS)).verdict == "passed")
