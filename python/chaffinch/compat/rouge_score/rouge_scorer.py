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
            split_summaries: not supported with `rougeLsum`: put a newline between sentences instead.
            tokenizer: anything whose `tokenize` gives a list of tokens; `use_stemmer` is then without effect.

        Raises:
            ValueError: an argument that is not supported.
        """
        if split_summaries and "rougeLsum" in rouge_types:
            raise ValueError(
                "split_summaries needs NLTK's sentences, which are not reproduced\n"
                "hint: put newlines between sentences, or use rouge_score itself"
            )
        self.rouge_types = rouge_types
        self._tokenizer = tokenizer
        self._stemmer = use_stemmer and not tokenizer

    def score(self, target: str, prediction: str) -> dict[str, Score]:
        """Scores one pair.

        Raises:
            ValueError: an unknown type.
        """
        return self.score_multi([target], prediction)

    def score_multi(self, targets: Sequence[str], prediction: str) -> dict[str, Score]:
        """Scores a prediction against several targets; the first with the highest F-measure counts.

        Raises:
            ValueError: no target, or an unknown type.
        """
        if not targets:
            raise ValueError("no target\nhint: give at least one")
        scores: dict[str, Score] = {}
        numbers: dict[Any, int] = {}
        for kind in self.rouge_types:
            texts = [self._text(text, kind, numbers) for text in (prediction, *targets)]
            found = rouge_pair(texts[0], texts[1:], metric=kind, stemmer=self._stemmer)
            assert found is not None
            scores[kind] = Score(*found)
        return scores

    def _text(self, text: str, kind: str, numbers: dict[Any, int]) -> str:
        """The text whose tokens are the original's."""
        if not self._tokenizer:
            # A lone surrogate is in no token, and neither is a question mark.
            return text.encode("utf-8", "replace").decode()
        lines = text.split("\n") if kind == "rougeLsum" else [text]
        of_lines = (
            [numbers.setdefault(token, len(numbers)) for token in self._tokenizer.tokenize(line)] for line in lines
        )
        return "\n".join(" ".join(map(str, line)) for line in of_lines)
