"""What a recipe says about token ids and labels."""

from typing import Literal

from pydantic import Field

from chaffinch.recipe.source import Strict

TooLong = Literal["drop", "truncate", "split"]
TrainOn = Literal["responses", "all"]


class Tokenize(Strict):
    """How the mixture becomes token ids and labels."""

    tokenizer: str = Field(description="a tokenizer.json, a folder with one, or the id of a model on the hub")
    max_length: int = Field(default=2048, ge=2, lt=2**31, description="tokens of a document, at most")
    too_long: TooLong = Field(default="drop", description="what becomes of longer ones")
    train_on: TrainOn = Field(default="responses", description="what has labels")
    add_bos: bool | None = Field(
        default=None, description="begin every document with it; by default as the tokenizer does"
    )
    bos: str | None = Field(default=None, description="over what the tokenizer's files say")
    eos: str | None = Field(default=None, description="over what the tokenizer's files say")
