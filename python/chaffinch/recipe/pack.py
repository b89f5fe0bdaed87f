"""The recipe's `pack`."""

from typing import Literal

from pydantic import Field

from chaffinch.recipe.source import Strict


class Pack(Strict):
    """Documents into rows of a fixed number of tokens, each document once and whole."""

    length: int = Field(ge=2, lt=2**31, description="tokens of a pack")
    strategy: Literal["best-fit", "first-fit", "sequential"] = Field(
        default="best-fit", description="longest documents first into the fullest or the earliest pack; or in order"
    )
    ranks: int = Field(default=1, ge=1, lt=2**31, description="GPUs that share the packs evenly")
    pad_to_multiple_of: int = Field(
        default=1, ge=1, lt=2**31, description="packs are padded to a multiple of so many tokens"
    )

    def unfit_for(self, trainer: str | None) -> str | None:
        """Why the trainer could not take such packs; None where it can."""
        if trainer == "llama-factory" and self.length % 8:
            return f"{self.length}: LLaMA-Factory pads ids to a multiple of 8, and positions not"
        return None
