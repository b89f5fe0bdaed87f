"""What a recipe says about a mixture that others are held against."""

from typing import Literal, Self

from pydantic import Field, model_validator

from chaffinch.recipe.sample import Count
from chaffinch.recipe.source import Strict


class Control(Strict):
    """As many rows, or tokens, of all that are left as another mixture has, chosen without looking at what is good."""

    choose: Literal["random", "longest"] = Field(
        description="random: by a keyed hash of their content; longest: those with most characters in the response"
    )
    rows: Count | None = None
    tokens: Count | None = Field(default=None, description="the first rows that together have at most so many")

    @model_validator(mode="after")
    def _one_size(self) -> Self:
        if (self.rows is None) == (self.tokens is None):
            raise ValueError("give one of rows and tokens")
        return self
