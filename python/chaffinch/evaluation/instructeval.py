"""MMLU, BBH, DROP and CRASS as INSTRUCTEVAL asks them (declare-lab/instruct-eval).

A prompt ends in `Answer:`, shots have the answer behind it, and an answer is right when it starts with the label. Where
INSTRUCTEVAL reads CSV with pandas, which turns cells such as `None` and `1.50` into other ones, the cells are taken
as they are.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from chaffinch.errors import DataError
from chaffinch.evaluation.task import (
    Change,
    Question,
    Task,
    files_of,
    heads_of,
    part,
    rows_of,
    some,
    starts_with_label,
)
from chaffinch.files import csv_lines

PROTOCOL = "instructeval"
LETTERS = "ABCD"
MAX_PROMPT_TOKENS = 2048

# The three cases of the paper that CRASS comes from, as INSTRUCTEVAL shows them: premise, question, options, answer.
CRASS_SHOTS = [
    (
        "A feather falls from a skyscraper.",
        "What would have happened if a computer had fallen from the skyscraper?",
        [
            "The computer would have remained intact.",
            "That is not possible.",
            "The computer would have been crushed.",
        ],
        "C",
    ),
    (
        "A lightning hits a tree.",
        "What would have happened if a marble would have hit the tree?",
        [
            "It would have burned down.",
            "Nothing special would have happened.",
            "The tree would have kissed the lightning.",
        ],
        "B",
    ),
    (
        "A man drinks a beer.",
        "What would have happened if the man had drunk a rainbow?",
        ["It would have been tasty.", "It would have been awful.", "That is not possible."],
        "C",
    ),
]


def _task(name: str, shots: int, max_new_tokens: int, files: tuple[Path, ...], questions: list[Question]) -> Task:
    if not questions:
        raise DataError(f"{name} has no item left to ask\nhint: {shots} shots are taken from the items themselves")
    return Task(
        name,
        PROTOCOL,
        shots,
        "accuracy",
        "groups" if name.startswith("bbh") else "items",
        max_new_tokens,
        files,
        questions,
        starts_with_label,
        max_prompt_tokens=MAX_PROMPT_TOKENS,
    )


def mmlu(data: Path, shots: int, change: Change) -> Task:
    """MMLU: the subject's dev items as shots, 2 new tokens, the mean over all items."""
    tests = files_of("mmlu/test", data)
    devs = {path.name.partition(".")[0]: path for path in files_of("mmlu/dev", data)} if shots else {}
    questions = []
    for path in tests:
        stem = path.name.partition(".")[0]
        subject = stem.removesuffix("_test")
        solved = []
        if shots:
            dev = devs.get(f"{subject}_dev")
            if dev is None:
                raise DataError(f"{path}: no dev items for the shots\nhint: put {subject}_dev.csv beside the others")
            rows = mmlu_rows(dev)[:shots]
            solved = [f"{_options(question, options)}\nAnswer: {label}\n\n" for question, options, label in rows]
        begin = f"The following are multiple choice questions (with answers) about  {subject.replace('_', ' ')}.\n\n"
        heads = heads_of(solved, begin)
        for at, (question, options, label) in enumerate(mmlu_rows(path)):
            body = f"{_options(*change.item(question, options))}\nAnswer:"
            # As `evaluation_sets` has it: with the stem before it where there are several files.
            id_ = f"{stem}:{at}" if len(tests) > 1 else str(at)
            questions.append(Question(id_, subject, body, (label,), heads))
    return _task("mmlu/test", shots, 2, (*tests, *devs.values()), questions)


def _options(question: str, options: list[str]) -> str:
    return question + "".join(f"\n{letter}. {option}" for letter, option in zip(LETTERS, options, strict=False))


def mmlu_rows(path: Path) -> list[tuple[str, list[str], str]]:
    """Question, options and letter; the original files have no header, others do, and their answers are indices."""
    lines = some(csv_lines(path), path)
    answers = {letter: letter for letter in LETTERS} | {str(at): letter for at, letter in enumerate(LETTERS)}
    if lines and lines[0][-1].strip() not in answers:
        lines = lines[1:]
    for at, line in enumerate(lines):
        if len(line) != 6 or line[5].strip() not in answers:
            hint = "a row is question, four choices, and the answer as A to D or 0 to 3"
            raise DataError(f"{path}: row {at} is no item of MMLU\nhint: {hint}")
    return some([(line[0], line[1:5], answers[line[5].strip()]) for line in lines], path)


