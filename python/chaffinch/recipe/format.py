"""What a recipe says about the text a model is trained on, and what a template file may say."""

from typing import Self

from pydantic import Field, model_validator

from chaffinch.recipe.source import Strict

OWN = "tokenizer"


class Format(Strict):
    """The template: the name of a shipped one, the path of a YAML file, or `tokenizer` for the tokenizer's own."""

    template: str = "birbal"


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
