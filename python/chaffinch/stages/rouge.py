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
        threads: default all cores. The answer does not depend on it.

    Returns:
        A table (precision, recall, f1: float64), a row for each prediction. Of several references the first with the
        highest F1 counts, as in `RougeScorer.score_multi`. Null where there is no reference, or where `rouge==1.0.1`
        refuses the pair because a text has nothing but full stops.

    Raises:
        ValueError: columns of different lengths or not of text, an unknown metric or package.

    Examples:
        >>> rouge(["the cat sat"], [["a dog ran", "the cat sat down"]]).to_pylist()
        [{'precision': 1.0, 'recall': 0.75, 'f1': 0.8571428571428571}]
    """
    return pa.table(
        _core.rouge(
            _text(to_arrow(predictions, "predictions"), "predictions"),
            _references(references),
            metric=metric,
            compat=compat,
            stemmer=stemmer,
            threads=threads,
        )
    )


def rouge_pair(
    prediction: str, references: Sequence[str], *, metric: str = "rougeL", compat: str = SCORE, stemmer: bool = False
) -> tuple[float, float, float] | None:
    """Scores one prediction: precision, recall and F1 as `rouge` gives them, without the way through columns.

    Raises:
        ValueError: an unknown metric or package.
    """
    found = _core.rouge_pair(prediction, list(references), metric=metric, compat=compat, stemmer=stemmer)
    return None if found is None else (found[0], found[1], found[2])


def _references(references: Any) -> pa.ChunkedArray:
    if isinstance(references, list) and any(isinstance(one, list | tuple) for one in references):
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


def _text(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
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
    answers = _text(to_arrow(predictions, "predictions"), "predictions").to_pylist()
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
