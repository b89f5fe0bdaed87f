"""Formats that are no table of rows: each is unfolded into lines of JSON, which the core reads like others.

Nothing is decided about a row here. What is not as the format promises is passed on as it is, and the core
quarantines it.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from chaffinch.errors import DataError
from chaffinch.readers.inputs import Input

HIGHLIGHT = "@highlight"

# These formats are held in memory as a whole.
MOST_BYTES = 1 << 30
MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5": "zstd"}

# What Python's parser raises on text that is no JSON, nested too deeply included.
NOT_JSON = (ValueError, RecursionError)

Json = dict[str, Any]


def stories(members: tuple[Path, ...]) -> Iterator[bytes]:
    """CNN/DailyMail stories: the article as input, the highlights (one per line) as the reference."""
    for path in members:
        # Bytes that are not UTF-8 come out as they went in, for the core to refuse.
        text = _content(path).decode("utf-8-sig", "surrogateescape")
        article, *highlights = text.replace("\r\n", "\n").split(HIGHLIGHT)
        points = [highlight.strip() for highlight in highlights]
        row: Json = {
            "input": article.strip(),
            "output": ["\n".join(points)] if points else [],
            "file": path.name,
        }
        yield _line(row)


def documents(members: tuple[Path, ...]) -> Iterator[bytes]:
    """Text files, one document each: the reference, as it is but for a BOM; its name is the id."""
    for path in members:
        text = _content(path).decode("utf-8-sig", "surrogateescape")
        yield _line({"input": "", "output": [text] if text.strip() else [], "id": Input(path.name, (), 0).stem})


def problems(members: tuple[Path, ...], *, each_solution: bool = False) -> Iterator[bytes]:
    """APPS problem folders: question.txt, solutions.json (the references), metadata.json (into meta).

    Args:
        members: the folders' files.
        each_solution: makes a row of each solution, as mixtures do that take more rows than APPS has problems.
    """
    folders: dict[Path, dict[str, Path]] = {}
    for member in members:
        folders.setdefault(member.parent, {})[member.name] = member
    for folder, files in sorted(folders.items()):
        row: Json = {}
        raw: dict[str, bytes] = {}
        if "metadata.json" in files:
            metadata = files["metadata.json"].read_bytes()
            try:
                row.update(json.loads(metadata))
            except (*NOT_JSON, TypeError):
                raw["metadata"] = metadata
        row["problem"] = folder.name
        if "question.txt" in files:
            row["instruction"] = files["question.txt"].read_text("utf-8", "surrogateescape")
        if "solutions.json" in files:
            row.pop("output", None)
            raw["output"] = files["solutions.json"].read_bytes()
        for solution in _solutions(raw) if each_solution else [raw]:
            yield _line(row, raw | solution)


def _solutions(raw: dict[str, bytes]) -> list[dict[str, bytes]]:
    """The solutions one by one; what is no list of them stays as it is, for the core to refuse."""
    try:
        solutions = json.loads(raw["output"])
    except (*NOT_JSON, KeyError):
        return [{}]
    one_by_one = isinstance(solutions, list) and solutions
    return [{"output": json.dumps([one]).encode()} for one in solutions] if one_by_one else [{}]


def quac(members: tuple[Path, ...]) -> Iterator[bytes]:
    """QuAC, one row per question: passage and past turns are the input, the original answer the target."""
    for path in members:
        content = _content(path)
        try:
            articles = list(json.loads(content)["data"])
        except (*NOT_JSON, TypeError, KeyError):
            yield content.replace(b"\n", b" ") + b"\n"
            continue
        for article in articles:
            try:
                paragraphs = [(str(one["context"]), list(one["qas"])) for one in article["paragraphs"]]
            except (TypeError, KeyError):
                yield _line({"article": article})
                continue
            for context, questions in paragraphs:
                yield from _questions(article, context, questions)


def _questions(article: Json, context: str, questions: list[Any]) -> Iterator[bytes]:
    """A line for each question; one that is none is passed on as it is and costs itself alone."""
    turns: list[str] = []
    for item in questions:
        try:
            answers = [answer["text"] for answer in item["answers"]]
            if isinstance(original := item.get("orig_answer"), dict):
                answers.insert(0, original["text"])
            row: Json = {
                "id": item["id"],
                "instruction": item["question"],
                "input": "\n\n".join([context, *(["\n".join(turns)] if turns else [])]),
                "output": answers,
                **{key: article[key] for key in ("title", "section_title") if key in article},
                **{key: item[key] for key in ("followup", "yesno") if key in item},
            }
        except (TypeError, KeyError, AttributeError):
            yield _line({"question": item})
            continue
        yield _line(row)
        turns += [f"Question: {item['question']}", f"Answer: {answers[0] if answers else ''}"]


def openbookqa(members: tuple[Path, ...]) -> Iterator[bytes]:
    """OpenBookQA: the stem is the instruction, the lettered choices the input, the right one the target."""
    for path in members:
        for line in _content(path).split(b"\n"):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                question = row.pop("question")
                choices = {choice["label"]: f"{choice['label']}. {choice['text']}" for choice in question["choices"]}
                key = row.pop("answerKey")
                unfolded = {
                    **row,
                    "instruction": question["stem"],
                    "input": "\n".join(choices.values()),
                    "output": [choices[key]] if key in choices else [],
                }
            except (*NOT_JSON, TypeError, KeyError, AttributeError):
                yield line + b"\n"
                continue
            yield _line(unfolded)


UNFOLD: dict[str, Callable[[tuple[Path, ...]], Iterator[bytes]]] = {
    "cnn-stories": stories,
    "text": documents,
    "apps": problems,
    "apps-solutions": partial(problems, each_solution=True),
    "quac": quac,
    "openbookqa": openbookqa,
}


def _content(path: Path) -> bytes:
    """All of a file, unpacked where its first bytes say that it is packed.

    Raises:
        DataError: it is damaged, or larger than such a file can be.
    """
    with path.open("rb") as start:
        packed = MAGIC.get(start.read(2))
    try:
        with pa.input_stream(str(path), compression=packed) as stream:
            content = bytes(stream.read(MOST_BYTES + 1))
    except OSError as error:
        if error.errno:
            raise
        raise DataError(f"{path}: {error}\nhint: the file is damaged; unpack it or fetch it again") from None
    if len(content) > MOST_BYTES:
        raise DataError(f"{path} has more than {MOST_BYTES:,} bytes\nhint: split it into several files")
    return content


def _line(row: Json, raw: dict[str, bytes] | None = None) -> bytes:
    """One line of JSON; `raw` values are JSON already, or pass for it until the core sees them."""
    try:
        line = json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        # A lone surrogate that the file wrote as an escape; the core refuses it as such.
        line = json.dumps(row).encode()
    for key, value in (raw or {}).items():
        # A newline can only stand between JSON's tokens.
        line = b'%s, "%s": %s}' % (line[:-1], key.encode(), value.replace(b"\r", b" ").replace(b"\n", b" "))
    return line + b"\n"
