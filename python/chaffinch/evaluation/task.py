"""What an evaluation is made of: questions, how each is asked, and what makes an answer right."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

from chaffinch.errors import DataError
from chaffinch.evaluation_sets import find
from chaffinch.files import read_table
from chaffinch.recipe.decontaminate import Against
from chaffinch.text_columns import values_of

Mean = Literal["items", "groups"]
Row = TypeVar("Row")


@dataclass(frozen=True)
class Change:
    """Writes an item in another way, and leaves its meaning as it is.

    Attributes:
        of: all texts of an item, so that a name is the same other one in each of them.
        answers: whether answers are written so, too, as in HELM's variants for fairness.
    """

    of: Callable[[Sequence[str]], list[str]]
    answers: bool = False

    def __call__(self, text: str) -> str:
        """A text that has no answers beside it."""
        return self.of([text])[0]

    def item(self, text: str, answers: Sequence[str]) -> tuple[str, list[str]]:
        """A question and its answers: those that it offers, or the right ones."""
        if not self.answers:
            return self(text), list(answers)
        first, *rest = self.of([text, *answers])
        return first, rest


unchanged = Change(list)


@dataclass(frozen=True)
class Question:
    """One item of an evaluation set.

    Attributes:
        id: as `evaluation_sets` names the item, where that knows the set.
        group: what it is counted with where groups are: a subject, a task, a class.
        body: the prompt without shots.
        references: right answers; the first is the label.
        heads: what may stand before the body, the one with the most shots first, the one with none last.
        also: further prompts about the same item, each answered too.
        more: what else its score depends on.
    """

    id: str
    group: str
    body: str
    references: tuple[str, ...]
    heads: tuple[str, ...] = ("",)
    also: tuple[str, ...] = ()
    more: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True)
class Task:
    """An evaluation set under a protocol.

    Attributes:
        set: the split of the evaluation set, as in `mmlu/test`.
        protocol: by whose rules it is asked and measured: `instructeval`, or `chaffinch` for our own.
        shots: solved cases before a question, where they fit.
        metric: what the score is.
        mean: over all items, or over the groups' means.
        max_new_tokens: of an answer.
        max_prompt_tokens: shots are left out until a prompt has at most so many; None: it is asked as it is.
        files: what was read.
        questions: at least one.
        score: of a question and the answers to its body and to `also`: 0 to 1, but for a judge's; None where a judge
            said nothing that is a score.
        worst: the score of a question without an answer, or without a score.
        asks: for a text, or for the logits of `A` and `B` as the next token.
        ends_at: an answer is the text before it.
        runs_code: whether `score` runs what the model wrote.
        judges: by metric, the prompt that has a judge look at an answer; then `score` is of what the judge says.
    """

    set: str
    protocol: str
    shots: int
    metric: str
    mean: Mean
    max_new_tokens: int
    files: tuple[Path, ...]
    questions: Sequence[Question]
    score: Callable[[Question, Sequence[str]], float | None]
    worst: float = 0.0
    max_prompt_tokens: int | None = None
    asks: Literal["text", "logits"] = "text"
    ends_at: str | None = None
    runs_code: bool = False
    judges: Mapping[str, Callable[[Question, str], str]] = field(default_factory=lambda: MappingProxyType({}))


def files_of(name: str, data: Path) -> tuple[Path, ...]:
    """The files of one split, as in `mmlu/test`.

    Raises:
        DataError: it is not under the data folder.
    """
    try:
        return find(Against(name=name), data)[0].files
    except DataError as error:
        # Sets are not read from the hub here.
        raise DataError(str(error).partition(", or write hub:")[0]) from None


def rows_of(path: Path, key: str | None = None) -> list[dict[str, Any]]:
    """A file's rows as Python values; those under `key` where the file is an object that has it.

    Raises:
        DataError: it is damaged or has none.
    """
    table = read_table(path)
    if key is not None and key in table.column_names:
        return some([row for rows in values_of(table, key) for row in rows], path)
    columns = {name: values_of(table, name) for name in table.column_names}
    return some([dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)], path)


def some(rows: list[Row], path: Path) -> list[Row]:
    """The rows of a file.

    Raises:
        DataError: there are none, and so an item of the set is missing that nobody would miss.
    """
    if not rows:
        raise DataError(f"{path} has no item\nhint: fetch it again, or take it away")
    return rows


def part(row: Mapping[str, Any], where: Path, *names: str) -> Any:
    """The value of the first of these fields that a row has.

    Raises:
        DataError: it has none.
    """
    for name in names:
        if row.get(name) is not None:
            return row[name]
    raise DataError(
        f"{where}: a row has no {' or '.join(names)} among {', '.join(row)}\n"
        "hint: evaluation files have to be in their makers' format"
    )


def starts_with_label(question: Question, answers: Sequence[str]) -> float:
    """INSTRUCTEVAL's rule: the answer without white space around it starts with the label, so that `10` is `1`."""
    label = question.references[0]
    return float(bool(label) and answers[0].strip().startswith(label))


def heads_of(shots: Sequence[str], begin: str = "") -> tuple[str, ...]:
    """What stands before a question, with all shots, with one less, ..., with none."""
    return tuple(begin + "".join(shots[:count]) for count in range(len(shots), -1, -1))


def mean_score(scores: Sequence[float], groups: Sequence[str], mean: Mean) -> float:
    """The mean over items, or over the means of the groups."""
    if mean == "items":
        return sum(scores) / len(scores)
    by_group: dict[str, list[float]] = {}
    for score, group in zip(scores, groups, strict=True):
        by_group.setdefault(group, []).append(score)
    return sum(sum(own) / len(own) for own in by_group.values()) / len(by_group)
