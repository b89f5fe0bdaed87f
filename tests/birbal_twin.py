"""Birbal's published scripts in plain Python: what each step does with lists and dictionaries."""

import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

from rouge import Rouge

SHARES = [350, 350, 300, 300, 250, 250, 200, 150, 100, 50, 50]
EDGES = [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]


@dataclass(frozen=True)
class Record:
    """What the scripts keep of a row."""

    number: int
    instruction: str
    input: str
    references: tuple[str, ...]
    prediction: str


Tasks = dict[str, list[Record]]


def exact_pool(tasks: Tasks, generator: random.Random, factor: float = 1.0) -> Iterator[tuple[str, int, list[int]]]:
    """Task, decile and the rows taken: wrong ones alone, at most so many as the task's decile says."""
    for task in sorted(tasks):
        records = tasks[task]
        wrong = [one for one in records if one.prediction.split("\n\n")[0] not in one.references]
        accuracy = (len(records) - len(wrong)) / len(records)
        decile = math.floor(int(accuracy * 100) / 10)
        short = [one.number for one in wrong if len(f"{one.instruction} {one.input}".split(" ")) < 800]
        generator.shuffle(short)
        yield task, decile, short[: int(SHARES[decile] * factor)]


def rouge_l(rouge: Rouge, record: Record) -> float:
    """The best F over the references; an empty side is replaced by the other."""
    best = 0.0
    for reference in record.references:
        answer = record.prediction.split("\n\n")[0].strip().replace(".", "").lower()
        truth = reference.replace(".", "").lower()
        if answer and truth:
            best = max(best, float(rouge.get_scores(answer, truth)[0]["rouge-l"]["f"]))
        else:
            best = max(
                best, float(rouge.get_scores(answer or truth or "same", answer or truth or "same")[0]["rouge-l"]["f"])
            )
    return best


def generation_pool(tasks: Tasks, generator: random.Random) -> Iterator[tuple[str, int, int, int, list[int]]]:
    """Task, bucket, its rows, those drawn, and those of them that stay."""
    rouge = Rouge()
    for task in sorted(tasks):
        scores = {one.number: rouge_l(rouge, one) for one in tasks[task]}
        by_number = {one.number: one for one in tasks[task]}
        for number, (low, high) in enumerate(pairwise(EDGES)):
            inside = [one for one, value in scores.items() if low <= value < high]
            rows = len(inside)
            generator.shuffle(inside)
            drawn = inside[: math.floor((0.8 if number == 0 else 0.2) * rows)]
            stay = [one for one in drawn if fits(by_number[one])]
            yield task, number, rows, len(drawn), stay


def fits(record: Record) -> bool:
    """One reference, and short enough for two scripts."""
    inside = len(record.input.split(" "))
    return len(record.references) == 1 and inside <= 1_100 and 1 + inside + record.instruction.count(" ") < 800


def combined(records: list[Record], generator: random.Random) -> list[dict[str, str]]:
    """All rows shuffled, the first of each input, without short and long ones, as question and answer."""
    records = list(records)
    generator.shuffle(records)
    inputs: set[str] = set()
    rows = []
    for one in records:
        if len(f"{one.instruction} {one.input}".split(" ")) >= 800 or one.input in inputs:
            continue
        inputs.add(one.input)
        if len(one.input.split(" ")) <= 4:
            continue
        question = f"### Instruction:\n{one.instruction}\n\n" if one.instruction.strip() else ""
        question += f"### Input:\n{one.input}\n\n### Response:\n"
        rows.append({"question": question, "answer": one.references[0]})
    return rows


def bucket_names() -> list[str]:
    """As recipes name the buckets of generation tasks."""
    return [f"[{low:g}, {high:g})" for low, high in pairwise(EDGES)]
