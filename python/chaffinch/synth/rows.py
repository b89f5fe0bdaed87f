"""From a file's plan to its records."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chaffinch import draw
from chaffinch.synth.kinds import KINDS, TASK_PROMPTS, Path, Row
from chaffinch.synth.plan import VERSION, File, Plant, plants
from chaffinch.synth.words import ADJECTIVES, NOUNS, sentence

BLOCK = 4096
PROMPT_DRAWS = 8
RESPONSE_DRAWS = 6
LONG_SENTENCES = 120
GENERATORS = ("synthetic-chat-7b", "synthetic-chat-70b")
TRACES = (
    "As an AI language model, I cannot have opinions, but here is an answer. ",
    "I'm sorry, but as an AI developed by nobody I have to be careful here. ",
    "Certainly! Here is a detailed response to your request: ",
)


@dataclass(frozen=True)
class Record:
    """One record as it will be written.

    Attributes:
        slot: its place among the file's records, from 0.
        row: the row in the source's own keys, planted text and tags included; not yet broken.
        plant: what was planted in it, or None.
        note: what the plan does not know: edits made, generator, evaluation item.
    """

    slot: int
    row: Row
    plant: Plant | None
    note: dict[str, Any]


def records(file: File, seed: int, items: Sequence[Row]) -> Iterator[list[Record]]:
    """The records of a file in order, in blocks.

    Args:
        file: the file.
        seed: the corpus's seed.
        items: the evaluation items, of which some are hidden in the rows.
    """
    planted = plants(file, seed)
    maker = _maker(file)
    ids = draw.key(VERSION, seed, "ids", file.path)
    prompt_key = draw.key(VERSION, seed, "prompt", file.stream)
    response_key = draw.key(VERSION, seed, "response", file.stream)
    for start in range(0, file.rows, BLOCK):
        slots = range(start, min(start + BLOCK, file.rows))
        prompts = np.arange(file.first_content + slots.start, file.first_content + slots.stop, dtype=np.uint64)
        responses = prompts.copy()
        for slot in slots:
            plant = planted.get(slot)
            if plant is not None and plant.original is not None and plant.kind != "duplicate-id":
                other, theirs = plant.original
                prompts[slot - start] = other.first_content + theirs
                if plant.kind != "prompt-duplicate":
                    responses[slot - start] = other.first_content + theirs
        p = draw.draws(prompt_key, prompts, PROMPT_DRAWS).tolist()
        r = draw.draws(response_key, responses, RESPONSE_DRAWS).tolist()
        named = (
            draw.draws(ids, np.arange(slots.start, slots.stop, dtype=np.uint64), 2).tolist() if _has_ids(file) else None
        )
        block = []
        for k, slot in enumerate(slots):
            row = maker(p[k], r[k])
            if named:
                row = {"id": _identifier(file, named[k]), **row}
            plant = planted.get(slot)
            note = _plant(file, row, plant, items, ids) if plant else {}
            block.append(Record(slot, row, plant, note))
        yield block


def _maker(file: File) -> Any:
    if file.task is None:
        make, variant = KINDS[file.kind].make, file.variant
        return lambda p, r: make(p, r, variant)
    answer, one_text = file.task.family.make, "string-output" in file.traits

    def instance(p: Sequence[int], r: Sequence[int]) -> Row:
        text, references = answer(p, r)
        return {"input": text, "output": references[0] if one_text else references}

    return instance


def _has_ids(file: File) -> bool:
    return file.kind == "chat" or (file.task is not None and "2021" not in file.traits)


def _identifier(file: File, draws: Sequence[int]) -> str:
    if file.task is None:
        return f"dialogue_{draws[0]:016x}"
    number = file.task.number + ("foreign-ids" in file.traits) * 1000
    return f"task{number:04d}-{draws[0]:016x}{draws[1]:016x}"


def _plant(file: File, row: Row, plant: Plant, items: Sequence[Row], ids: int) -> dict[str, Any]:
    """Plants what is to be planted in `row` and tags it."""
    note: dict[str, Any] = {}
    if plant.kind == "near-duplicate":
        note["edits"] = _edit(row, _prompts(file, row), plant.draw)
    elif plant.kind == "evaluation-item":
        item = items[plant.draw % len(items)]
        note["item"] = item["id"]
        _hide(file, row, plant, item)
    elif plant.kind == "model-generated":
        note["generator"] = row["generator"] = GENERATORS[plant.draw & 1]
        path = _response(file)
        _set(row, path, TRACES[(plant.draw >> 1) % len(TRACES)] + _get(row, path))
    elif plant.kind in {"too-short", "too-long"}:
        note["words"] = _resize(file, row, plant)
    elif plant.kind == "nan":
        row["score"] = math.nan
    elif plant.kind == "duplicate-id":
        assert plant.original is not None
        row["id"] = _identifier(file, draw.draws(ids, np.array([plant.original[1]], np.uint64), 2)[0].tolist())
    elif plant.kind == "repeated-references":
        row["output"] = [row["output"][0]] * 2
    if file.format not in {"tsv", "csv", "parquet"}:
        row["planted"] = name_of(plant)
        if plant.original:
            row["planted_of"] = place_of(*plant.original)
    return note


def name_of(plant: Plant) -> str:
    """`exact-duplicate`, `broken:truncated` ..."""
    return f"broken:{plant.how}" if plant.kind == "broken" else plant.kind


def place_of(file: File, slot: int) -> str:
    """`path#position`, where position counts as the readers count."""
    return f"{file.path}#{slot + file.first_position}"


def _prompts(file: File, row: Row) -> tuple[Path, ...]:
    if file.task is not None:
        return TASK_PROMPTS
    if file.kind in {"chat", "tool"}:
        turn = next(k for k, turn in enumerate(row["conversations"]) if turn["from"] == "human")
        return (("conversations", turn, "value"),)
    return KINDS[file.kind].prompts


def _response(file: File) -> Path:
    return ("output",) if file.task is not None else KINDS[file.kind].response


def _edit(row: Row, paths: tuple[Path, ...], bits: int) -> int:
    """Replaces one word in every sixty of the longest prompt text; returns how many."""
    path = max(paths, key=lambda one: len(_get(row, one)))
    words = _get(row, path).split(" ")
    edits = 1 + len(words) // 60
    for nth in range(edits):
        # The places lie in different stretches of the text, so that no edit undoes another.
        stretch = len(words) // edits
        place = nth * stretch + (bits >> (8 * nth)) % stretch
        new = NOUNS[(bits >> (8 * nth + 4)) & 63]
        words[place] = new if words[place] != new else ADJECTIVES[bits & 63]
    _set(row, path, " ".join(words))
    return edits


def _resize(file: File, row: Row, plant: Plant) -> int:
    """Makes the prompt too short to ask anything, or longer than a model reads; returns its words."""
    noun, adjective = NOUNS[plant.draw & 63], ADJECTIVES[(plant.draw >> 6) & 63]
    short = f"{adjective.title()} {noun}{plant.draw >> 12:x}?"
    text = (
        short
        if plant.kind == "too-short"
        else " ".join(sentence(plant.draw * (2 * nth + 1)) for nth in range(LONG_SENTENCES))
    )
    paths = _prompts(file, row)
    for path in paths[1:]:
        _set(row, path, "")
    _set(row, paths[0], text)
    return len(text.split())


def _hide(file: File, row: Row, plant: Plant, item: Row) -> None:
    question: str = item["question"]
    if plant.how == "lowercase":
        question = "".join(mark for mark in question.lower() if mark.isalnum() or mark == " ")
    elif plant.how == "embedded":
        question = f"{sentence(plant.draw)} {question} {sentence(plant.draw ^ 0xFFFF)}"
    paths = _prompts(file, row)
    for path in paths[1:]:
        _set(row, path, "")
    _set(row, paths[0], question)
    answer = item["answer"]
    _set(
        row,
        _response(file),
        [answer] if file.task is not None and isinstance(row["output"], list) else answer,
    )


def _get(row: Row, path: Path) -> Any:
    value: Any = row
    for part in path:
        value = value[part]
    return value


def _set(row: Row, path: Path, value: Any) -> None:
    _get(row, path[:-1])[path[-1]] = value
