"""How many steps a run may take: the epochs of its mixture, or less where hours or tokens are fewer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from chaffinch.errors import RecipeError
from chaffinch.recipe.sample import amount

# The first steps are slow (kernels are chosen, memory is got); the next ones tell the speed.
WARM, MEASURED = 3, 10
# An evaluated token costs about a third of a trained one: the way back is two thirds of the work.
FORWARD = 1 / 3


def parse_tokens(given: int | str) -> int:
    """A number of tokens as recipes write it, at least one.

    Raises:
        RecipeError: it is none.

    >>> parse_tokens("50M")
    50000000
    """
    try:
        tokens = amount(given)
    except ValueError as error:
        raise RecipeError(f"tokens: {error}\nhint: --tokens 50M") from None
    if tokens < 1:
        raise RecipeError("tokens: 0 leave nothing to learn from\nhint: --tokens 50M")
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
