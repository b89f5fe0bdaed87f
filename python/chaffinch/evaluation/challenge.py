"""An evaluation in the columns of the NeurIPS 2023 LLM Efficiency Challenge, to stand in its pool."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chaffinch.errors import DataError
from chaffinch.evaluation.comparison import lines_of
from chaffinch.evaluation.measuring import PLAIN

# Set and metric -> the challenge's column; each group of ETHICS has its own.
COLUMNS = {
    ("mmlu/test", "accuracy"): "MMLU - EM",
    ("truthfulqa/validation", "accuracy"): "TruthfulQA - EM",
    ("big-bench/test", "accuracy"): "BIG-bench - EM",
    ("gsm8k/test", "accuracy"): "GSM8K - EM",
    ("bbq/test", "accuracy"): "BBQ - EM",
    ("samsum/test", "ROUGE-2"): "sam_sum - ROUGE-2",
    ("corr2cause/test", "accuracy"): "corr2cause - EM",
    ("math/test", "accuracy"): "MATH (chain-of-thoughts) - Equivalent (chain of thought)",
    ("ethics/test", "accuracy"): "ethics_{} - EM",
}
ETHICS = {"cm": "commonsense", "util": "utilitarianism"}
# The challenge asked no other set in variants.
VARIED = ("mmlu/test", "truthfulqa/validation", "ethics/test")
VARIANTS = {PLAIN: "", "worst of helm-robustness": " (Robustness)", "worst of helm-fairness": " (Fairness)"}
NOT_HELM = (
    "its prompts, shots and rules are not those of HELM, which scored the challenge's models: "
    "held against them its place is a rough guide and no result"
)


@dataclass(frozen=True)
class Entry:
    """What a model scored, as a pool has it.

    Attributes:
        values: column -> value.
        notes: what else there is to know of the values.
    """

    values: dict[str, float]
    notes: list[str]

    def within(self, columns: Collection[str]) -> "Entry":
        """The same in a pool of these columns, with notes of those that either of them lacks."""
        notes = [*self.notes]
        for what, names in (
            (
                "missing (by `challenge` worse than every value, by `helm` skipped)",
                [one for one in columns if one not in self.values],
            ),
            ("left out, for the pool has no such column", [one for one in self.values if one not in columns]),
        ):
            if names:
                notes.append(f"{what}: {', '.join(names)}")
        return Entry({name: value for name, value in self.values.items() if name in columns}, notes)


def entry_of(folder: Path) -> Entry:
    """The challenge's columns of an evaluation; of a set that was asked with several numbers of shots, the most.

    Raises:
        DataError: the folder holds no evaluation, or none of the challenge's sets.
    """
    lines = [line for line in lines_of(folder).values() if _columns(line)]
    most: dict[str, int] = {}
    for line in lines:
        most[line["set"]] = max(line["shots"], most.get(line["set"], 0))
    lines = [line for line in lines if line["shots"] == most[line["set"]]]
    if not lines:
        raise DataError(
            f"{folder} has no set of the challenge\n"
            "hint: evaluate with --suite birbal-open,birbal-hidden --variants helm --protocol instructeval"
        )
    values = {column: value for line in lines for column, value in _columns(line).items()}
    return Entry(values, [NOT_HELM, *(note for line in lines if line["variant"] == PLAIN for note in _notes(line))])


def _columns(line: Mapping[str, Any]) -> dict[str, float]:
    column = COLUMNS.get((line["set"], line["metric"]))
    if column is None or line["variant"] not in VARIANTS or (line["variant"] != PLAIN and line["set"] not in VARIED):
        return {}
    variant = VARIANTS[line["variant"]]
    if "{}" not in column:
        return {f"{column}{variant}": line["score"]}
    return {f"{column.format(ETHICS.get(group, group))}{variant}": score for group, score in line["groups"].items()}


def _notes(line: Mapping[str, Any]) -> list[str]:
    """What makes a score another one than it seems."""
    found = []
    if line["limit"] is not None:
        found.append(f"{line['set']}: {line['items']:,} items, the first {line['limit']:,} of each group alone")
    if line["unanswered"]:
        found.append(
            f"{line['set']}: {line['unanswered']:,} of {line['items']:,} items have no answer and count as wrong"
        )
    if line["standing"] in ("contaminated", "held-in"):
        found.append(f"{line['set']}: {line['standing']} in the mixture")
    return found
