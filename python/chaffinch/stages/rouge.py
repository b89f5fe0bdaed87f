"""ROUGE as two packages compute it, to the last bit, and exact match under named normal forms."""

import re
import string
from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from chaffinch import _core
from chaffinch.columns import to_arrow

SCORE = "rouge-score==0.1.2"
PACKAGES = (SCORE, "rouge==1.0.1")


def rouge(
    predictions: Any,
    references: Any,
    *,
    metric: str = "rougeL",
    compat: str = SCORE,
    stemmer: bool = False,
    reduce: str = "max",
    threads: int | None = None,
) -> pa.Table:
    """Scores predictions against one or several references each.

    Args:
        predictions: a column of text. A null is the empty text.
        references: a column of text, or of lists of texts.
        metric: `rouge1` to `rouge9`, `rougeL` or `rougeLsum`; of `rouge==1.0.1`, `rouge1` to `rouge5` or `rougeL`.
        compat: the package and version whose answer is given. `rouge-score==0.1.2` (Lin 2004, tokens of ASCII letters
            and digits) or `rouge==1.0.1`, which counts distinct words, cuts at full stops and adds 1e-8 within F1.
        stemmer: of `rouge-score`: Porter's with NLTK's extensions, as in NLTK 3.10.4, for words longer than three
            letters.
        reduce: of several references `max`, the first score with the highest F1, as in `RougeScorer.score_multi`, or
            `mean`, the mean of precisions, of recalls and of F1s.
        threads: default all cores. The answer does not depend on it.

    Returns:
        A table (precision, recall, f1: float64), a row for each prediction. Null where there is no reference, or where
        `rouge==1.0.1` refuses all pairs because a text has nothing but full stops.

    Raises:
        ValueError: columns of different lengths or not of text, an unknown metric, package or reduction.

    Examples:
        >>> rouge(["the cat sat"], [["a dog ran", "the cat sat down"]]).to_pylist()
        [{'precision': 1.0, 'recall': 0.75, 'f1': 0.8571428571428571}]
    """
    return pa.table(
        _core.rouge(
            _in_place(predictions) or _text(predictions, "predictions"),
            _in_place(references) or _references(references),
            metric=metric,
            compat=compat,
            stemmer=stemmer,
            reduce=reduce,
            threads=threads,
        )
    )


class RougePool:
    """Texts to compare others with by ROUGE-L, each parted into tokens once: the filter of Self-Instruct.

    Self-Instruct (Wang et al. 2023, section 2.2) takes a new instruction when its ROUGE-L F1 with every one of the
    pool is below 0.7. Scores are those of `rouge-score` 0.1.2, to the last bit; the longest common subsequence and its
    F1 are the same in both directions.

    Memory: 4 bytes a token and 8 a text, beside the distinct words; texts are not kept.

    Examples:
        >>> pool = RougePool(["write a poem", "name three birds"])
        >>> pool.most_similar(["name three large birds"]).to_pylist()
        [{'row': 1, 'f1': 0.8571428571428571}]
        >>> pool.add(["sort a list"])
        >>> len(pool)
        3
    """

    def __init__(self, texts: Any = (), *, stemmer: bool = False) -> None:
        """A pool of a column of texts, none at first by default; a null is the empty text. `stemmer` as in `rouge`.

        Raises:
            ValueError: a column that is not text.
        """
        self._pool = _core.RougePool(stemmer=stemmer)
        self.add(texts)

    def __len__(self) -> int:
        """How many texts it has."""
        return len(self._pool)

    def add(self, texts: Any) -> None:
        """Takes a column of more texts; their numbers go on from those before.

        Raises:
            ValueError: a column that is not text.
        """
        self._pool.add(_in_place(texts) or _text(texts, "texts"))

    def most_similar(self, texts: Any, *, threads: int | None = None) -> pa.Table:
        """Of the pool, the text most like each of a column of texts.

        Returns:
            A table (row: uint64, f1: float64), a row for each text: the highest F1, and the number in the pool of the
            first text that has it. Null where the pool is empty.

        Raises:
            ValueError: a column that is not text.
        """
        return pa.table(self._pool.most_similar(_in_place(texts) or _text(texts, "texts"), threads=threads))


