"""What a recipe says about duplicates."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from chaffinch.recipe.source import Strict

TextField = Literal["instruction", "input", "prompt", "response", "whole"]

NormalForm = Literal["none", "whitespace", "case"]


def _as_list(value: object) -> object:
    return value if isinstance(value, list) else [value]


class Exact(Strict):
    """Rows whose fields are all equal under the normal form are duplicates; one of them stays."""

    on: Annotated[list[TextField], BeforeValidator(_as_list)] = Field(min_length=1)
    normal_form: NormalForm = "none"
    within: Annotated[list[Literal["source", "task"]], BeforeValidator(_as_list)] = Field(
        default=[], description="only rows that agree in these are compared"
    )
    keep: Literal["source-order", "longest", "shortest"] = Field(
        default="source-order",
        description="of the source named first, or by characters of the whole row; then by content",
    )


class Dedup(Strict):
    """Rules, applied one after the other."""

    exact: Annotated[list[Exact], BeforeValidator(_as_list)] = Field(default=[])
