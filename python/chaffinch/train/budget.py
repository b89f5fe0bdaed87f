"""How many steps a run may take: the epochs of its mixture, or less where hours or tokens are fewer."""

import re
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chaffinch.errors import RecipeError

# The first steps are slow (kernels are chosen, memory is got); the next ones tell the speed.
WARM, MEASURED = 3, 10
# An evaluated token costs about a third of a trained one: the way back is two thirds of the work.
FORWARD = 1 / 3
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "b": 10**9}


def parse_tokens(text: str | int) -> int:
    """`50M`, `1.5B`, `200k` or a number.

    Raises:
        RecipeError: it is none of these, or none at all.

    >>> parse_tokens("50M")
    50000000
    """
    found = re.fullmatch(r"([0-9][0-9_,]*(?:\.[0-9]+)?)\s*([kmb]?)", str(text).strip().lower())
    tokens = round(float(re.sub("[_,]", "", found[1])) * _UNITS[found[2]]) if found else 0
    if tokens < 1:
        raise RecipeError(f"tokens: {text!r}\nhint: a number of tokens, as 50M or 50_000_000")
    return tokens


@dataclass(frozen=True)
class Mixture:
    """What one epoch takes.

    Attributes:
        steps: optimizer steps of all ranks together.
        tokens: of the training documents.
        validation_tokens: of one evaluation.
    """

    steps: int
    tokens: int
    validation_tokens: int


def steps_for_tokens(tokens: int, mixture: Mixture, of_epoch: Callable[[int], npt.NDArray[np.int64]]) -> int:
    """The steps that take at most so many tokens: steps differ in length, so those of the last epoch are counted.

    Args:
        tokens: the whole budget.
        mixture: what one epoch takes.
        of_epoch: the tokens of each step of an epoch.

    Raises:
        RecipeError: not even one step does.
    """
    epochs, left = divmod(tokens, mixture.tokens)
    ends = np.cumsum(of_epoch(epochs))
    steps = epochs * mixture.steps + int(np.searchsorted(ends, left, side="right"))
    if not steps:
        hint = "hint: more tokens, or fewer to a step: micro_batch, gradient_accumulation, length"
        raise RecipeError(f"tokens: {tokens:,}, and the first step alone has {ends[0]:,}\n{hint}")
    return steps


def evaluation_seconds(step: float, mixture: Mixture) -> float:
    """What an evaluation will take where a step takes `step` seconds."""
    return step * FORWARD * mixture.validation_tokens * mixture.steps / mixture.tokens


def steps_for_seconds(
    seconds: float, *, done: int, taken: float, step: float, mixture: Mixture, eval_steps: int, most: int
) -> int:
    """The steps that end within so many seconds, evaluations and the last of them included.

    Args:
        seconds: the whole budget.
        done: steps so far, which took `taken` seconds.
        taken: see `done`.
        step: seconds of a step.
        mixture: says how long an evaluation is beside a step.
        eval_steps: steps between two evaluations.
        most: never more than these.
    """
    evaluation = evaluation_seconds(step, mixture)
    left = seconds - taken - evaluation
    return max(done, min(most, done + int(left / (step + evaluation / eval_steps))))