def rouge_pair(
    prediction: str, references: Sequence[str], *, metric: str = "rougeL", compat: str = SCORE, stemmer: bool = False
) -> tuple[float, float, float] | None:
    """Scores one prediction: precision, recall and F1 as `rouge` gives them, without the way through columns.

    Raises:
        ValueError: an unknown metric or package.
    """
    found = _core.rouge_pair(prediction, list(references), metric=metric, compat=compat, stemmer=stemmer)
    return None if found is None else (found[0], found[1], found[2])


def _in_place(values: Any) -> _core.StrList | None:
    """A list of str, or of lists of str, read where it lies; `None` for another column, or one that is refused."""
    return _core.StrList.read(values) if isinstance(values, list) else None


def _references(references: Any) -> pa.ChunkedArray:
    if isinstance(references, list) and any(isinstance(one, list | tuple) for one in references):
        # To pyarrow a text among lists is a list of its characters.
        for row, one in enumerate(references):
            if not isinstance(one, list | tuple | None):
                kind = type(one).__name__
                raise ValueError(f"references: row {row} is {kind}, not a list\nhint: give lists of str")
        try:
            return pa.chunked_array([pa.array(references, pa.list_(pa.string()))])
        except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError) as error:
            raise ValueError(f"references: {error}\nhint: give lists of str") from error
    column = to_arrow(references, "references")
    value = column.type.value_type if _is_list(column.type) else column.type
    _check_text(value, column.type, "references")
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _text(values: Any, name: str) -> pa.ChunkedArray:
    column = to_arrow(values, name)
    _check_text(column.type, column.type, name)
    return column.cast(pa.string()) if pa.types.is_null(column.type) else column


def _check_text(kind: pa.DataType, whole: pa.DataType, name: str) -> None:
    if isinstance(kind, pa.DictionaryType):
        kind = kind.value_type
    is_text = pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind)
    if not (is_text or pa.types.is_null(kind)):
        raise ValueError(f"{name} is {whole}, not text\nhint: cast it to str first")


_ARTICLES = re.compile(r"\b(a|an|the)\b", re.UNICODE)
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?|-?\.\d+")


def normalise(text: str, form: str) -> str:
    """A text as exact match sees it.

    Args:
        text: any text.
        form: `none`; `squad`: lower case, without ASCII punctuation, articles and superfluous white space, as in
            SQuAD's evaluate-v1.1.py; `numeric`: the last number in it without commas and trailing zeros, or the `squad`
            form where it has none.

    Raises:
        ValueError: an unknown form.

    Examples:
        >>> normalise("The Answer, again!", "squad"), normalise("So she pays $1,200.50.", "numeric")
        ('answer again', '1200.5')
    """
    if form == "none":
        return text
    if form == "squad":
        return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())
    if form == "numeric":
        numbers = _NUMBER.findall(text)
        if not numbers:
            return normalise(text, "squad")
        number: str = numbers[-1].replace(",", "")
        if "." in number:
            number = number.rstrip("0").rstrip(".")
        sign = "-" if number.startswith("-") else ""
        digits = number.lstrip("-").lstrip("0")
        digits = "0" + digits if not digits or digits.startswith(".") else digits
        return digits if digits == "0" else sign + digits
    raise ValueError(f"form is {form!r}\nhint: `none`, `squad` or `numeric`")


def exact_match(predictions: Any, references: Any, *, form: str = "none") -> pa.Array:
    """Whether each prediction equals any of its references under a normal form.

    Args:
        predictions: a column of text; a null, a failed answer, has no score.
        references: a column of text, or of lists of texts.
        form: as in `normalise`.

    Returns:
        A bool array, null where the prediction is null or there is no reference.

    Raises:
        ValueError: columns of different lengths or not of text, or an unknown form.

    Examples:
        >>> exact_match(["Yes.", "no"], [["yes"], ["no", "No"]], form="squad").to_pylist()
        [True, True]
    """
    normalise("", form)
    answers = _text(predictions, "predictions").to_pylist()
    expected = _references(references).to_pylist()
    if len(answers) != len(expected):
        raise ValueError(f"predictions has {len(answers):,} rows and references {len(expected):,}")
    return pa.array([_matches(one, all_, form) for one, all_ in zip(answers, expected, strict=True)], pa.bool_())


def _matches(answer: str | None, references: str | list[str | None] | None, form: str) -> bool | None:
    known = [references] if isinstance(references, str) else [one for one in references or [] if one is not None]
    if answer is None or not known:
        return None
    seen = normalise(answer, form)
    return any(normalise(one, form) == seen for one in known)
