"""What a recipe says about duplicates."""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StrictBool, model_validator

from chaffinch.recipe.source import Strict

TextField = Literal["instruction", "input", "prompt", "response", "whole"]

NormalForm = Literal["none", "whitespace", "case"]


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


class ByNumber(Strict):
    """The row stays that has the highest or the lowest number in a field of its own, such as a score."""

    highest: str | None = Field(default=None, min_length=1)
    lowest: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if (self.highest is None) == (self.lowest is None):
            raise ValueError("keep: give one of `highest` and `lowest`, with the name of a field of `meta`")
        return self


class _Rule(Strict):
    within: Annotated[list[Literal["source", "task"]], BeforeValidator(_as_list)] = Field(
        default=[], description="only rows that agree in these are compared"
    )
    keep: Literal["source-order", "longest", "shortest"] | ByNumber = Field(
        default="source-order",
        description="of the source named first, or by characters of the whole row, or by a number of its `meta`;"
        " then of the source named first, then by content",
    )


class Exact(_Rule):
    """Rows whose fields are all equal under the normal form are duplicates; one of them stays."""

    on: Annotated[list[TextField], BeforeValidator(_as_list)] = Field(min_length=1)
    normal_form: NormalForm = "none"


Similarity = Annotated[float, Field(gt=0, le=1)]


class Near(_Rule):
    """Rows whose fields are all alike, by the Jaccard similarity of their sets of shingles; one of them stays."""

    on: Annotated[list[TextField], BeforeValidator(_as_list)] = Field(
        default=["prompt", "response"],
        min_length=1,
        description="all of them have to be alike, each by itself; of a prompt, instruction and input",
    )
    min_similarity: Similarity | dict[TextField, Similarity] = Field(
        default=0.8, description="for all fields, or for each of `on`"
    )
    ngram: int = Field(default=5, ge=1, le=1000, description="units of a shingle")
    unit: Literal["word", "char"] = "word"
    min_response: int = Field(
        default=0,
        ge=0,
        description="rows with a shorter response, in characters, are left alone: many prompts have the answer `yes`",
    )
    action: Literal["remove", "flag"] = Field(default="remove", description="flag: only told, by report and `why`")

    @model_validator(mode="after")
    def _a_similarity_for_each(self) -> Self:
        if isinstance(self.min_similarity, dict) and set(self.min_similarity) != set(self.on):
            raise ValueError(f"min_similarity has {', '.join(self.min_similarity)}, but `on` is {', '.join(self.on)}")
        return self


class Dedup(Strict):
    """Rules, applied one after the other, the exact ones first."""

    exact: Annotated[list[Exact], BeforeValidator(_as_list)] = Field(default=[])
    near: Annotated[list[Near], BeforeValidator(_as_list)] = Field(default=[])
    spans: StrictBool = Field(
        default=False, description="whether the report has the longest passages that many of the rows left share"
    )
