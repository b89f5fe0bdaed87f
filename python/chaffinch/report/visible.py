"""Text from data, made safe to look at: on a terminal, in a page.

Control characters can move a terminal's cursor, bidirectional overrides can show a text in another order than
it has, and tag characters do not show at all. Each becomes a visible mark. Zero-width joiners stay, because
Persian and emoji are written with them.
"""

import re

MARKED = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)


def mark(character: str) -> str:
    """How one such character is shown: ␛ for the C0 controls, ⟨U+202E⟩ for the others."""
    code = ord(character)
    if code < 0x20:
        return chr(0x2400 + code)
    return "␡" if code == 0x7F else f"⟨U+{code:04X}⟩"


def visible(text: str, limit: int | None = None) -> str:
    """`text` with its invisible and dangerous characters marked; tabs and line breaks stay.

    Args:
        text: any text.
        limit: cut after so many characters, and say how many more there were.
    """
    more = len(text) - limit if limit is not None else 0
    shown = text[:limit] if more > 0 else text
    # CRLF is a line break like any other; a lone CR would let a line overwrite itself.
    shown = MARKED.sub(lambda match: mark(match[0]), shown.replace("\r\n", "\n"))
    return f"{shown} … ({more:,} more characters)" if more > 0 else shown


def inline(text: str, limit: int | None = None) -> str:
    """`visible`, on one line: for identifiers, reasons and file names."""
    return visible(text, limit).replace("\n", "␊").replace("\t", "␉")
