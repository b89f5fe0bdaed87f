"""Rows and conversations of any origin as the store's columns of text."""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch.columns import check_names, plain_text, to_arrow

_SPEAKERS = ("user", "assistant")


def as_rows(rows: Any) -> pa.Table:
    """Rows with the store's four columns of text: instruction, input, references, messages.

    Args:
        rows: a list of conversations (lists of `{"role": ..., "content": ...}`), or a table or a list of mappings with
            `messages`, or with `instruction`, `input` and `output` (or `response`).

    Raises:
        ValueError: they are none of these, or a text holds a lone surrogate.
    """
    view = pa.string_view()
    kinds = {
        "references": pa.list_(view),
        "messages": pa.list_(pa.struct([("role", view), ("content", view)])),
    }
    if isinstance(rows, Iterable) and not hasattr(rows, "__arrow_c_stream__") and not isinstance(rows, Mapping):
        given = list(rows)
        if all(isinstance(row, list | tuple) for row in given):
            columns: Any = {"messages": given}
        elif all(isinstance(row, Mapping) for row in given):
            columns = {name: [row.get(name) for row in given] for name in {name for row in given for name in row}}
        else:
            raise ValueError(
                "rows are neither conversations nor mappings\nhint: give lists of {'role': ..., 'content': ...}"
            )
        length = len(given)
    else:
        table = pa.table(rows)
        check_names(table.column_names, "rows")
        columns, length = {name: table[name] for name in table.column_names}, len(table)
    answers = columns.get("output", columns.get("response"))
    if "messages" not in columns and ("instruction" not in columns or answers is None):
        raise ValueError("rows have neither `messages` nor `instruction` and `output`\nhint: rename the columns")
    made = {}
    for name in ("instruction", "input"):
        column = pa.nulls(length, pa.string()) if columns.get(name) is None else columns[name]
        made[name] = pc.fill_null(_plain(column, name), "").cast(view)
    for name, kind in kinds.items():
        column = columns.get(name) if name != "references" else _lists(answers)
        made[name] = _typed(pa.nulls(length, kind) if column is None else column, name, kind)
    return pa.table(made)


def mended(batch: pa.Table) -> pa.Table:
    """The rows with their conversations mended (`mend`)."""
    column = batch["messages"]
    if column.null_count == len(column):
        return batch
    turns = [None if one is None else mend(one) for one in column.to_pylist()]
    at = batch.schema.get_field_index("messages")
    return batch.set_column(at, batch.schema.field(at), pa.array(turns, column.type))


def mend(turns: list[dict[str, str]]) -> list[dict[str, str]]:
    r"""The turns without empty ones and answers before the first question; those in a row by one speaker are one.

    >>> said = [("assistant", "Hi!"), ("user", "a"), ("assistant", " "), ("user", "b"), ("assistant", "c")]
    >>> mend([{"role": role, "content": text} for role, text in said])
    [{'role': 'user', 'content': 'a\n\nb'}, {'role': 'assistant', 'content': 'c'}]
    """
    said = [turn for turn in turns if turn["content"].strip()]
    question = next((at for at, turn in enumerate(said) if turn["role"] == "user"), 0)
    said = [turn for at, turn in enumerate(said) if at >= question or turn["role"] != "assistant"]
    made: list[dict[str, str]] = []
    for role, run in groupby(said, key=lambda turn: turn["role"]):
        if role in _SPEAKERS:
            made.append({"role": role, "content": "\n\n".join(turn["content"] for turn in run)})
        else:
            made += run
    return made


def _lists(answers: Any) -> Any:
    if answers is None:
        return None
    column = _plain(answers, "output").combine_chunks()
    return pa.ListArray.from_arrays(pa.array(np.arange(len(column) + 1, dtype=np.int32)), pc.fill_null(column, ""))


def _plain(values: Any, name: str) -> pa.ChunkedArray:
    column = to_arrow(values, name)
    if pa.types.is_floating(column.type) and pc.any(pc.is_nan(column)).as_py():
        hint = "fill in the texts that are missing, or leave the rows out"
        raise ValueError(f"{name} holds NaN, which is no text\nhint: {hint}")
    try:
        return plain_text(column)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise ValueError(f"{name} is {column.type}, not text\nhint: give one text a row") from None


def _typed(column: Any, name: str, kind: Any) -> Any:
    try:
        if isinstance(column, list):
            turns = [
                None if one is None else [{key: turn[key] for key in ("role", "content")} for turn in one]
                for one in column
            ]
            return pa.chunked_array([pa.array(turns, kind)])
        return to_arrow(column, name).cast(kind)
    except UnicodeEncodeError as error:
        raise ValueError(
            f"{name}: a text holds a lone surrogate, which is no Unicode text\n"
            'hint: mend it with text.encode("utf-8", "replace").decode(), or leave the row out'
        ) from error
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, KeyError, TypeError) as error:
        raise ValueError(f"{name}: {error}\nhint: a turn is {{'role': str, 'content': str}}") from None
