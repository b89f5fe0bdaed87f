"""What a recipe says about who may have written its rows."""

from typing import Literal

from pydantic import Field

from chaffinch.recipe.source import Strict, Texts


class Provenance(Strict):
    """Refuses rows by where their prompt or response comes from."""

    deny: list[Literal["prompt", "response"]] = Field(
        min_length=1, description="the parts of a row that a model must not have written"
    )
    unknown: Literal["allow", "deny"] = Field(
        default="deny", description="what becomes of a row when nobody says who wrote such a part"
    )
    except_sources: Texts = Field(default=[], alias="except", description="sources that are let through")
