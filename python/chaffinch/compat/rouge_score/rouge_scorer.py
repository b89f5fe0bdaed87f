"""`rouge_score.rouge_scorer`, to be imported from `chaffinch.compat.rouge_score` instead of `rouge_score`."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from chaffinch.stages.rouge import rouge_pair


class Score(NamedTuple):
    """Precision, recall and F-measure of one pair, as `rouge_score.scoring.Score`."""

    precision: float
    recall: float
    fmeasure: float


class RougeScorer:
    """Scores pairs of texts as `rouge_score.rouge_scorer.RougeScorer` does, to the last bit.

    For many pairs `chaffinch.rouge` over whole columns saves the way through Python.

    Examples:
        >>> RougeScorer(["rougeL"]).score("the cat sat down", "the cat sat")["rougeL"].recall
        0.75
    """

    def __init__(
        self,
        rouge_types: Sequence[str],
        use_stemmer: bool = False,
        split_summaries: bool = False,
        tokenizer: Any = None,
    ) -> None:
        """Takes the arguments of the original.

        Args:
            rouge_types: `rouge1` to `rouge9`, `rougeL`, `rougeLsum`.
            use_stemmer: stem words longer than three letters.
            split_summaries: not supported: put a newline between sentences instead.
            tokenizer: not supported: the default tokenizer is the one that is reproduced.

        Raises:
            ValueError: an argument that is not supported.
        """
        if tokenizer is not None or split_summaries:
            raise ValueError(
                "only the default tokenizer, and rougeLsum by lines, are reproduced\n"
                "hint: use rouge_score itself for another tokenizer, or put newlines between sentences"
            )
        self.rouge_types = list(rouge_types)
        self._stemmer = use_stemmer

    def score(self, target: str, prediction: str) -> dict[str, Score]:
        """Scores one pair.

        Raises:
            ValueError: an unknown type, or a text with a lone surrogate.
        """
        return self.score_multi([target], prediction)

    def score_multi(self, targets: Sequence[str], prediction: str) -> dict[str, Score]:
        """Scores a prediction against several targets; the first with the highest F-measure counts.

        Raises:
            ValueError: no target, an unknown type, or a text with a lone surrogate.
        """
        if not targets:
            raise ValueError("no target\nhint: give at least one")
        scores = {}
        for kind in self.rouge_types:
            found = rouge_pair(prediction, targets, metric=kind, stemmer=self._stemmer)
            assert found is not None
            scores[kind] = Score(*found)
        return scores
