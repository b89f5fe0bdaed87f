"""The score stage: answers, their scores, and how good a task's answers are."""

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch.decisions import Decisions
from chaffinch.progress import Progress
from chaffinch.recipe.score import Score
from chaffinch.score.asking import answers, identity
from chaffinch.stages.rouge import exact_match
from chaffinch.stages.score import EXACT_MATCH, measure, task_accuracy
from chaffinch.store import Rows

ANSWERER, MISSING = "answerer", "missing"
# Reasons that are told one by one.
MOST_REASONS = 8


def run(
    rows: Rows,
    alive: np.ndarray,
    spec: Score,
    seed: int,
    cache: Path,
    *,
    threads: int | None = None,
    progress: Progress,
) -> Decisions:
    """Answers rows and measures the answers; every row stays.

    Args:
        rows: the store, with the column `label` where a stage before has said how answers are measured.
        alive: the rows still in.
        spec: what the recipe says.
        seed: the recipe's.
        cache: the cache folder, which keeps answers.
        threads: as everywhere.
        progress: told how far it is.

    Returns:
        Decisions with the columns `answer` (large_string, null where it is missing), `score` (float64: 1 or 0 for exact
        match, else ROUGE's F1; null where answer, references or label are missing) and `task_accuracy` (float64: of
        exact-match tasks, right rows by answered rows). Notes: `answerer` (its identity, JSON), `asked`, `known` (rows
        answered by an earlier run), `missing` (JSON: rows without an answer, by reason), `tokens` and `seconds`.

    Raises:
        DataError: the model is not there, or cannot be asked.
        RecipeError: what it takes to ask it is not installed.
    """
    found = answers(rows, alive, spec, seed, cache, threads=threads, progress=progress)
    table = rows.table
    labels = table["label"] if "label" in table.column_names else pa.nulls(len(rows), pa.string())
    labels = labels.cast(pa.large_string())
    scores = measure(found.column, table["references"], labels, spec.generation, threads=threads)
    if spec.exact_match.normal_form != "none":
        at = pc.indices_nonzero(pc.and_(pc.equal(labels, EXACT_MATCH), scores.is_valid()))
        form = spec.exact_match.normal_form
        right = exact_match(found.column.take(at), _lists(rows, at), form=form).cast(pa.float64())
        mask = np.zeros(len(rows), bool)
        mask[at.to_numpy()] = True
        scores = pc.replace_with_mask(scores, pa.array(mask), right)
    accuracy = task_accuracy(rows.codes(["source", "task"], threads=threads), labels, scores)
    columns = {"answer": found.column, "score": scores, "task_accuracy": accuracy}
    notes: dict[str, int | float | str] = {
        ANSWERER: json.dumps(identity(spec, cache)),
        "asked": found.asked,
        "known": found.known,
        MISSING: json.dumps(_fewer(found.missing)),
        "tokens": found.tokens,
        "seconds": round(found.seconds, 3),
    }
    none = Decisions.none()
    return Decisions(none.row, none.reason, none.reasons, notes=notes, columns=pa.table(columns), lasting=found.lasting)


def account(notes: Mapping[str, int | float | str]) -> dict[str, Any]:
    """What `run` noted, as JSON values, with `answered`: the rows that have an answer."""
    missing: dict[str, int] = json.loads(str(notes[MISSING]))
    answered = int(notes["asked"]) - sum(missing.values())
    return {**notes, "answered": answered, MISSING: missing, ANSWERER: json.loads(str(notes[ANSWERER]))}


def warnings(notes: Mapping[str, int | float | str]) -> list[str]:
    """What is worth a warning in the notes of `run`."""
    told = account(notes)
    missing = ", ".join(f"{reason}: {count:,}" for reason, count in told[MISSING].items())
    gone = told["asked"] - told["answered"]
    return [f"{gone:,} of {told['asked']:,} rows have no answer ({missing})"] if gone else []


def _fewer(missing: Counter[str]) -> dict[str, int]:
    """The most frequent reasons, most first; a server may have one for each question."""
    first = dict(missing.most_common(MOST_REASONS))
    rest = missing.total() - sum(first.values())
    return first | ({"other reasons": rest} if rest else {})


def _lists(rows: Rows, at: pa.Array) -> pa.Array:
    return rows.gather(at.to_numpy().astype(np.uint32), ["references"])["references"]
