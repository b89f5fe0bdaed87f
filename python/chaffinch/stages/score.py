"""How good answers are: right or wrong, or ROUGE against the best reference."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch import _core
from chaffinch.columns import plain_text, to_arrow
from chaffinch.recipe.score import Generation

EXACT_MATCH = "exact_match"
GENERATION = "generation"


def measure(
    answers: Any,
    references: Any,
    labels: Any,
    generation: Generation | None = None,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> pa.Array:
    """Measures answers.

    Args:
        answers: a column of text; null where there is no answer.
        references: a column of lists of texts.
        labels: a column of text: `exact_match`, 1 where any reference equals the answer byte for byte, else 0;
            `generation`, the highest ROUGE F1 over the references, where an empty side is replaced by the other.
            Anything else is not measured.
        generation: metric, package and normal form of generated answers; default Birbal's.
        threads: default all cores. The scores do not depend on it.
        progress: called with the rows done so far.

    Returns:
        float64, null where answer, references or label are missing.

    Raises:
        ValueError: columns of different lengths or types.

    Examples:
        >>> measure(["Yes", "a cat"], [["No", "Yes"], ["The cat."]], ["exact_match", "generation"]).to_pylist()
        [1.0, 0.4999999950000001]
    """
    generation = generation or Generation()
    answered, said = to_arrow(answers, "answers"), to_arrow(labels, "labels")
    if pa.types.is_string_view(said.type):
        said = plain_text(said)
    if len(answered) != len(said):
        raise ValueError(f"answers has {len(answered):,} rows and labels {len(said):,}")
    codes = pc.if_else(pc.equal(said, EXACT_MATCH), 1, pc.if_else(pc.equal(said, GENERATION), 2, 0))
    codes = pc.if_else(answered.is_valid(), codes.fill_null(0), 0).cast(pa.uint8())
    return pa.array(
        _core.score(
            answered,
            to_arrow(references, "references"),
            codes.combine_chunks(),
            normal_form=generation.normal_form,
            metric=generation.metric,
            compat=generation.compat,
            threads=threads,
            progress=progress,
        )
    )


def task_accuracy(tasks: np.ndarray, labels: Any, scores: Any) -> pa.Array:
    """Of each row of an exact-match task, the share of right rows among the task's answered ones; null for the others.

    Args:
        tasks: the task of each row, as a code.
        labels: a column of text.
        scores: float64, one for each row.
    """
    exact = pc.equal(labels, EXACT_MATCH).fill_null(False)
    counted = pc.and_(exact, scores.is_valid()).to_numpy(zero_copy_only=False)
    values = scores.fill_null(0).to_numpy(zero_copy_only=False)
    n = int(tasks.max(initial=0)) + 1
    right = np.bincount(tasks[counted], values[counted], n)
    answered = np.bincount(tasks[counted], minlength=n)
    with np.errstate(invalid="ignore"):
        accuracy = (right / answered)[tasks]
    return pa.array(accuracy, mask=~exact.to_numpy(zero_copy_only=False) | (answered == 0)[tasks])
