"""The way through: which stages run in which order, what is decided again, and that no row vanishes."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch import cache, evaluation_sets, readers, score
from chaffinch.decisions import Decisions
from chaffinch.errors import DataError, RecipeError
from chaffinch.keys import decisions_folder, kept_decisions
from chaffinch.output import check_not_own
from chaffinch.pools.asking import Asking
from chaffinch.progress import Progress
from chaffinch.provenance import registry
from chaffinch.provenance.traces import chosen
from chaffinch.recipe.model import Recipe
from chaffinch.stages import (
    bucket,
    clean,
    control,
    decontaminate,
    dedup,
    label,
    provenance,
    sample,
    select,
    split,
    tasks,
    token_quotas,
    tokenize,
    traces,
    turns,
)
from chaffinch.stages import format as formatting
from chaffinch.store import Rows

# Stages that read rows as the mixture has them. A recipe has one of them at most.
BEHIND_THE_DRAW = {"format", "tokenize"}
STRATA = "strata"
# Notes that are JSON, and are told elsewhere than among the counts of their stage.
TOLD_APART = (STRATA, decontaminate.ITEMS_HELD, dedup.PASSAGES)


@dataclass(frozen=True)
class Step:
    """What one choosing stage did."""

    stage: str
    rows_in: int
    decisions: Decisions
    seconds: float
    cached: bool

    def removed(self) -> dict[str, int]:
        """Rows removed, by reason."""
        counts = np.bincount(self.decisions.reason, minlength=len(self.decisions.reasons))
        return {reason: int(n) for reason, n in zip(self.decisions.reasons, counts, strict=True) if n}


@dataclass
class Run:
    """A build under way: what was read and what each stage decided."""

    recipe: Recipe
    data: Path
    out: Path
    cache: Path
    threads: int | None
    progress: Progress
    rows: Rows = field(init=False)
    shards: list[readers.Shard] = field(init=False)
    marks: provenance.Marks = field(init=False)
    alive: np.ndarray = field(init=False)
    steps: list[Step] = field(default_factory=list)
    tokenizer: tokenize.Tokenizer | None = None
    asking: Asking | None = None
    held_out: dict[str, int] = field(default_factory=dict)
    read_seconds: float = 0.0

    def read(self) -> None:
        """Reads every source into shards, or finds them already read.

        Raises:
            DataError: a source without files, or a source or evaluation set with a file of the output folder.
            RecipeError: a task list or a data set of the registry that is not there.
        """
        started = time.perf_counter()
        check_names(self.recipe, self.data)
        inputs = {source.name: readers.plan_source(source, self.data) for source in self.recipe.sources}
        members = [member for files in inputs.values() for file in files for member in file.members]
        sets = evaluation_sets.find_all(self.recipe.decontaminate, self.data)[0]
        check_not_own(self.out, [*members, *(file for one in sets for file in one.files)])
        self.progress.start("read", sum(file.bytes for files in inputs.values() for file in files), "bytes")
        self.shards, done = [], 0
        for source in self.recipe.sources:
            base = done

            def advance(units: int, base: int = base) -> None:
                self.progress.advance(base + units)

            shards = readers.read_source(source, self.data, self.cache, threads=self.threads, progress=advance)
            self.shards.extend(shards)
            done += sum(shard.bytes for shard in shards)
        self.rows = Rows(self.shards, self.recipe.sources)
        self.progress.finish(len(self.rows), sum(shard.rejected for shard in self.shards))
        self.read_seconds = time.perf_counter() - started

    def check_bad_rows(self, quarantine: Path) -> None:
        """Fails when more rows are bad than the recipe accepts.

        Args:
            quarantine: the file that tells them one by one; it stays for the user to look at.

        Raises:
            DataError: with the counts by reason, or naming a file whose bad rows cannot even be counted.
        """
        unread = [shard.file for shard in self.shards if "rest_unread" in shard.notes]
        if unread:
            raise DataError(
                f"{', '.join(unread[:5])}: broken in the middle, and what follows cannot be told apart into rows\n"
                f"hint: {quarantine} says where; mend the file, or leave it out with `exclude:`"
            )
        rejected = sum(shard.rejected for shard in self.shards)
        total = rejected + len(self.rows)
        if total and rejected / total > self.recipe.max_bad_fraction:
            reasons = ", ".join(f"{reason}: {n:,}" for reason, n in readers.quarantine_reasons(self.shards).items())
            raise DataError(
                f"{rejected:,} of {total:,} rows are bad ({reasons}), "
                f"more than max_bad_fraction={self.recipe.max_bad_fraction}\n"
                f"hint: {quarantine} says where each is; mend them, exclude their files or raise max_bad_fraction"
            )
        if not len(self.rows):
            hint = f"{quarantine} says why each was bad" if rejected else "look at `files:` of the recipe's sources"
            raise DataError(f"no source has a single row\nhint: {hint}")

    def decide(self, until: str | None = None) -> None:
        """Runs every choosing stage of the recipe over the rows still in; what is in the cache is not decided again.

        Args:
            until: the last stage to run; default all.
        """
        recipe, rows = self.recipe, self.rows
        self.marks = provenance.origins(rows, recipe.sources)
        self.alive = np.arange(len(rows), dtype=np.uint32)
        runs: dict[str, Callable[[np.ndarray], Decisions]] = {
            "select": self._select,
            "provenance": self._provenance,
            "clean": self._clean,
            "dedup": self._dedup,
            "decontaminate": self._decontaminate,
            "label": self._label,
            "score": self._score,
            "bucket": self._bucket,
            "count": self._count,
            "sample": self._sample,
            "control": self._control,
            "format": self._marked,
            "tokenize": self._tokenize,
        }
        self._paths = kept_decisions(recipe, self.shards, self.data, self.cache, self.tokenizer)
        if self.tokenizer and cache.unsealed(self._documents()) is None:
            self._paths["tokenize"].unlink(missing_ok=True)
        for name, path in self._paths.items():
            alive = self.alive
            if name in BEHIND_THE_DRAW:
                self._split()
            self._step(name, path, runs[name])
            if name == "provenance" and (found := self._traces(alive)) is not None:
                self.marks = provenance.with_traces(self.marks, found)
            if name == until:
                break
        if until is None and not BEHIND_THE_DRAW & {*self._paths}:
            self._split()
        cache.prune(decisions_folder(self.cache))

    def splits(self) -> dict[str, np.ndarray]:
        """The rows still in, by place: the keyed hash of their content, a shuffle that no other row can change.

        The validation split is of the rows that were drawn. One that gives no document goes from its split,
        and none comes for it: what stands before others as a demonstration is not held out afterwards.
        """
        left = {name: rows[np.isin(rows, self.alive)] for name, rows in self._splits.items()}
        return {name: rows for name, rows in left.items() if name == "train" or len(rows)}

    def _split(self) -> None:
        """Splits the rows that were drawn, and finds out which may stand before others as demonstrations."""
        order = sample.order(self.rows.table, self.alive, self.recipe.seed, threads=self.threads)
        share = self.recipe.validation_fraction
        self._splits, self.held_out = split.run(self.rows, order, share, self.flagged(), threads=self.threads)
        if not self.recipe.format.pools:
            return
        # Rows of the training split only, and none in which an evaluation item was found.
        train, found = self._splits["train"], self.contamination()
        contaminated = np.empty(0, np.uint32) if found is None else found["row"].to_numpy()
        shown = train[~np.isin(train, contaminated)]
        self.asking = formatting.asking_of(self.rows, self.recipe.format, self.recipe.seed, shown, threads=self.threads)

    def prepare(self, asking: Asking | None, *, count: bool = True) -> formatting.Prepare:
        """What puts rows in the words that the mixture has."""
        merge, conversations = self.recipe.clean.turns == "merge", self.recipe.format.conversations
        return partial(formatting.prepare, self.rows, asking, conversations, merge, count)

    def _in_other_words(self, asking: Asking | None) -> formatting.Prepare | None:
        """The same for stages that read rows before they are written; None where rows keep the store's words."""
        if asking is None and not self.recipe.format.conversations and self.recipe.clean.turns != "merge":
            return None
        return self.prepare(asking, count=False)

    def _step(self, name: str, path: Path, run: Callable[[np.ndarray], Decisions]) -> None:
        started = time.perf_counter()
        self.progress.start(name, len(self.alive), "rows")
        # What follows from answers that may still come is neither kept nor mistaken for what was.
        lasting = all(step.decisions.lasting for step in self.steps)
        decisions = cache.load(path) if lasting else None
        cached = decisions is not None
        if decisions is None:
            decisions = run(self.alive)
            if lasting and decisions.lasting:
                cache.save(path, decisions)
        rows_in = len(self.alive)
        self.alive = decisions.check(self.alive)
        if decisions.columns is not None:
            self.rows.add(decisions.columns)
        self.progress.finish(len(self.alive), len(decisions.row))
        self.steps.append(Step(name, rows_in, decisions, time.perf_counter() - started, cached))

    def _select(self, alive: np.ndarray) -> Decisions:
        return select.run(self.rows, alive, self.recipe.select, self.data, threads=self.threads)

    def _provenance(self, alive: np.ndarray) -> Decisions:
        assert self.recipe.provenance is not None
        return provenance.run(self.rows, alive, self.recipe.provenance, self.marks, self._traces(alive))

    def _traces(self, alive: np.ndarray) -> traces.Found | None:
        """The traces that the recipe asks about; kept beside the decisions, because the mixture tells them, too."""
        actions = self.recipe.provenance.actions() if self.recipe.provenance else {}
        if not actions:
            return None
        path = self._paths["provenance"].with_suffix(".traces.arrow")
        kept = cache.load_table(path)
        if kept is not None:
            return traces.Found.of(kept[0], actions)
        found = traces.find(self.rows.table, alive, chosen(actions), **self._watch())
        cache.save_table(path, found)
        return traces.Found.of(found, actions)

    def _clean(self, alive: np.ndarray) -> Decisions:
        spec, template = self.recipe.clean, formatting.template_of(self.recipe.format)
        cleaned = clean.run(self.rows.table, alive, spec, **self._watch())
        rest = turns.run(self.rows.table, cleaned.kept(alive), spec.turns, template, threads=self.threads)
        return Decisions.join([cleaned, rest])

    def _dedup(self, alive: np.ndarray) -> Decisions:
        return dedup.run(self.rows.table, alive, self.recipe.dedup, **self._watch())

    def _decontaminate(self, alive: np.ndarray) -> Decisions:
        assert self.recipe.decontaminate is not None
        sets = [
            (one.name, evaluation_sets.items(one))
            for one in evaluation_sets.find_all(self.recipe.decontaminate, self.data)[0]
        ]
        return decontaminate.run(self.rows, alive, self.recipe.decontaminate, sets, **self._watch())

    def _score(self, alive: np.ndarray) -> Decisions:
        assert self.recipe.score is not None
        spec, seed = self.recipe.score, self.recipe.seed
        return score.run(self.rows, alive, spec, seed, self.cache, threads=self.threads, progress=self.progress)

    def _label(self, alive: np.ndarray) -> Decisions:
        assert self.recipe.label is not None
        known = label.known_labels(self.recipe.label, self.data)
        return label.run(self.rows.table, alive, self.recipe.label, known, **self._watch())

    def _bucket(self, alive: np.ndarray) -> Decisions:
        assert self.recipe.bucket is not None
        limits = partial(clean.limits, threads=self.threads)
        return bucket.run(self.rows.table, alive, self.recipe.bucket, limits=limits, threads=self.threads)

    def _sample(self, alive: np.ndarray) -> Decisions:
        limits = partial(clean.limits, threads=self.threads)
        decisions, strata = sample.run(
            self.rows.table, alive, self.recipe.sample, self.recipe.seed, limits=limits, **self._watch()
        )
        return replace(decisions, notes={STRATA: json.dumps(strata.to_pylist())})

    def _tokenize(self, alive: np.ndarray) -> Decisions:
        assert self.tokenizer is not None
        prepare = self._in_other_words(self.asking)
        return tokenize.run(self.rows.table, alive, self.tokenizer, prepare, self._documents(), **self._watch())

    def _count(self, alive: np.ndarray) -> Decisions:
        assert self.tokenizer is not None
        spec, seed = self.recipe.format, self.recipe.seed
        alone = formatting.asking_of(self.rows, spec, seed, np.empty(0, np.uint32), threads=self.threads)
        prepare = self._in_other_words(alone)
        return token_quotas.count(self.rows.table, alive, self.tokenizer, prepare, **self._watch())

    def _marked(self, alive: np.ndarray) -> Decisions:
        handling, template = self.recipe.format.marks, formatting.template_of(self.recipe.format)
        assert handling is not None
        assert template is not None
        prepare = self._in_other_words(self.asking)
        return formatting.marked(self.rows.table, alive, template, handling, prepare, **self._watch())

    def _control(self, alive: np.ndarray) -> Decisions:
        assert self.recipe.control is not None
        return control.run(self.rows.table, alive, self.recipe.control, self.recipe.seed, **self._watch())

    def _documents(self) -> Path:
        return self._paths["tokenize"].with_suffix(".documents.arrow")

    def documents(self) -> tokenize.Documents | None:
        """The rows still in as token ids; None when the recipe does not ask for them."""
        return tokenize.Documents.open(self._documents()) if self.tokenizer else None

    def missing_sets(self) -> list[str]:
        """The evaluation sets that the recipe names and lets be missing."""
        return evaluation_sets.find_all(self.recipe.decontaminate, self.data)[1]

    def contamination(self) -> Any:
        """What was found of evaluation sets, as `stages.decontaminate.run` tells it; None when no stage looked."""
        return self._findings("decontaminate")

    def items_held(self) -> list[list[Any]]:
        """How many items the rows of a source have: lines of evaluation set, source, number."""
        return self._told(decontaminate.ITEMS_HELD)

    def passages(self) -> list[dict[str, Any]]:
        """The passages that many rows share, where the recipe asks for them."""
        return self._told(dedup.PASSAGES)

    def flagged(self) -> Any:
        """The near duplicates that rules found which only flag, as `stages.dedup.run` tells them; None without any."""
        return self._findings("dedup")

    def tasks(self) -> Any:
        """What is known of labelled tasks, as `stages.tasks.by_task` tells it; None when no stage labelled them."""
        labelled = self._findings("label")
        return None if labelled is None else tasks.by_task(self.rows.table, self.alive, labelled)

    def strata(self) -> list[dict[str, Any]]:
        """By sampling step, what it asked of each stratum and what it took."""
        strata = self._told(STRATA)
        return [
            {
                "name": step.name,
                "by": step.by,
                "per": step.per,
                "unit": "rows" if step.tokens is None else "tokens",
                "strata": [one for one in strata if one["step"] == number],
            }
            for number, step in enumerate(self.recipe.sample, 1)
        ]

    def _findings(self, stage: str) -> Any:
        """The table of what a stage found; None when it did not run or found nothing to tell."""
        return next((step.decisions.findings for step in self.steps if step.stage == stage), None)

    def _told(self, note: str) -> list[Any]:
        """The JSON array that a stage told in a note, if one did."""
        found = [step.decisions.notes[note] for step in self.steps if note in step.decisions.notes]
        return list(json.loads(str(found[0]))) if found else []

    def classes(self) -> dict[str, int]:
        """Rows still in, by class."""
        conversation = self.rows.table["messages"].is_valid().to_numpy()[self.alive]
        counts = self.rows.classes(self.alive, pa.array(conversation)).value_counts().to_pylist()
        return {one["values"]: one["counts"] for one in sorted(counts, key=lambda one: -one["counts"])}

    def _watch(self) -> dict[str, Any]:
        return {"threads": self.threads, "progress": self.progress.advance}


def check_names(recipe: Recipe, data: Path) -> None:
    """Fails before anything is read when the recipe names a task list or a data set of the registry that is not there.

    Raises:
        RecipeError: naming it.
    """
    select.check_task_lists(recipe.select, data)
    if recipe.label:
        label.known_labels(recipe.label, data)
    for source in recipe.sources:
        if source.registry is not None:
            try:
                registry().lookup(source.registry)
            except RecipeError as error:
                raise RecipeError(f"source {source.name}: {error}") from None
