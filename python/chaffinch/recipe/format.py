"""What a recipe says about the text a model is trained on, and what files of templates may say."""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, field_validator, model_validator

from chaffinch.recipe.source import Strict, Texts

Handling = Literal["keep", "escape", "refuse"]

FIELD = re.compile(r"\{\{|\}\}|\{([A-Za-z_][\w.-]*)\}|[{}]")


class PoolUse(Strict):
    """Whose rows are written with the templates of a pool. The first use that names a row's source and task is its."""

    file: str = Field(description="the name of a shipped pool, or the path of a YAML file")
    pool: str | None = Field(default=None, description="which of the file's pools, where it has several")
    sources: Annotated[Texts, Field(min_length=1)]
    tasks: Texts | None = Field(default=None, description="names or patterns with `*`; default all of the sources'")
    fields: dict[str, str] = Field(
        default={}, description="a name that the templates use -> the row's own: instruction, input, a key of meta ..."
    )


class Demonstrations(Strict):
    """Other rows, with their answers, before some of the rows that have a pool."""

    share: float = Field(default=0.5, ge=0, le=1, description="of the rows, by keyed hash")
    min: int = Field(default=1, ge=1, description="of one row; how many it has is drawn by keyed hash")
    max: int = Field(default=4, ge=1, le=32)
    within: Annotated[Texts, Field(min_length=1)] = Field(
        default=["source", "task"], description="the columns in which a row and its demonstrations agree"
    )
    max_characters: int = Field(default=6000, ge=1, description="of a prompt with its demonstrations")

    @model_validator(mode="after")
    def _min_is_least(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min is {self.min}, more than max, {self.max}")
        return self


OWN = "tokenizer"


class Format(Strict):
    """How rows become what a model is trained on."""

    template: str = Field(
        default="birbal",
        description="a shipped one's name, the path of a YAML file, or `tokenizer` for the tokenizer's own",
    )
    pools: list[PoolUse] = []
    demonstrations: Demonstrations | None = None
    conversations: StrictBool = Field(
        default=False, description="write every row as `messages`, so that the template's turns are what it is put in"
    )
    marks: Handling | None = Field(
        default=None,
        description="what becomes of text that holds the template's marks; by default it stays, and is counted only"
        " where tokens are made",
    )

    @model_validator(mode="after")
    def _demonstrations_have_templates(self) -> Self:
        if self.demonstrations and not self.pools:
            raise ValueError("`demonstrations:` are written with the templates of `pools:`, and there are none")
        return self


class Segment(Strict):
    """A part of the prompt. `{instruction}` and `{input}` are the row's; a literal brace is doubled."""

    text: str
    when: str | None = Field(default=None, description="left out where this field is empty or white space")
    unless: str | None = Field(default=None, description="left out where this field is not")


class Template(Strict):
    """How a row becomes the text that a model reads, and what of it the model learns.

    In `prompt`, `turns` and `answer`, `{bos}` and `{eos}` are the tokenizer's marks of beginning and end. A row's
    answer is its first reference.
    """

    prompt: list[Segment] = Field(
        default=[],
        description="of a row that is no conversation; without it, instruction and input are a user's turn",
    )
    system: str | None = Field(default=None, description="what the system says where a conversation does not say it")
    turns: dict[str, str] = Field(
        default={},
        description="by role, how a turn that is no answer reads; `{content}` is what it says",
    )
    cue: str = Field(default="", description="what stands before an answer; not learned")
    answer: str = Field(default="{content}{eos}", description="an answer; all of it is learned")
    after: str = Field(default="", description="what stands behind every answer; not learned")
    between: str = Field(default="", description="what stands between an answer and the next turn; not learned")
    system_in_user: bool = Field(
        default=False, description="the system's turn stands within the user's, before its words"
    )
    trim: bool = Field(default=False, description="white space around what a turn says is left out")
    alternate: bool = Field(default=False, description="user and assistant take turns, the user first")
    bos: str = Field(default="", description="what {bos} reads as where there is no tokenizer")
    eos: str = Field(default="", description="what {eos} reads as where there is no tokenizer")
    marks: list[str] = Field(default=[], description="what in a row's own text would look like the template's")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not self.prompt and "user" not in self.turns:
            raise ValueError("a template needs `prompt:`, or a `user:` under `turns:`")
        if "assistant" in self.turns:
            raise ValueError(
                "answers are written by `cue:`, `answer:` and `between:`, not by `turns: {assistant: ...}`"
            )
        return self


class PoolTemplate(Strict):
    """One way to ask what a row asks: `prompt` and `response` with fields in braces, or `jinja` with both.

    Fields are the row's instruction, input, output (the first reference), task, and the keys of its meta; a row that
    lacks one, or has it blank where that leaves the prompt or the response blank, is asked with another template.
    """

    id: str = Field(min_length=1, max_length=200)
    prompt: str | None = None
    response: str = "{output}"
    demonstration: str | None = Field(
        default=None,
        description="how another row reads where `{demonstrations}` stands in the prompt; without these two, its prompt"
        " and response stand before the prompt, an empty line between",
    )
    choices: list[str] = Field(default=[], description="possible answers; `{choices}` is a list of them, a line each")
    answer: str | None = Field(
        default=None, description="the field with the number, from 0, of the right choice, which `{choice}` then is"
    )
    jinja: str | None = Field(default=None, description="prompt and response as promptsource has them, `|||` between")
    answer_choices: str | None = Field(default=None, description="of jinja: the possible answers, `|||` between them")

    @model_validator(mode="after")
    def _is_one_or_the_other(self) -> Self:
        if (self.prompt is None) == (self.jinja is None):
            raise ValueError(f"template {self.id!r} needs a prompt or jinja, and only one of them")
        if self.jinja is not None:
            others = {"response", "demonstration", "choices", "answer"} & self.model_fields_set
            if others:
                raise ValueError(
                    f"template {self.id!r}: {', '.join(sorted(others))} goes with a prompt, not with jinja"
                )
            return self
        assert self.prompt is not None
        if self.answer_choices is not None:
            raise ValueError(f"template {self.id!r}: answer_choices goes with jinja; write choices")
        named = fields_of(self.prompt)
        if {"output", "choice"} & {*named}:
            raise ValueError(f"template {self.id!r}: the prompt holds the answer, which the model is to learn")
        if ("demonstrations" in named) != (self.demonstration is not None):
            raise ValueError(f"template {self.id!r}: `demonstration:` and {{demonstrations}} go together")
        everything = {*named, *fields_of(self.response), *fields_of(self.demonstration or "")}
        if ("choices" in everything and not self.choices) or ("choice" in everything and not self.answer):
            raise ValueError(f"template {self.id!r}: {{choices}} needs `choices:`, and {{choice}} `answer:`, too")
        if self.answer is not None and not self.choices:
            raise ValueError(f"template {self.id!r}: `answer:` is the number of one of the `choices:`")
        return self


class Pool(Strict):
    """The templates of one data set."""

    name: str = Field(min_length=1, max_length=200)
    templates: list[PoolTemplate] = Field(min_length=1)

    @field_validator("templates")
    @classmethod
    def _ids_are_unique(cls, templates: list[PoolTemplate]) -> list[PoolTemplate]:
        ids = [template.id for template in templates]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"two templates have the id {twice[0]!r}")
        return templates


def _as_list(value: object) -> object:
    return [value] if isinstance(value, dict) else value


class PoolFile(Strict):
    """One or more pools."""

    pools: Annotated[list[Pool], BeforeValidator(_as_list), Field(min_length=1)]


def fields_of(text: str) -> list[str]:
    """The fields that stand in braces.

    Raises:
        ValueError: a brace is left open, or what it holds is no name.
    """
    return [text for text, is_field in pieces(text) if is_field]


def pieces(text: str) -> list[tuple[str, bool]]:
    """A pattern's parts: literals (False) and fields (True); `{{` and `}}` are braces."""
    found: list[tuple[str, bool]] = []
    literal, end = "", 0
    for part in FIELD.finditer(text):
        literal += text[end : part.start()]
        end = part.end()
        if part[0] in ("{{", "}}"):
            literal += part[0][0]
            continue
        if part[1] is None:
            raise ValueError(f"{text[:80]!r}: a field stands in braces, and a literal brace is doubled")
        found += [(literal, False)] if literal else []
        found.append((part[1], True))
        literal = ""
    literal += text[end:]
    return [*found, (literal, False)] if literal else found