def bbh(data: Path, shots: int, change: Change) -> Task:
    """BIG-Bench Hard: a task's first rows as shots and not asked, 32 new tokens, the mean over the tasks."""
    files = files_of("bbh/test", data)
    questions = []
    for path in files:
        stem = path.name.partition(".")[0]
        rows = [(part(row, path, "input"), part(row, path, "target")) for row in rows_of(path, "examples")]
        heads = heads_of([f"{given}\nAnswer: {target}\n\n" for given, target in rows[:shots]])
        for at, (given, target) in enumerate(rows[shots:], shots):
            id_ = f"{stem}:{at}" if len(files) > 1 else str(at)
            asked, right = change.item(given, [target])
            questions.append(Question(id_, stem, f"{asked}\nAnswer:", tuple(right), heads))
    return _task("bbh/test", shots, 32, files, questions)


def drop(data: Path, shots: int, change: Change) -> Task:
    """DROP: items whose answers agree, 8 new tokens; the shots by seed 0, no question about a passage of theirs."""
    files = files_of("drop/validation", data)
    rows = [row for path in files for row in _drop_rows(path)]
    kept = [(passage, question, spans[0]) for passage, question, spans in rows if len(set(spans)) == 1]
    numbers = [at for at, (_, _, spans) in enumerate(rows) if len(set(spans)) == 1]
    if len(kept) <= shots:
        raise DataError(f"{files[0]} has {len(kept)} items that can be asked\nhint: the shots alone are {shots}")
    chosen = random.Random(0).sample(kept, shots)
    heads = heads_of([f"{passage} {question}\nAnswer: {answer}\n\n" for passage, question, answer in chosen])
    seen = {passage for passage, _, _ in chosen}
    questions = []
    for at, (passage, question, answer) in zip(numbers, kept, strict=True):
        if passage not in seen:
            asked, right = change.item(f"{passage} {question}", [answer])
            questions.append(Question(str(at), "", f"{asked}\nAnswer:", tuple(right), heads))
    return _task("drop/validation", shots, 8, files, questions)


def _drop_rows(path: Path) -> list[tuple[str, str, list[str]]]:
    """Passage, question and all annotators' spans, of the makers' file or of rows as on the hub."""
    rows = rows_of(path)
    found = []
    for row in rows:
        if "passage" in row:
            spans = part(row, path, "answers_spans")["spans"]
            found.append((row["passage"].strip(), part(row, path, "question").strip(), spans))
            continue
        for section in row.values():
            for pair in section["qa_pairs"]:
                spans = drop_answers(pair)
                if spans is not None:
                    found.append((section["passage"].strip(), pair["question"].strip(), spans))
    return [(passage, question, [span.strip() for span in spans]) for passage, question, spans in found]


def drop_answers(pair: Mapping[str, Any]) -> list[str] | None:
    """All annotators' answers; None, as on the hub, where one is of two kinds or none is there."""
    answers = [_spans(answer) for answer in pair.get("validated_answers") or [pair["answer"]]]
    spans = [span for own in answers if own is not None for span in own]
    return spans if spans and None not in answers else None


def _spans(answer: Mapping[str, Any]) -> list[str] | None:
    """An annotator's answer as texts; None when it is of several kinds."""
    date = " ".join((answer.get("date") or {}).get(name) or "" for name in ("day", "month", "year")).strip()
    kinds = [[str(answer["number"])] if answer["number"] != "" else [], [date] if date else [], [*answer["spans"]]]
    there = [kind for kind in kinds if kind]
    return None if len(there) > 1 else there[0] if there else []


def crass(data: Path, shots: int, change: Change) -> Task:
    """CRASS: three fixed shots, options in an order by seed 0, 8 new tokens."""
    files = files_of("crass", data)
    path = files[0]
    if path.suffix != ".csv":
        raise DataError(f"{path}: INSTRUCTEVAL asks CRASS from its makers' .csv\nhint: CRASS_FTM_main_data_set.csv")
    shown = [
        f"{premise} {_options(question, options)}\nAnswer: {label}\n\n"
        for premise, question, options, label in CRASS_SHOTS
    ]
    heads = heads_of(shown[:shots])
    shuffling = random.Random(0)
    questions = []
    for at, line in enumerate(some(path.read_text(encoding="utf-8-sig").splitlines()[1:], path)):
        cells = line.strip().split(";")
        options = [cell.strip() for cell in cells[4:8] if cell.strip()]
        if len(cells) < 5 or not options:
            raise DataError(f"{path}: line {at + 2} is no item of CRASS\nhint: cells lie between semicolons")
        right = options[0]
        shuffling.shuffle(options)
        label = LETTERS[options.index(right)]
        asked = _options(*change.item(f"{cells[2].strip()} {cells[3].strip()}", options))
        questions.append(Question(str(at), "", f"{asked}\nAnswer:", (label,), heads))
    return _task("crass/test", shots, 8, files, questions)
