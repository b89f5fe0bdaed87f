"""Which columns of a file hold the texts of a row, and those columns as text."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from chaffinch.errors import DataError
from chaffinch.files import JSON_COLUMN
from chaffinch.readers.plan import NAMES, TEXT_COLUMNS


def choose_columns(table: pa.Table, on: Sequence[str] = (), parts: Sequence[str] = TEXT_COLUMNS) -> list[str]:
    """The columns named, or those that usually hold the parts: a conversation, else the others; else the only text.

    Args:
        table: any columns.
        on: names, taken as they are.
        parts: of `instruction`, `input`, `output` and `messages`, in the order wanted.

    Raises:
        DataError: no such column, or none that is known; the hint names those there are.
    """
    there = table.column_names
    for name in on:
        if name not in there:
            raise DataError(f"no column {name!r}\nhint: there is {', '.join(there) or 'none'}")
    if on:
        return list(dict.fromkeys(on))
    lower = {name.lower(): name for name in reversed(there)}
    known = {part: [lower[name] for name in NAMES[part] if name in lower][:1] for part in parts}
    conversation = known.pop("messages", [])
    texts = [field.name for field in table.schema if _is_text(field)]
    fields = conversation or [name for names in known.values() for name in names] or (texts if len(texts) == 1 else [])
    if not fields:
        hint = f"name it with --on; there is {', '.join(there) or 'none'}"
        raise DataError(f"no column is known to hold texts\nhint: {hint}")
    return fields


def column_text(table: pa.Table, name: str) -> pa.ChunkedArray:
    """A column as text: text as it is, of conversations the contents of the turns, one a line; null stays null.

    Raises:
        DataError: a conversation is nested too deep.
    """
    if _is_text(table.schema.field(name)):
        return table[name]
    try:
        texts = ["\n".join(_said(value)) or None for value in values_of(table, name)]
    except RecursionError:
        raise DataError(f"column {name!r}: a value is nested too deep\nhint: mend the row or leave it out") from None
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def _is_text(field: pa.Field) -> bool:
    kind = field.type
    text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    return text and not (field.metadata or {}).items() >= JSON_COLUMN.items()


def _said(value: Any) -> Iterator[str]:
    """The texts of a value: of a turn its content, of a list those of its items."""
    if isinstance(value, dict):
        yield from _said(next((value[key] for key in ("content", "value", "text") if key in value), None))
    elif isinstance(value, list):
        for one in value:
            yield from _said(one)
    elif value is not None:
        yield written(value)


def values_of(table: pa.Table, name: str) -> list[Any]:
    """A column as Python values, JSON columns of `files.read_table` as what they stand for."""
    values: list[Any] = table[name].to_pylist()
    if (table.schema.field(name).metadata or {}).items() >= JSON_COLUMN.items():
        return [None if value is None else json.loads(value) for value in values]
    return values


def written(value: Any) -> str:
    """A value as text to search with: a lone surrogate, which JSON may have, is replacement characters there."""
    return str(value).encode(errors="surrogatepass").decode(errors="replace")
