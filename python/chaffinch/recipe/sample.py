"""What a recipe says about how many rows to draw."""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator

from chaffinch.recipe.clean import Limits
from chaffinch.recipe.source import Strict, Texts

Method = Literal["proportional", "temperature", "weights", "equal"]

Shortfall = Literal["error", "redistribute", "accept"]


def _whole(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError(f"{value!r} is no whole number of rows; write 1000, or `fraction:` for a share such as 0.5")
    if value < 0:
        raise ValueError(f"{value} rows cannot be drawn")
    return value


def _share(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, float):
        raise ValueError(
            f"{value!r} is no fraction; write it with a point (1.0 is all), or `rows:` for a number of rows"
        )
    if not 0 <= value <= 1:
        raise ValueError(f"{value} is no fraction between 0.0 and 1.0")
    return value


def _number(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{value!r} is no number")
    return value


_AMOUNT = re.compile(r"(\d{1,3}(?:_\d{3})+|\d+)(?:\.(\d+))?([kMBG]?)")
_UNITS = {"": 0, "k": 3, "M": 6, "B": 9, "G": 9}


def amount(value: object) -> int:
    """A number of tokens: `50M`, `1.5B`, `2k`, `1_000` or a whole number.

    Raises:
        ValueError: it is none of these.

    >>> amount("1.5M")
    1500000
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _AMOUNT.fullmatch(value) if isinstance(value, str) and value.isascii() else None
    if found is None or len(found[1]) > 18:
        raise ValueError(f"{value!r} is no number of tokens; write 50M, 1.5B, 2k, 1_000 or 1000")
    digits, zeros = (found[2] or "").rstrip("0"), _UNITS[found[3]]
    if len(digits) > zeros:
        raise ValueError(f"{value!r} is no whole number of tokens")
    return int(found[1]) * int(10**zeros) + int(digits.ljust(zeros, "0") or 0)


Amount = Annotated[int, BeforeValidator(amount), Field(lt=2**63)]
Count = Annotated[int, BeforeValidator(_whole)]
Share = Annotated[float, BeforeValidator(_share)]
# Told apart before they are read, so that one wrong number is reported once.
Shares = Annotated[
    Annotated[Share, Tag("one")] | Annotated[dict[str, Share], Tag("each")],
    Discriminator(lambda value: "each" if isinstance(value, dict) else "one"),
]
Amounts = Annotated[
    Annotated[Amount, Tag("one")] | Annotated[dict[str, Amount], Tag("each")],
    Discriminator(lambda value: "each" if isinstance(value, dict) else "one"),
]
Weight = Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False)]


class Sample(Strict):
    """One step: which strata there are, and how many rows of each.

    Exactly one of rows, rows_each, fraction, total and tokens is given.
    A stratum's label is its columns' values joined by "/"; where a row has none, the value is `none`.
    """

    name: str | None = Field(default=None, description="what a recipe laid over this one, or --set, names the step by")
    by: Annotated[Texts, Field(min_length=1)] = Field(default=["source"], description="columns that make the strata")
    where: dict[str, Texts] = Field(default={}, description="only rows with one of these values; others pass untouched")
    per: Texts = Field(
        default=[], description="columns: the step is done within each of their values, over the strata that are there"
    )
    rows: dict[str, Count] | None = None
    rows_each: Count | None = None
    fraction: Shares | None = None
    total: Count | None = None
    tokens: Amounts | None = Field(
        default=None,
        description="a number for each stratum, or a total that is shared out as one of rows is; a stratum's rows are"
        " taken in their order up to the first that would go beyond it",
    )
    method: Method = Field(default="proportional", description="how a total of rows or tokens is shared out")
    cap: Count | None = Field(default=None, description="rows, or tokens, beyond which a stratum weighs no more")
    temperature: Weight | None = Field(default=None, description="weights to the power of 1/temperature")
    weights: dict[str, Weight] | None = None
    min_each: Count | None = Field(default=None, description="of a total: of each stratum at least, or all it has")
    max_each: Count | None = Field(default=None, description="of a total: of each stratum at most")
    rounding: Literal["largest-remainder", "floor"] = Field(
        default="largest-remainder",
        description="of a fraction; floor: Python's math.floor(fraction * rows) for each stratum alone",
    )
    shortfall: Shortfall = "error"
    others: Literal["drop", "keep", "error"] = Field(
        default="error", description="strata that rows, fraction or weights do not name"
    )
    order: Literal["content", "cpython"] = Field(
        default="content",
        description="cpython: each stratum's rows, in the order of the input, after Python's"
        " random.Random(seed).shuffle, one stratum after the other",
    )
    limits: Limits = Field(default=Limits(), description="rows drawn that break them go, and no others come for them")

    @model_validator(mode="after")
    def _means_one_thing(self) -> Self:
        amounts = {
            "rows": self.rows,
            "rows_each": self.rows_each,
            "fraction": self.fraction,
            "total": self.total,
            "tokens": self.tokens,
        }
        given = [name for name, amount in amounts.items() if amount is not None]
        if len(given) != 1:
            raise ValueError(
                f"exactly one of rows, rows_each, fraction, total and tokens is needed, not {given or 'none'}"
            )
        shared = self.total if self.tokens is None else self.tokens if isinstance(self.tokens, int) else None
        if self.tokens is not None and self.order == "cpython":
            raise ValueError("`tokens:` goes with `order: content`")
        needs = {"temperature": self.temperature is not None, "weights": self.weights is not None}
        for name, present in needs.items():
            if present != (shared is not None and self.method == name):
                raise ValueError(f"`{name}:` goes with `total:` and `method: {name}`, and only with it")
        if self.cap is not None and (shared is None or self.method not in ("proportional", "temperature")):
            raise ValueError("`cap:` goes with `total:` and `method: proportional` or `temperature`")
        if shared is None and (self.min_each is not None or self.max_each is not None):
            raise ValueError("`min_each:` and `max_each:` go with `total:`")
        if self.min_each is not None and self.max_each is not None and self.min_each > self.max_each:
            raise ValueError(f"min_each is {self.min_each}, more than max_each, {self.max_each}")
        if self.rounding != "largest-remainder" and self.fraction is None:
            raise ValueError("`rounding:` goes with `fraction:`")
        if twice := sorted({*self.by} & {*self.per}):
            raise ValueError(f"{twice[0]!r} stands in `by:` and in `per:`; quotas name the strata of `by:` alone")
        if shared is None and self.method != "proportional":
            raise ValueError("`method:` goes with `total:`")
        if self.temperature is not None and self.temperature < 1:
            raise ValueError(f"temperature is {self.temperature}, expected at least 1")
        return self
