"""The evaluation sets that can be asked, and the suites that the two papers ask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from chaffinch.errors import RecipeError
from chaffinch.evaluation import code, further, instructeval, preferences, writing
from chaffinch.evaluation.task import Change, Task


@dataclass(frozen=True)
class Maker:
    """How a set becomes a task.

    Attributes:
        load: from the data folder, the number of shots, and how the questions are written.
        shots: each number that its protocol asks it with.
        most_shots: how many there can be; None: as many as there are items.
        varies: whether variants of its questions make sense.
    """

    load: Callable[[Path, int, Change], Task]
    shots: tuple[int, ...] = (0,)
    most_shots: int | None = 0
    varies: bool = True


MAKERS = {
    "mmlu": Maker(instructeval.mmlu, (5, 0), 5),
    "bbh": Maker(instructeval.bbh, (3, 0), None),
    "drop": Maker(instructeval.drop, (3,), None),
    "crass": Maker(instructeval.crass, (3, 0), 3),
    "humaneval": Maker(code.humaneval, varies=False),
    "hhh": Maker(preferences.hhh),
    "impact": Maker(writing.impact),
    "gsm8k": Maker(further.gsm8k, (5,), None),
    "truthfulqa": Maker(further.truthfulqa),
    "bbq": Maker(further.bbq),
    "big-bench": Maker(further.big_bench),
    "samsum": Maker(further.samsum),
    "corr2cause": Maker(further.corr2cause),
    "corr2cause-pp": Maker(further.corr2cause_pp),
    "math": Maker(further.mathematics, varies=False),
    "ethics": Maker(further.ethics),
}

SUITES = {
    "instructeval": ("mmlu", "bbh", "drop", "crass", "humaneval", "hhh", "impact"),
    "birbal-open": ("mmlu", "truthfulqa", "big-bench", "gsm8k", "bbq"),
    "birbal-hidden": ("samsum", "corr2cause", "math", "ethics"),
}


def named(suite: str | Sequence[str]) -> tuple[list[str], set[str]]:
    """The sets that are meant, and those among them that were named themselves and not through a suite.

    Raises:
        RecipeError: there is no such set or suite.
    """
    words = suite.split(",") if isinstance(suite, str) else list(suite)
    names: list[str] = []
    own = set()
    for word in [word.strip() for word in words if word.strip()] or [""]:
        if word in SUITES:
            names += SUITES[word]
        elif word in MAKERS:
            names.append(word)
            own.add(word)
        else:
            hint = f"there are the suites {', '.join(SUITES)} and the sets {', '.join(MAKERS)}"
            raise RecipeError(f"there is no suite and no set {word!r} to evaluate on\nhint: {hint}")
    return list(dict.fromkeys(names)), own
