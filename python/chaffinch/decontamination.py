"""Decontaminates one file, and measures itself on it."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch.errors import DataError
from chaffinch.evaluation_sets import EvaluationSet, find, items
from chaffinch.evaluation_sets.items import values_of, written
from chaffinch.progress import NoProgress, Progress
from chaffinch.readers.plan import NAMES
from chaffinch.recipe.decontaminate import Decontaminate
from chaffinch.stages.decontaminate import best_of_sets, contamination

FLAGS = ("evaluation_set", "evaluation_item", "coverage")
KINDS = ("verbatim", "case", "spacing", "punctuation", "word", "number")
SAMPLE = 200
# In no item and no row, so that a word is changed to one that was not there.
FOREIGN = "qzxchaffinchqzx"


@dataclass(frozen=True)
class Outcome:
    """What was found in a file.

    Attributes:
        kept: the rows to write; with `flag` all rows, with three columns more: evaluation_set, evaluation_item and
            coverage of the best match, null where there is none.
        summary: rows, matched, on (the fields looked at), sets (name, items, rows that match, items they hold).
    """

    kept: pa.Table
    summary: dict[str, Any]


def load(spec: Decontaminate, data: Path, folder: Path | None = None) -> list[tuple[str, pa.Table]]:
    """Name and items of the sets that a recipe or the command line names.

    Raises:
        RecipeError, DataError, OSError: as `evaluation_sets.find` and `evaluation_sets.items`.
    """
    sets: list[EvaluationSet] = [one for against in spec.against for one in find(against, data, folder=folder)]
    return [(one.name, items(one)) for one in sets]


def decontaminate(
    table: pa.Table,
    sets: Sequence[tuple[str, pa.Table]],
    spec: Decontaminate,
    *,
    on: Sequence[str] = (),
    threads: int | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Removes or flags the rows of a table that hold items.

    Args:
        table: any columns.
        sets: name and items of each set.
        spec: ngram, min_coverage, common and policy.
        on: the columns to look at, together; default: a conversation, or instruction and input by their usual names.
        threads: default all cores.
        progress: told how far it is.

    Raises:
        DataError: no such column, or none that is known.
    """
    progress = progress or NoProgress()
    fields = _fields(table, on)
    progress.start("decontaminate", len(table), "rows")
    all_items = pa.concat_tables([one for _, one in sets])
    of_set = np.repeat(np.arange(len(sets), dtype=np.uint32), [len(one) for _, one in sets])
    texts = pa.table({"text": _texts(table, fields)})
    found = best_of_sets(texts, all_items, of_set, spec, threads=threads, progress=progress.advance)
    row, item, coverage = (found[name].to_numpy() for name in ("row", "item", "coverage"))
    set_of = of_set[item]
    order = np.lexsort((set_of, -found["matched_words"].to_numpy().astype(np.int64), -coverage, row))
    first = order[np.unique(row[order], return_index=True)[1]]
    matched = np.zeros(len(table), bool)
    matched[row] = True
    if spec.policy == "remove":
        kept = table.filter(pa.array(~matched))
    else:
        kept = _flagged(
            table, row[first], [sets[one][0] for one in set_of[first]], all_items["id"], item[first], coverage[first]
        )
    progress.finish(len(kept), len(table) - len(kept))
    told = [
        {
            "name": name,
            "items": len(one),
            "rows": int((set_of == number).sum()),
            "items_found": len(np.unique(item[set_of == number])),
        }
        for number, (name, one) in enumerate(sets)
    ]
    return Outcome(kept, {"rows": len(table), "matched": int(matched.sum()), "on": fields, "sets": told})


def _flagged(
    table: pa.Table, row: np.ndarray, names: list[str], ids: Any, item: np.ndarray, coverage: np.ndarray
) -> pa.Table:
    taken = sorted(set(FLAGS) & set(table.column_names))
    if taken:
        raise DataError(f"the rows have a column {taken[0]} already\nhint: rename it, or leave out --flag")
    place = np.full(len(table), -1, np.int64)
    place[row] = np.arange(len(row))
    take = pa.array(place, mask=place < 0)
    columns = (pa.array(names, pa.string()), ids.take(pa.array(item)), pa.array(coverage))
    for name, column in zip(FLAGS, columns, strict=True):
        table = table.append_column(name, column.take(take))
    return table


def _fields(table: pa.Table, on: Sequence[str]) -> list[str]:
    there = table.column_names
    for name in on:
        if name not in there:
            raise DataError(f"no column {name!r}\nhint: there is {', '.join(there) or 'none'}")
    if on:
        return list(on)
    lower = {name.lower(): name for name in reversed(there)}
    known = {part: [lower[name] for name in names if name in lower][:1] for part, names in NAMES.items()}
    fields = known["messages"] or known["instruction"] + known["input"]
    if not fields:
        raise DataError(
            f"no column is known to hold prompts\nhint: name it with --on; there is {', '.join(there) or 'none'}"
        )
    return fields


def _texts(table: pa.Table, fields: Sequence[str]) -> pa.Array:
    columns = [table[name] for name in fields]
    kind = columns[0].type
    plain = (pa.types.is_string(kind) or pa.types.is_large_string(kind)) and not table.schema.field(fields[0]).metadata
    if len(columns) == 1 and plain:
        return columns[0]
    values = zip(*(values_of(table, name) for name in fields), strict=True)
    try:
        texts = ["\n".join(text for value in row for text in _said(value)) for row in values]
    except RecursionError:
        raise DataError("a conversation is nested too deep\nhint: mend the row or leave it out") from None
    return pa.array(texts, pa.large_string())


