"""What a recipe says about broken, short, long and forbidden rows."""

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StrictInt, model_validator

from chaffinch.recipe.dedup import TextField
from chaffinch.recipe.source import Strict, Texts

LengthField = TextField | Literal["instruction+input"]


class Length(Strict):
    """A field must have at least `min` and at most `max` of a unit."""

    field: LengthField = Field(
        description="`instruction+input`: both with one space between, even where one is empty (Birbal)"
    )
    unit: Literal["characters", "space", "whitespace"] = Field(
        default="whitespace",
        description="Python's len(text), len(text.split(' ')) and len(text.split())",
    )
    min: StrictInt | None = Field(default=None, ge=0)
    max: StrictInt | None = Field(default=None, ge=0)
    sources: Texts | None = Field(default=None, description="only in these sources; default all")

    @model_validator(mode="after")
    def _has_a_bound(self) -> Self:
        if self.min is None and self.max is None:
            raise ValueError("a length needs min or max")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError(f"min {self.min} is above max {self.max}")
        return self


class Forbid(Strict):
    """A field must contain none of the texts."""

    field: TextField
    texts: Annotated[Texts, Field(min_length=1)]
    sources: Texts | None = Field(default=None, description="only in these sources; default all")

    @model_validator(mode="after")
    def _forbids_something(self) -> Self:
        if "" in self.texts:
            raise ValueError("an empty text is in every row, so forbidding it would remove all")
        return self


def _by_field(value: object) -> object:
    """`forbid: {response: ["print("]}` is short for a list of rules for all sources."""
    if isinstance(value, Mapping) and "field" not in value:
        return [{"field": field, "texts": texts} for field, texts in value.items()]
    return value if isinstance(value, list) else [value]


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


class Limits(Strict):
    """What rows must be to stay, once others were counted with them."""

    lengths: Annotated[list[Length], BeforeValidator(_as_list)] = Field(default=[])
    max_references: StrictInt | None = Field(default=None, ge=1)


Turns = Literal["drop", "merge", "refuse"]


class Clean(Strict):
    """What no row may be. The first rule that a row breaks is its reason."""

    turns: Turns = Field(
        default="drop",
        description="of conversations with an empty turn, or whose roles or order the template cannot write: they go;"
        " or they are mended (empty turns left out, turns in a row by one speaker joined, answers before the first"
        " question left out) and go where that does not help; or the build stops",
    )

    empty_prompt: Literal["remove", "keep"] = "remove"
    empty_response: Literal["remove", "keep"] = "remove"
    lengths: Annotated[list[Length], BeforeValidator(_as_list)] = Field(default=[])
    forbid: Annotated[list[Forbid], BeforeValidator(_by_field)] = Field(default=[])
