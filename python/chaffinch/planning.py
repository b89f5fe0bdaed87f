"""What a build would do, without doing it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from chaffinch import readers, score
from chaffinch.keys import kept_decisions
from chaffinch.output import WORK
from chaffinch.pipeline import Run, check_names
from chaffinch.progress import NoProgress
from chaffinch.recipe.load import load_recipe
from chaffinch.recipe.model import Recipe
from chaffinch.stages import tokenize


@dataclass(frozen=True)
class PlannedSource:
    """One source: its files, their size, and how much of it an earlier build has read already.

    Attributes:
        rows: rows in the files already read.
        cached: how many of the files were read already.
        cached_bytes: their size.
    """

    name: str
    format: str
    files: int
    bytes: int
    cached: int
    cached_bytes: int
    rows: int


@dataclass(frozen=True)
class Plan:
    """The sources, the stages in order, and what stands in the way of a build.

    Attributes:
        decided: the stages whose decisions an earlier build has taken already; none as long as there is a file to read.
        questions: answers still to be asked of the score stage's model; None where that is not known yet, because a
            stage before it has not decided, or there is no such stage.
    """

    recipe: Recipe
    sources: list[PlannedSource]
    stages: list[str]
    decided: list[str]
    questions: int | None

    def summary(self) -> dict[str, Any]:
        """The plan as JSON values."""
        return {
            "recipe": self.recipe.name,
            "mode": self.recipe.mode,
            "sources": [asdict(source) for source in self.sources],
            "stages": self.stages,
            "decided": self.decided,
            "questions": self.questions,
        }


def plan(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    data: str | Path,
    out: str | Path | None = None,
    cache: str | Path | None = None,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - the same word as the command line's --set
) -> Plan:
    """What `build` with the same arguments would read and run.

    Raises:
        RecipeError: the recipe cannot mean what it says, or names a task list or data set that is not there.
        DataError: a source has no file.
    """
    resolved = load_recipe(recipe, set)
    folder = Path(cache) if cache else Path(out) / WORK if out else None
    check_names(resolved, Path(data))
    planned: list[PlannedSource] = []
    found: list[readers.Shard] = []
    for source in resolved.sources:
        inputs = readers.plan_source(source, Path(data))
        shards = readers.cached_shards(source, Path(data), folder) if folder else []
        found += shards
        planned.append(
            PlannedSource(
                source.name,
                source.format,
                len(inputs),
                sum(file.bytes for file in inputs),
                len(shards),
                sum(shard.bytes for shard in shards),
                sum(shard.rows for shard in shards),
            )
        )
    decided: list[str] = []
    questions = None
    if folder and len(found) == sum(source.files for source in planned):
        tokenizer = tokenize.prepare(resolved.tokenize, resolved.format) if resolved.tokenize else None
        kept = kept_decisions(resolved, found, Path(data), folder, tokenizer)
        decided = [stage for stage, path in kept.items() if path.is_file()]
        questions = _questions(resolved, Path(data), folder, decided)
    return Plan(resolved, planned, resolved.stages(), decided, questions)


def _questions(recipe: Recipe, data: Path, folder: Path, decided: list[str]) -> int | None:
    """The answers still to be asked, where everything that decides whom to ask about is decided."""
    if recipe.score is None or "score" in decided:
        return None if recipe.score is None else 0
    before = [stage for stage in recipe.stages()[1:] if stage != "write"]
    before = before[: before.index("score")]
    if not set(before) <= set(decided):
        return None
    run = Run(recipe, data, folder, folder, None, NoProgress())
    run.read()
    run.decide(until=before[-1])
    return score.unanswered(run.rows, run.alive, recipe.score, recipe.seed, folder)
