"""Rows as the JSON lines that trainers with their own templates and tokenisers read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from chaffinch.errors import DataError
from chaffinch.stages.format import TEXTS, Prepare
from chaffinch.stages.write import BATCH, Written, file_name
from chaffinch.store import Rows

Turns = list[dict[str, str]]
_SHAREGPT = {"user": "human", "assistant": "gpt", "tool_call": "function_call", "tool": "observation"}
_OPENAI = {"tool_call": "assistant"}


def write_text(
    form: str,
    folder: Path,
    split: str,
    rows: Rows,
    numbers: np.ndarray,
    prepare: Prepare,
    *,
    advance: Callable[[int], object],
) -> Written:
    """Writes rows as one file of JSON lines.

    `alpaca`: instruction, input, output; a conversation's earlier turns are `history` (pairs) and its system turn
    `system`. `sharegpt`: conversations of {from, value} and `system`. `openai`: messages of {role, content}. Of the
    others, instruction and input become one user turn, with a line break between them.

    Args:
        form: one of these.
        folder: where the file goes; made when missing.
        split: its name.
        rows: the store.
        numbers: row numbers, in the order in which they are written.
        prepare: what puts them in the words of the mixture.
        advance: called with the rows written so far.

    Raises:
        DataError: a conversation that `alpaca` cannot hold: tools, or turns that do not alternate.
    """
    folder.mkdir(parents=True, exist_ok=True)
    of_row = {"alpaca": _alpaca, "sharegpt": _sharegpt, "openai": _openai}[form]
    path = folder / file_name(split, 0, 1, "jsonl")
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for start in range(0, len(numbers), BATCH):
            part = numbers[start : start + BATCH]
            texts = prepare(part, rows.gather(part, TEXTS))[0]
            for number, row in zip(part.tolist(), texts.to_pylist(), strict=True):
                try:
                    file.write(json.dumps(of_row(row), ensure_ascii=False) + "\n")
                except _NoAlpacaError as error:
                    row_id = rows.ids(np.array([number], np.uint32))[0].as_py()
                    hint = "trainer: sharegpt and trainer: openai hold every conversation; or leave the row out"
                    raise DataError(f"{row_id}: {error}, which alpaca rows cannot say\nhint: {hint}") from None
            advance(start + len(part))
    return Written(split, path.name, len(numbers), path.stat().st_size)


class _NoAlpacaError(ValueError):
    """A conversation that is no list of questions and answers."""


def _turns(row: dict[str, Any]) -> Turns:
    if row["messages"] is not None:
        return list(row["messages"])
    prompt = "\n".join(text for text in (row["instruction"], row["input"]) if text)
    answer = row["references"][0] if row["references"] else ""
    return [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}]


def _alpaca(row: dict[str, Any]) -> dict[str, Any]:
    if row["messages"] is None:
        answer = row["references"][0] if row["references"] else ""
        return {"instruction": row["instruction"], "input": row["input"], "output": answer}
    system, turns = _without_system(row["messages"])
    wrong = [turn["role"] for turn in turns if turn["role"] not in ("user", "assistant")]
    if wrong:
        raise _NoAlpacaError(f"a turn of {wrong[0]}")
    pairs = [turns[at : at + 2] for at in range(0, len(turns), 2)]
    if not pairs or any([turn["role"] for turn in pair] != ["user", "assistant"] for pair in pairs):
        raise _NoAlpacaError("turns that do not alternate between user and assistant")
    *earlier, (question, answer) = [[turn["content"] for turn in pair] for pair in pairs]
    values: dict[str, Any] = {"instruction": question, "input": "", "output": answer}
    return values | ({"system": system} if system else {}) | ({"history": earlier} if earlier else {})


def _sharegpt(row: dict[str, Any]) -> dict[str, Any]:
    system, turns = _without_system(_turns(row))
    said = [{"from": _SHAREGPT.get(turn["role"], turn["role"]), "value": turn["content"]} for turn in turns]
    return {"conversations": said} | ({"system": system} if system else {})


def _openai(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "messages": [
            {"role": _OPENAI.get(turn["role"], turn["role"]), "content": turn["content"]} for turn in _turns(row)
        ]
    }


def _without_system(messages: Turns) -> tuple[str, Turns]:
    if messages and messages[0]["role"] == "system":
        return messages[0]["content"], messages[1:]
    return "", list(messages)
