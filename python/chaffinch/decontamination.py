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
from chaffinch.evaluation_sets.items import ITEMS
from chaffinch.order import lexsort
from chaffinch.progress import NoProgress, Progress
from chaffinch.recipe.decontaminate import Decontaminate
from chaffinch.stages.decontaminate import find_items
from chaffinch.text_columns import choose_columns, column_text

FLAGS = ("evaluation_set", "evaluation_item", "coverage")
KINDS = ("verbatim", "case", "spacing", "punctuation", "word", "number")
SAMPLE = 200
# In no item and no row, so that a word is changed to one that was not there.
FOREIGN = "qzxchaffinchqzx"
PROMPT = ("messages", "instruction", "input")


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
    fields = choose_columns(table, on, PROMPT)
    progress.start("decontaminate", len(table), "rows")
    all_items = pa.concat_tables([one for _, one in sets])
    of_set = np.repeat(np.arange(len(sets), dtype=np.uint32), [len(one) for _, one in sets])
    texts = pa.table({"text": _texts(table, fields)})
    found, held = find_items(texts, all_items, spec, sets=of_set, threads=threads, progress=progress.advance)
    set_of_held = of_set[held["item"].to_numpy()]
    row, item, coverage = (found[name].to_numpy() for name in ("row", "item", "coverage"))
    set_of = of_set[item]
    order = lexsort((set_of, -found["matched_words"].to_numpy().astype(np.int64), -coverage, row))
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
            "items_found": int((set_of_held == number).sum()),
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


def _texts(table: pa.Table, fields: Sequence[str]) -> Any:
    """The columns' texts together: of several, one below the other, empty ones left out."""
    columns = [column_text(table, name) for name in fields]
    if len(columns) == 1:
        return columns[0]
    rows = zip(*(column.to_pylist() for column in columns), strict=True)
    return pa.array(["\n".join(text for text in row if text) for row in rows], pa.large_string())


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
    fields = choose_columns(table, on, PROMPT)
    column = _texts(table, fields)
    rows = len(table)
    hidden: list[tuple[int, str, int, bool]] = []
    texts: list[str] = []
    all_items = pa.concat_tables([one for _, one in sets])
    start = 0
    for number, (_, one) in enumerate(sets):
        chosen = sorted(chance.sample(range(len(one)), min(SAMPLE, len(one))))
        picked = one.take(pa.array(chosen, pa.int64())).to_pylist()
        alone = _alone([_written(item) for item in picked], picked, spec, threads)
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
    has = _has(together, all_items, spec, threads)
    lines = []
    for number, (name, _) in enumerate(sets):
        for kind in KINDS:
            of_kind = [(rows + at, one) for at, one in enumerate(hidden) if one[0] == number and one[1] == kind]
            hits = sum(has(row, one[2]) for row, one in of_kind)
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


def _alone(hidden: list[str], picked: list[dict[str, Any]], spec: Decontaminate, threads: int | None) -> list[bool]:
    """Which items are not found with a word before them: too short for that, they count as a whole text only."""
    items = pa.Table.from_pylist(picked, ITEMS)
    texts = pa.array([f"{FOREIGN} {text}" for text in hidden], pa.large_string())
    # Nothing is common among so few.
    has = _has(texts, items, spec.model_copy(update={"common": len(picked) + 1}), threads)
    return [not has(index, index) for index in range(len(picked))]


def _has(texts: Any, items: pa.Table, spec: Decontaminate, threads: int | None) -> Callable[[int, int], bool]:
    """Whether a row has an item, by their numbers; of equal items it has all."""
    matches, held = find_items(pa.table({"text": texts}), items, spec, threads=threads)
    pairs = set(zip(matches["row"].to_pylist(), matches["item"].to_pylist(), strict=True))
    first = dict(zip(held["item"].to_pylist(), held["first"].to_pylist(), strict=True))
    return lambda row, item: (row, first.get(item)) in pairs


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