def _said(value: Any) -> list[str]:
    """The texts of a field: of a conversation what is said in its turns."""
    if isinstance(value, dict):
        return _said(next((value[key] for key in ("content", "value", "text") if key in value), None))
    if isinstance(value, list):
        return [text for one in value for text in _said(one)]
    return [] if value is None or value == "" else [written(value)]


def self_test(
    table: pa.Table,
    sets: Sequence[tuple[str, pa.Table]],
    spec: Decontaminate,
    *,
    on: Sequence[str] = (),
    seed: int = 0,
    threads: int | None = None,
) -> list[dict[str, Any]]:
    """Hides items in copies of the table's rows and looks how many are found.

    At most 200 items of each set, drawn by `seed`, are hidden behind the text of a row: with question, choices and
    answer as they are (`verbatim`), in capitals (`case`), with a line break and three spaces between words
    (`spacing`), with every punctuation mark another (`punctuation`), with one word of the question changed (`word`)
    and with one number of the question changed (`number`; items without one are left out). Items that count as a
    whole text only are put in its place. The copies are looked at together with all rows of the table, so that what
    is common there tells nothing in them either.

    Returns:
        For each set and kind: evaluation_set, kind, hidden, found, recall (None where nothing was hidden), and
        `whole`, how many of the hidden ones stood alone.
    """
    chance = random.Random(seed)
    fields = _fields(table, on)
    column = _texts(table, fields)
    rows = len(table)
    hidden: list[tuple[int, str, int, bool]] = []
    texts: list[str] = []
    all_items = pa.concat_tables([one for _, one in sets])
    start = 0
    for number, (_, one) in enumerate(sets):
        chosen = sorted(chance.sample(range(len(one)), min(SAMPLE, len(one))))
        picked = one.take(pa.array(chosen, pa.int64())).to_pylist()
        alone = _alone([_written(item) for item in picked], picked, spec)
        for index, item, whole in zip(chosen, picked, alone, strict=True):
            for kind in KINDS:
                changed = _changed(item, kind, chance)
                if changed is None:
                    continue
                base = (column[chance.randrange(rows)].as_py() or "") if rows else ""
                texts.append(changed["question"] if whole else f"{base}\n\n{_written(changed)}")
                hidden.append((number, kind, start + index, whole))
        start += len(one)
    column = column if isinstance(column, pa.ChunkedArray) else pa.chunked_array([column])
    together = pa.chunked_array([*column.cast(pa.large_string()).chunks, pa.array(texts, pa.large_string())])
    parts = {name: all_items[name] for name in ("question", "answer", "choices")}
    found = contamination(
        together,
        parts,
        ngram=spec.ngram,
        min_coverage=spec.min_coverage,
        common=spec.common,
        threads=threads,
    )
    pairs = set(zip(found["row"].to_pylist(), found["item"].to_pylist(), strict=True))
    lines = []
    for number, (name, _) in enumerate(sets):
        for kind in KINDS:
            of_kind = [(rows + at, one) for at, one in enumerate(hidden) if one[0] == number and one[1] == kind]
            hits = sum((row, one[2]) in pairs for row, one in of_kind)
            lines.append(
                {
                    "evaluation_set": name,
                    "kind": kind,
                    "hidden": len(of_kind),
                    "whole": sum(one[3] for _, one in of_kind),
                    "found": hits,
                    "recall": hits / len(of_kind) if of_kind else None,
                }
            )
    return lines


def _alone(hidden: list[str], picked: list[dict[str, Any]], spec: Decontaminate) -> list[bool]:
    """Which items are not found with a word before them: too short for that, they count as a whole text only."""
    questions = {name: [item[name] for item in picked] for name in ("question", "answer", "choices")}
    if not picked:
        return []
    parts = {name: pa.array(values) for name, values in questions.items() if name != "choices"}
    parts["choices"] = pa.array(questions["choices"], pa.list_(pa.string()))
    texts = [f"{FOREIGN} {text}" for text in hidden]
    found = contamination(texts, parts, ngram=spec.ngram, min_coverage=spec.min_coverage, common=len(picked) + 1)
    pairs = set(zip(found["row"].to_pylist(), found["item"].to_pylist(), strict=True))
    return [(index, index) not in pairs for index in range(len(picked))]


def _written(item: dict[str, Any]) -> str:
    return "\n".join([item["question"], *item["choices"], item["answer"]])


def _changed(item: dict[str, Any], kind: str, chance: random.Random) -> dict[str, Any] | None:
    question = item["question"]
    if kind in ("word", "number"):
        places = list(re.finditer(r"\d+" if kind == "number" else r"[^\W_]+", question))
        if not places:
            return None
        place = chance.choice(places)
        # Of a number only the last digits: Python refuses to read one of thousands.
        other = f"{place[0][:-9]}{int(place[0][-9:]) + chance.randint(1, 9)}" if kind == "number" else FOREIGN
        return {**item, "question": question[: place.start()] + other + question[place.end() :]}
    changes: dict[str, Callable[[str], str]] = {
        "verbatim": lambda text: text,
        "case": str.upper,
        "spacing": lambda text: re.sub(r"[ \t]+", " \n   ", text),
        "punctuation": lambda text: re.sub(r"[!-/:-@\[-`{-~]", lambda mark: ";" if mark[0] != ";" else ",", text),
    }
    change = changes[kind]
    return {
        "question": change(question),
        "choices": [change(choice) for choice in item["choices"]],
        "answer": change(item["answer"]),
    }
