"""Boilerplate: the longest passages that many rows share, word by word. A report: it removes nothing.

Words are seen as near duplicates see them (NFKC, lower case, between white space), so a passage is shared whatever its
case and spacing. Memory: see rust/core/src/dedup/spans.rs; most of it is 4 bytes for each word of the texts.
"""

from typing import Any

import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_labels

FIELDS = {"instruction": "instruction", "input": "input-or-turns", "response": "response"}
MIN_WORDS, TOP = 20, 20
CHARACTERS = 600


def repeated_spans(
    texts: Any,
    *,
    min_words: int = 20,
    min_rows: int | None = None,
    top: int = 100,
    threads: int | None = None,
) -> pa.Table:
    """Finds the longest passages that many rows share.

    A passage is told when it stands in at least `min_rows` rows and cannot be made longer, at either end, in all of
    them; so of a template with two endings there may be three: the common part, and each whole. In a row that has
    the same first `min_words` words twice, the second place is not looked at.

    Args:
        texts: a column of text; null is the empty text.
        min_words: words of a passage at least, 1 to 2,000. Of one longer than 2,000 words the first 2,000 are told.
        min_rows: rows that share it at least; default a thousandth of the rows, and 10 at least.
        top: how many to tell.
        threads: default all cores. The answer does not depend on it.

    Returns:
        A table (text: large_string, words: uint32, rows: uint32), the longest first, then those of most rows. The text
        is as one of the rows has it.

    Raises:
        ValueError: no column of text, or a number out of range.

    Examples:
        >>> texts = ["Now: say it again", "say it again", "Say  it again, Sam"]
        >>> repeated_spans(texts, min_words=2, min_rows=2).to_pylist()
        [{'text': 'say it again', 'words': 3, 'rows': 2}, {'text': 'Say  it', 'words': 2, 'rows': 3}]
    """
    table = to_labels(texts, "texts")
    min_rows = least_rows(len(table)) if min_rows is None else min_rows
    for name, value in (("min_words", min_words), ("min_rows", min_rows), ("top", top)):
        if value < 0:
            raise ValueError(f"{name} is {value}\nhint: give a number that is not negative")
    return pa.table(_core.repeated_spans(table, min_words=min_words, min_rows=min_rows, top=top, threads=threads))


def least_rows(rows: int) -> int:
    """How many of so many rows share what counts as boilerplate: a thousandth, and 10 at least."""
    return max(10, rows // 1000)


def shared_passages(table: pa.Table, rows: Any, *, threads: int | None = None) -> list[dict[str, Any]]:
    """The longest passages that rows of the store share, for its report.

    Args:
        table: the store's texts.
        rows: the row numbers to look at.
        threads: default all cores.

    Returns:
        At most 20 for each part (`instruction`, `input`, which is every turn before the last answer of a conversation,
        and `response`), as `repeated_spans` orders them: part, text (its first 600 characters), words, rows.
    """
    found = []
    for part, field in FIELDS.items():
        spans = _core.repeated_spans(
            table,
            min_words=MIN_WORDS,
            min_rows=least_rows(len(rows)),
            top=TOP,
            field=field,
            rows=pa.array(rows, pa.uint32()),
            threads=threads,
        )
        found += [{"part": part, **one, "text": one["text"][:CHARACTERS]} for one in pa.table(spans).to_pylist()]
    return found
