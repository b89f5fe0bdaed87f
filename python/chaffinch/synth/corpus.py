"""Writes a whole corpus, and beside it what is known of it."""

import json
import multiprocessing
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from chaffinch import draw
from chaffinch.synth import documents
from chaffinch.synth.formats import encode, write
from chaffinch.synth.kinds import KINDS, Row
from chaffinch.synth.plan import VERSION, File
from chaffinch.synth.profiles import PROFILES, SELECTED_TASKS, birbal_tasks
from chaffinch.synth.rows import Record, name_of, place_of, records
from chaffinch.synth.words import ADJECTIVES, NAMES, NOUNS, VERBS, sentence, title

TRUTH = "truth.json"
PLANTED = "planted.jsonl"
ITEMS = "eval/items.jsonl"
# Marks a folder as what a killed run left.
_PARTIAL = ".partial"
ROWS_WORTH_A_PROCESS = 100_000


def synthesise(
    out: Path,
    rows: int,
    *,
    seed: int = 0,
    profile: str = "demo",
    progress: Callable[[int, int], None] | None = None,
    workers: int | None = None,
) -> dict[str, Any]:
    """Makes a corpus of instruction data in many source formats, with known answers.

    The same bytes come out for the same rows, seed and profile, on every machine and with any number of
    workers (Parquet files name the version of pyarrow that wrote them). Everything is written into a folder
    beside `out` and moved there when it is complete.

    Args:
        out: folder to make. When it holds a complete corpus made with the same arguments, nothing is done.
        rows: records over all source files, planted and broken ones included.
        seed: chooses the texts and the places of what is planted.
        profile: `demo`, every format and everything planted; `flat`, JSONL and task files with about 500
            bytes a row; `birbal` and `flan-mini`, stand-ins for the sources of these recipes.
        progress: called with the rows written and the rows in all, after each file.
        workers: processes; by default one below 100,000 rows, else one per core. With more than one, a script
            that calls this needs the usual `if __name__ == "__main__"`.

    Returns:
        The content of `truth.json`: `version`, `profile`, `seed`, `rows`; `total` and, for each of `files`,
        `rows`, `broken`, `planted` (rows by sort) and `fields` (rows by value of the row's own `source` or
        `data_source`); `evaluation` (path and number of items). `planted.jsonl` has one line for each planted
        row: file, position, planted, and what else is known of it (`of`, `how`, `edits`, `item`,
        `words`, `generator`).

    Raises:
        ValueError: fewer than 1 row, or no such profile.
        FileExistsError: `out` holds something else.
        OSError: it cannot be written.
    """
    if rows < 1:
        raise ValueError(f"rows is {rows}\nhint: a corpus has at least one row")
    if profile not in PROFILES:
        raise ValueError(f"no profile {profile!r}\nhint: the profiles are {', '.join(PROFILES)}")
    wanted = {"version": VERSION, "profile": profile, "seed": seed, "rows": rows}
    if out.exists() and any(out.iterdir()):
        return _already(out, wanted)
    partial = out.with_name(f".{out.name}.partial")
    if (partial / _PARTIAL).is_file():
        shutil.rmtree(partial)
    elif partial.exists():
        raise FileExistsError(f"{partial} is no corpus that was left unfinished\nhint: move it elsewhere")
    partial.mkdir(parents=True)
    (partial / _PARTIAL).touch()
    truth = _fill(partial, wanted, progress, workers)
    # Written last: a folder that has it is complete.
    (partial / TRUTH).write_text(json.dumps(truth, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (partial / _PARTIAL).unlink()
    if out.exists():
        out.rmdir()
    partial.rename(out)
    return truth


def _already(out: Path, wanted: dict[str, Any]) -> dict[str, Any]:
    try:
        truth = json.loads((out / TRUTH).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        truth = None
    if not isinstance(truth, dict) or any(truth.get(key) != value for key, value in wanted.items()):
        raise FileExistsError(
            f"{out} holds something else than this corpus\nhint: name a folder that does not exist, or delete this one"
        )
    return truth


def _fill(
    out: Path, wanted: dict[str, Any], progress: Callable[[int, int], None] | None, workers: int | None
) -> dict[str, Any]:
    profile, seed, rows = wanted["profile"], wanted["seed"], wanted["rows"]
    files = PROFILES[profile](rows)
    items = evaluation_items(rows, seed)
    (out / ITEMS).parent.mkdir()
    (out / ITEMS).write_text("".join(encode(item) + "\n" for item in items), encoding="utf-8")
    if profile == "birbal":
        (out / SELECTED_TASKS).parent.mkdir()
        (out / SELECTED_TASKS).write_text("".join(f"{task.name}\n" for task in birbal_tasks()), encoding="utf-8")
    answers, done = [], 0
    with (out / PLANTED).open("w", encoding="utf-8") as planted:
        for answer, lines in _written(out, files, seed, items, rows, workers):
            planted.writelines(lines)
            answers.append(answer)
            done += answer["rows"]
            if progress:
                progress(done, rows)
    total: dict[str, Any] = {"rows": done, "broken": sum(answer["broken"] for answer in answers)}
    total["planted"] = _sum(answer["planted"] for answer in answers)
    return {**wanted, "total": total, "evaluation": {"path": ITEMS, "items": len(items)}, "files": answers}


def _sum(counts: Iterator[dict[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    return dict(sorted(total.items()))


def _written(
    out: Path, files: list[File], seed: int, items: list[Row], rows: int, workers: int | None
) -> Iterator[tuple[dict[str, Any], list[str]]]:
    if workers is None:
        workers = 1 if rows < ROWS_WORTH_A_PROCESS else os.cpu_count() or 1
    if workers == 1:
        for file in files:
            yield write_file(out, file, seed, items)
        return
    # Spawned, not forked: the calling process may have threads, of Rust for example, that a fork would leave
    # half alive.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting = [pool.submit(write_file, out, file, seed, items) for file in files]
        for future in waiting:
            yield future.result()


def write_file(out: Path, file: File, seed: int, items: list[Row]) -> tuple[dict[str, Any], list[str]]:
    """Writes one file; returns its part of the truth and its lines of `planted.jsonl`."""
    path = out / file.path
    planted: Counter[str] = Counter()
    fields: Counter[str] = Counter()
    lines: list[str] = []
    field = KINDS[file.kind].field if file.kind in KINDS else None

    def watched() -> Iterator[list[Record]]:
        for block in records(file, seed, items):
            for record in block:
                if record.plant is not None:
                    lines.append(_line(file, record))
                    planted[name_of(record.plant)] += 1
            if field:
                fields.update(record.row[field] for record in block)
            yield block

    if file.format == "quac":
        documents.write_quac(path, file, seed)
    elif file.format == "problems":
        documents.write_problems(path, file, seed)
    elif file.format == "stories":
        documents.write_stories(path, file, seed)
    else:
        write(path, file, watched())
    broken = sum(count for name, count in planted.items() if name.startswith("broken:"))
    answer: dict[str, Any] = {
        "path": file.path,
        "format": file.format,
        "kind": file.kind,
        "rows": file.rows,
        "broken": broken,
    }
    answer |= {"traits": list(file.traits), "planted": dict(sorted(planted.items()))}
    answer |= {"fields": {field: dict(sorted(fields.items()))}} if field else {}
    answer |= (
        {
            "task": file.task.name,
            "category": file.task.family.category,
            "languages": file.task.family.languages,
        }
        if file.task
        else {}
    )
    return answer, lines


def _line(file: File, record: Record) -> str:
    plant = record.plant
    assert plant is not None
    line: dict[str, Any] = {
        "file": file.path,
        "position": record.slot + file.first_position,
        "planted": name_of(plant),
    }
    line |= {"of": place_of(*plant.original)} if plant.original else {}
    line |= {"how": plant.how} if plant.kind == "evaluation-item" else {}
    return encode({**line, **record.note}) + "\n"


def evaluation_items(rows: int, seed: int) -> list[Row]:
    """The items of the corpus's own evaluation set: every fourth one has fewer than 13 words."""
    count = max(20, min(500, rows // 100))
    bits = draw.draws(draw.key(VERSION, seed, "evaluation"), np.arange(count, dtype=np.uint64), 6).tolist()
    items = []
    for number, one in enumerate(bits):
        noun, name, verb = NOUNS[one[0] & 63], NAMES[(one[0] >> 6) & 63], VERBS[(one[0] >> 12) & 63]
        asked = f"Which {noun} has {name} {verb} in {1200 + (one[0] >> 18) % 800}?"
        question = asked if number % 4 == 3 else f"{sentence(one[1])} {sentence(one[2])} {asked}"
        choices = [f"the {ADJECTIVES[bit & 63]} {title(bit >> 6)[4:]}" for bit in one[2:]]
        items.append(
            {
                "id": f"eval-{number:05d}",
                "question": question,
                "choices": choices,
                "answer": choices[one[5] & 3],
            }
        )
    return items
