"""What a recipe says about evaluation sets that must not be in the mixture."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, StrictInt

from chaffinch.recipe.dedup import TextField
from chaffinch.recipe.source import Strict, Texts


class Against(Strict):
    """One evaluation set."""

    name: str = Field(
        min_length=1,
        description="a known set (`gsm8k`: its test and validation splits; `gsm8k/train`), a file or pattern"
        " under --data, `hub:gsm8k`, or `hf:org/name[/config][:split]`",
    )
    question: Texts | None = Field(default=None, description="fields, joined; default: guessed by their names")
    choices: Texts | None = None
    answer: Texts | None = None


def _as_list(value: object) -> object:
    values = value if isinstance(value, list) else [value]
    return [{"name": one} if isinstance(one, str) else one for one in values]


class Decontaminate(Strict):
    """Rows that hold items of these evaluation sets."""

    against: Annotated[list[Against], BeforeValidator(_as_list)] = Field(min_length=1)
    on: TextField = Field(default="prompt", description="of a conversation, `whole` is every turn")
    ngram: StrictInt = Field(default=13, ge=1, lt=2**32, description="words")
    min_coverage: float = Field(default=0.5, gt=0, le=1, description="the share of an item that counts")
    common: StrictInt = Field(
        default=50, ge=0, lt=2**32, description="n-grams in more rows, or in more items, tell nothing alone"
    )
    policy: Literal["remove", "flag"] = "remove"
    missing: Literal["error", "skip"] = Field(default="error", description="when a set is not there; skip: a warning")
    except_sources: Texts = Field(default=[], alias="except", description="sources that are let through")
