"""Formats that are no table of rows: each is unfolded into lines of JSON, which the core reads like others.

Nothing is decided about a row here. What is not as the format promises is passed on as it is, and the core
quarantines it.
"""

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

HIGHLIGHT = "@highlight"

Json = dict[str, Any]


def stories(members: tuple[Path, ...]) -> Iterator[bytes]:
    """CNN/DailyMail stories: the article as input, the highlights (one per line) as the reference."""
    for path in members:
        # Bytes that are not UTF-8 come out as they went in, for the core to refuse.
        text = path.read_text("utf-8", "surrogateescape")
        article, *highlights = text.replace("\r\n", "\n").split(HIGHLIGHT)
        points = [highlight.strip() for highlight in highlights]
        row: Json = {
            "input": article.strip(),
            "output": ["\n".join(points)] if points else [],
            "file": path.name,
        }
        yield _line(row)


def problems(members: tuple[Path, ...]) -> Iterator[bytes]:
    """APPS problem folders: question.txt, solutions.json (the references), metadata.json (into meta)."""
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
            except (ValueError, TypeError):
                raw["metadata"] = metadata
        row["problem"] = folder.name
        if "question.txt" in files:
            row["instruction"] = files["question.txt"].read_text("utf-8", "surrogateescape")
        if "solutions.json" in files:
            row.pop("output", None)
            raw["output"] = files["solutions.json"].read_bytes()
        yield _line(row, raw)


def quac(members: tuple[Path, ...]) -> Iterator[bytes]:
    """QuAC, one row per question: passage and past turns are the input, the original answer the target."""
    for path in members:
        content = _content(path)
        try:
            dialogues = [
                (paragraph, article) for article in json.loads(content)["data"] for paragraph in article["paragraphs"]
            ]
            rows = [row for paragraph, article in dialogues for row in _questions(paragraph, article)]
        except (ValueError, TypeError, KeyError):
            yield content.replace(b"\n", b" ") + b"\n"
            continue
        yield from map(_line, rows)


def _questions(paragraph: Json, article: Json) -> Iterator[Json]:
    turns: list[str] = []
    for item in paragraph["qas"]:
        answers = [answer["text"] for answer in item["answers"]]
        if isinstance(original := item.get("orig_answer"), dict):
            answers.insert(0, original["text"])
        yield {
            "id": item["id"],
            "instruction": item["question"],
            "input": "\n\n".join([paragraph["context"], *(["\n".join(turns)] if turns else [])]),
            "output": answers,
            **{key: article[key] for key in ("title", "section_title") if key in article},
            **{key: item[key] for key in ("followup", "yesno") if key in item},
        }
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
            except (ValueError, TypeError, KeyError, AttributeError):
                yield line + b"\n"
                continue
            yield _line(unfolded)


UNFOLD: dict[str, Callable[[tuple[Path, ...]], Iterator[bytes]]] = {
    "cnn-stories": stories,
    "apps": problems,
    "quac": quac,
    "openbookqa": openbookqa,
}


def _content(path: Path) -> bytes:
    content = path.read_bytes()
    return gzip.decompress(content) if content.startswith(b"\x1f\x8b") else content


def _line(row: Json, raw: dict[str, bytes] | None = None) -> bytes:
    """One line of JSON; `raw` values are JSON already, or pass for it until the core sees them."""
    line = json.dumps(row, ensure_ascii=False).encode("utf-8", "surrogateescape")
    for key, value in (raw or {}).items():
        # A newline can only stand between JSON's tokens.
        line = b'%s, "%s": %s}' % (line[:-1], key.encode(), value.replace(b"\r", b" ").replace(b"\n", b" "))
    return line + b"\n"
