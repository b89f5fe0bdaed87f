"""The manifest: what went in, what each stage did, what came out."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from chaffinch import cache, score
from chaffinch.contaminated import held_in, held_in_tasks
from chaffinch.ledger import quarantine_reasons
from chaffinch.output import DATA
from chaffinch.pipeline import TOLD_APART, Run, Step
from chaffinch.stages import dedup, tasks
from chaffinch.stages.write import Written
from chaffinch.store import Rows, hash_file

EXAMPLES = 3
# The share of the rows that may give no document before a build says so.
FEW_WITHOUT_DOCUMENT = 0.01
EXAMPLE_CHARACTERS = 600


def of(run: Run, written: list[Written], staging: Path, asked: dict[str, Any] | None) -> dict[str, Any]:
    """The manifest of a run whose mixture lies in `staging`; times, memory and machine are the caller's to add.

    `asked` are the counts of `pools.asking`; None when the recipe has no pools.
    """
    sources, classes, by_name = _sources(run), run.classes(), held_in_tasks(run)
    return {
        "recipe": run.recipe.json_values(),
        "inputs": [
            {
                "source": shard.source,
                "file": shard.file,
                "hash": shard.file_hash,
                "bytes": shard.bytes,
                "rows": shard.rows,
                "rejected": shard.rejected,
                "shard": shard.path.name,
                "notes": dict(sorted(shard.notes.items())),
            }
            for shard in run.shards
        ],
        "stages": [_read_stage(run), *(_stage(step) for step in run.steps)],
        "sources": sources,
        "sample": run.strata(),
        "contamination": held_in(run),
        "passages": run.passages(),
        "held_in_tasks": by_name,
        "added": run.rows.added(),
        "buckets": tasks.by_bucket(run.rows.table, run.alive),
        "scores": tasks.histogram(run.rows.table, run.alive),
        "classes": classes,
        "asked": asked,
        "examples": _examples(run),
        "outputs": [
            {
                "split": file.split,
                "file": file.file,
                "rows": file.rows,
                "bytes": file.bytes,
                "hash": hash_file(staging / DATA / file.file),
            }
            for file in written
        ],
        "warnings": [*_warnings(run, classes), *_unfit(asked), *_held_in(by_name)],
        "kept": len(run.alive),
    }


def write(path: Path, values: dict[str, Any]) -> None:
    """Writes the manifest, or nothing."""
    with cache.atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _read_stage(run: Run) -> dict[str, Any]:
    notes: Counter[str] = Counter()
    for shard in run.shards:
        notes.update(shard.notes)
    return {
        "stage": "read",
        "rows_in": len(run.rows) + sum(shard.rejected for shard in run.shards),
        "rows_out": len(run.rows),
        "removed": dict(quarantine_reasons(run.shards)),
        "seconds": round(run.read_seconds, 3),
        "cached": all(shard.cached for shard in run.shards),
        "notes": dict(sorted(notes.items())),
    }


def _stage(step: Step) -> dict[str, Any]:
    return {
        "stage": step.stage,
        "rows_in": step.rows_in,
        "rows_out": step.rows_in - len(step.decisions.row),
        "removed": step.removed(),
        "seconds": round(step.seconds, 3),
        "cached": step.cached,
        "notes": {name: value for name, value in step.decisions.notes.items() if name not in TOLD_APART},
    }


def _sources(run: Run) -> dict[str, Any]:
    names = list(run.rows.ranges)

    def by_source(rows: np.ndarray) -> np.ndarray:
        return np.bincount(run.rows.source_codes(rows), minlength=len(names))

    removed = {step.stage: by_source(step.decisions.row) for step in run.steps}
    kept = by_source(run.alive)
    values = {}
    for index, (name, (start, end)) in enumerate(run.rows.ranges.items()):
        gone = {stage: int(counts[index]) for stage, counts in removed.items()}
        if end - start != int(kept[index]) + sum(gone.values()):
            raise AssertionError(f"rows of {name} vanished: {end - start} read, {kept[index]} kept, {gone} removed")
        values[name] = {
            "read": end - start,
            "quarantined": sum(shard.rejected for shard in run.shards if shard.source == name),
            "removed": gone,
            "kept": int(kept[index]),
        }
    return values


def _examples(run: Run) -> dict[str, dict[str, list[dict[str, Any]]]]:
    return {
        step.stage: {
            reason: _reason_examples(run.rows, step, code)
            for code, reason in enumerate(step.decisions.reasons)
            if (step.decisions.reason == code).any()
        }
        for step in run.steps
    }


def _reason_examples(rows: Rows, step: Step, code: int) -> list[dict[str, Any]]:
    decisions = step.decisions
    of_reason = np.flatnonzero(decisions.reason == code)
    # The smallest hashes: as good as random, and the same whatever the order of the files.
    first = of_reason[np.argsort(rows.hash_prefix(decisions.row[of_reason]), kind="stable")[:EXAMPLES]]
    found = [_texts(rows, row) for row in decisions.row[first].tolist()]
    for example, index in zip(found, first.tolist(), strict=True):
        if decisions.witness is not None:
            witness = _texts(rows, int(decisions.witness[index]))
            example |= {
                f"witness{'_' if key != 'row_id' else ''}{key.removeprefix('row_id')}": value
                for key, value in witness.items()
            }
        if decisions.score is not None and np.isfinite(decisions.score[index]):
            example["score"] = float(decisions.score[index])
        if decisions.evidence is not None and decisions.evidence[index]:
            example["evidence"] = decisions.evidences[decisions.evidence[index]][:EXAMPLE_CHARACTERS]
    return found


def _texts(rows: Rows, row: int) -> dict[str, Any]:
    one = rows.table.slice(row, 1).to_pylist()[0]
    turns = one["messages"] or []
    prompt = "\n".join(text for text in (one["instruction"], one["input"]) if text)
    response = one["references"][0] if one["references"] else ""
    if turns:
        # As `format` has it: the answer is the assistant's last turn, and what is behind it belongs to neither.
        answer = max((at for at, turn in enumerate(turns) if turn["role"] == "assistant"), default=len(turns))
        prompt = "\n".join(f"{turn['role']}: {turn['content']}" for turn in turns[:answer])
        response = turns[answer]["content"] if answer < len(turns) else ""
    number = np.array([row], np.uint32)
    return {
        "row_id": rows.ids(number)[0].as_py(),
        "prompt": prompt[:EXAMPLE_CHARACTERS],
        "response": response[:EXAMPLE_CHARACTERS],
    }


def _held_in(by_name: list[dict[str, Any]]) -> list[str]:
    rows: Counter[str] = Counter()
    for line in by_name:
        rows[line["evaluation_set"]] += line["rows"]
    return [
        f"{name} is held in: {number:,} rows are of tasks named after it, so a gain on it is none on unseen tasks"
        for name, number in rows.items()
    ]


def _unfit(asked: dict[str, Any] | None) -> list[str]:
    return [
        f"pool {pool}: {rows:,} rows keep their own text, for none of its templates fits them"
        for pool, rows in (asked["unfit"] if asked else {}).items()
    ]


def _warnings(run: Run, classes: dict[str, int]) -> list[str]:
    warnings = []
    for note, meaning in (
        ("truncated_file", "cut off in the middle, rows behind that are lost"),
        ("empty_file", "empty"),
    ):
        files = [shard.file for shard in run.shards if note in shard.notes]
        if files:
            number = f"{len(files):,} file{'s' if len(files) > 1 else ''}"
            warnings.append(f"{number} {meaning}: {', '.join(files[:5])}{' ...' if len(files) > 5 else ''}")
    for done in run.steps:
        if done.stage == "dedup":
            warnings += dedup.warnings(done.decisions.notes, done.rows_in)
        if done.stage == "score":
            warnings += score.warnings(done.decisions.notes)
        if done.stage == "tokenize" and len(done.decisions.row) > FEW_WITHOUT_DOCUMENT * done.rows_in:
            reasons = ", ".join(f"{reason}: {rows:,}" for reason, rows in done.removed().items())
            warnings.append(f"{len(done.decisions.row):,} of {done.rows_in:,} rows give no document ({reasons})")
    for asked in run.recipe.select:
        if asked.compare is not None and not (run.data / asked.compare.file).is_file():
            warnings.append(
                f"the tasks chosen were not held against {asked.compare.file}: it is not in the data folder"
            )
    if not len(run.alive):
        warnings.append("the mixture is empty: every row was removed")
    if missing := run.missing_sets():
        warnings.append(f"not decontaminated against {', '.join(missing)}: they are not in the data folder")
    # Within each task a number is the most that is taken, and few tasks have so many.
    for step in (step for step in run.strata() if not step["per"]):
        for stratum in step["strata"]:
            if stratum["shortfall"]:
                wanted, there, taken = (f"{stratum[name]:,}" for name in ("asked", "available", "taken"))
                counts = f"{wanted} {step['unit']} asked, {there} there, {taken} taken"
                warnings += [f"{stratum['stratum']}: {counts}"]
            elif not stratum["available"]:
                warnings += [f"{stratum['stratum']}: sample names it, but no row is of it"]
    total = sum(classes.values())
    for name, least in run.recipe.min_class_share.items():
        rows = classes.get(name, 0)
        share = rows / total if total else 0.0
        if share < least:
            warnings.append(f"class {name} is {rows:,} rows ({share:.2%}), under its threshold of {least:.1%}")
    warnings += [f"source {name} gave no row" for name, (start, end) in run.rows.ranges.items() if start == end]
    return warnings
