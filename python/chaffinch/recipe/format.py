"""What a recipe says about the text a model is trained on, and what a template file may say."""

from pydantic import Field

from chaffinch.recipe.source import Strict


class Format(Strict):
    """The template of prompts: the name of a shipped one, or the path of a YAML file."""

    template: str = "birbal"


class Segment(Strict):
    """A part of the prompt. `{instruction}` and `{input}` are the row's; a literal brace is doubled."""

    text: str
    when: str | None = Field(default=None, description="left out where this field is empty or white space")
    unless: str | None = Field(default=None, description="left out where this field is not")


class Template(Strict):
    """How a row becomes a prompt. Its response is the first reference, or a conversation's last answer."""

    prompt: list[Segment] = Field(min_length=1)
    turns: dict[str, str] = Field(
        default={},
        description="by role, how a turn before the last answer reads; `{content}` is what it says",
    )
    cue: str = Field(default="", description="what stands between a conversation's turns and its answer")
