"""What a recipe says about rows by how well a model answered them."""

import math
from typing import Literal, Self

from pydantic import Field, StrictBool, model_validator

from chaffinch.recipe.clean import Limits
from chaffinch.recipe.source import Strict


class ExactMatchBuckets(Strict):
    """Rows of exact-match tasks by the decile of their task's accuracy: `decile 0` to `decile 10`."""

    only_wrong: StrictBool = Field(default=False, description="only rows that were answered wrongly stay")
    remove_tasks_below: float = Field(default=0.0, ge=0, le=1, description="tasks of a lower accuracy go")
    limits: Limits = Limits()


class GenerationBuckets(Strict):
    """Rows of generation tasks by their score, in half-open intervals: `[0.2, 0.3)`."""

    edges: list[float] = Field(
        default=[0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8],
        min_length=2,
        description="rows below the first, or at or above the last, go",
    )
    limits: Limits = Limits()

    @model_validator(mode="after")
    def _increase(self) -> Self:
        if not all(map(math.isfinite, self.edges)) or sorted({*self.edges}) != self.edges:
            raise ValueError(f"edges {self.edges} are no numbers that increase")
        return self


class Bucket(Strict):
    """Sorts labelled rows by their scores, for `sample: {by: [bucket]}`."""

    exact_match: ExactMatchBuckets = ExactMatchBuckets()
    generation: GenerationBuckets = GenerationBuckets()
    missing: Literal["remove", "keep"] = Field(
        default="remove", description="rows without a score; keep: in buckets `null` and `nan`"
    )
