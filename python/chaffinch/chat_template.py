"""A tokenizer's own template, in Jinja as `transformers` renders it, with what of its text is learned.

What a template marks with `{% generation %}` is learned. Of a template without, an answer is what its turn adds to the
text of the turns before it and the cue, white space at the end not counted.

A template sees no clock (`strftime_now` is not there; templates that ask for the date say what it is then), and no text
of a row becomes one of the tokenizer's own marks.
"""

import json
import re
from typing import Any, NamedTuple

import jinja2
import jinja2.ext
import jinja2.sandbox

from chaffinch.errors import DataError, RecipeError

# Noncharacters, which no text has a use for: around what is learned, and behind the first character of a mark.
START, END, FILLER = "\ufdd0", "\ufdd1", "\ufdd2"
SIGNS = re.compile(f"([{START}{END}{FILLER}])")
DATA, LEARNED = 1, 2
Turns = list[dict[str, str]]


class Refused(Exception):  # noqa: N818 - no error: the row goes
    """The template has no text for these turns."""


class Rendered(NamedTuple):
    """A text as its parts, each with the flags `DATA` and `LEARNED`."""

    parts: list[tuple[str, int]]

    @property
    def text(self) -> str:
        """The whole."""
        return "".join(text for text, _ in self.parts)


class _Generation(jinja2.ext.Extension):
    tags = {"generation"}  # noqa: RUF012 - as Jinja asks for it

    def parse(self, parser: Any) -> Any:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.CallBlock(self.call_method("_learned"), [], [], body).set_lineno(line)

    def _learned(self, caller: Any) -> str:
        return f"{START}{caller()}{END}"


def _environment() -> Any:
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, jinja2.ext.loopcontrols]
    )

    def tojson(value: Any, ensure_ascii: bool = False, **how: Any) -> str:
        return json.dumps(value, ensure_ascii=ensure_ascii, **how)

    def raise_exception(message: str) -> None:
        raise jinja2.TemplateError(message)

    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    return environment


class ChatTemplate:
    """A template of a tokenizer.

    Args:
        source: its Jinja.
        bos: what it knows as `bos_token`.
        eos: what it knows as `eos_token`.

    Raises:
        RecipeError: it is no Jinja.
    """

    def __init__(self, source: str, bos: str | None, eos: str | None) -> None:
        try:
            self._template = _environment().from_string(source)
        except jinja2.TemplateError as error:
            raise RecipeError(f"the tokenizer's chat_template: {error}\nhint: choose a shipped template") from None
        self.source = source
        self._marks = {"bos_token": bos or "", "eos_token": eos or ""}
        self._says = re.search(r"\{%-?\s*generation\b", source) is not None

    def _render(self, turns: Turns, *, cue: bool = False) -> str:
        try:
            return str(self._template.render(messages=turns, add_generation_prompt=cue, **self._marks))
        except jinja2.exceptions.SecurityError as error:
            raise RecipeError(f"the tokenizer's chat_template: {error}\nhint: choose a shipped template") from None
        except (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError) as error:
            raise Refused(str(error)) from None

    def prompt(self, turns: Turns) -> str:
        """The text before an answer to `turns`, cue included."""
        return SIGNS.sub("", self._render(turns, cue=True))

    def render(self, turns: Turns) -> Rendered:
        """The text of `turns`, of which a text may hold `FILLER` behind the first character of each mark.

        Raises:
            Refused: the template refuses them.
            DataError: the template has no `{% generation %}`, and earlier turns read differently once others follow.
        """
        text = self._render(turns)
        if self._says:
            return _parts(text)
        cuts = []
        for at, turn in enumerate(turns):
            if turn["role"] != "assistant":
                continue
            upto, before = self._render(turns[: at + 1]), self._render(turns[:at], cue=True)
            if not upto.startswith(before):
                before = self._render(turns[:at])
            if not (text.startswith(upto) and upto.startswith(before)):
                raise DataError(
                    "the tokenizer's chat_template writes turns differently once others follow, and does not say "
                    "what is learned\nhint: mark it with {% generation %} in the template, or choose a shipped template"
                )
            cuts.append((len(before), max(len(before), len(upto.rstrip()))))
        signed, done = [], 0
        for start, end in cuts:
            signed += [text[done:start], START, text[start:end], END]
            done = end
        return _parts("".join([*signed, text[done:]]))


def _parts(text: str) -> Rendered:
    parts: list[tuple[str, int]] = []
    learned = 0
    for piece in SIGNS.split(text):
        if piece == START:
            learned = LEARNED
        elif piece == END:
            learned = 0
        elif piece == FILLER:
            if parts:
                before, flags = parts.pop()
                parts += [(before[:-1], flags), (before[-1:], flags | DATA)]
        elif piece:
            parts.append((piece, learned))
    return Rendered([part for part in parts if part[0]])
