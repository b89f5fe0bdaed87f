"""Where the items of evaluation sets lie, and the items themselves."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation_sets.registry import Entry, Split, lookup, nearest
from chaffinch.files import csv_lines, read_table
from chaffinch.readers.columnar import open_hub
from chaffinch.readers.inputs import HUB
from chaffinch.recipe.decontaminate import Against, Decontaminate
from chaffinch.store import hash_file
from chaffinch.text_columns import values_of, written

# A known set through the hub, rather than from the data folder.
KNOWN_HUB = "hub:"

ITEMS = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("question", pa.large_string(), nullable=False),
        pa.field("choices", pa.list_(pa.large_string()), nullable=False),
        pa.field("answer", pa.large_string(), nullable=False),
    ]
)

# Question, choices and answer -> alternatives of fields.
Fields = dict[str, list[list[str]]]

# Names that fields have in files nobody described; the first group whose fields are all there is taken.
GUESSES: Fields = {
    "question": [
        ["body", "question"],
        ["passage", "question"],
        ["context", "question"],
        *([name] for name in ("question", "problem", "prompt", "query", "instruction", "input", "text", "goal", "ctx")),
    ],
    "choices": [["choices"], ["options"], ["endings"], ["choice0", "choice1", "choice2", "choice3"], ["target_scores"]],
    "answer": [[name] for name in ("answer", "target", "solution", "best_answer", "output", "response", "label")],
}


@dataclass(frozen=True)
class EvaluationSet:
    """An evaluation set that is there.

    Attributes:
        name: `gsm8k/test`, or the file's name as it was given.
        files: where it lies, in order; none when it is of the hub.
        hub: `hf:...` when it is of the hub.
        fields: where its parts are.
        entry: what the registry says, where it is a known one.
    """

    name: str
    files: tuple[Path, ...]
    hub: str | None
    fields: Fields
    entry: Entry | None = None


def find(against: Against, data: Path, *, folder: Path | None = None) -> list[EvaluationSet]:
    """The sets that are meant. A known name goes before a file of that name.

    Args:
        against: what the recipe or the command line says.
        data: the folder in which known sets lie.
        folder: the folder that files' names are relative to; default `data`, and then no name leads out of it.

    Raises:
        RecipeError: a known set has no such split, or is not on the hub, or a name leads out of the folder or is no
            pattern.
        DataError: nothing is there. Of the splits that a set's name alone means, one is enough.
    """
    given: Fields = {
        part: [fields] for part, fields in against.model_dump(exclude={"name"}).items() if fields is not None
    }
    name = against.name.removeprefix(KNOWN_HUB)
    if name.startswith(HUB):
        return [EvaluationSet(name, (), name, {**GUESSES, **given})]
    meant = lookup(name)
    if meant is not None:
        if against.name.startswith(KNOWN_HUB):
            return [_on_hub(entry, split, given) for entry, split in meant]
        there = [_known(entry, split, data, given) for entry, split in meant]
        if not any(there):
            entry, split = meant[0]
            other = f", or write {KNOWN_HUB}{name} to load it from the hub" if entry.hub and split.hub else ""
            message = f"evaluation set {entry.name}/{split.name} is not under {data}"
            raise DataError(f"{message}\nhint: {_where(split)}{other}")
        return [one for one in there if one is not None]
    if against.name.startswith(KNOWN_HUB):
        hint = f"{nearest(name)}any set of the hub is {HUB}org/name[/config][:split]"
        raise RecipeError(f"no known evaluation set is named {name!r}\nhint: {hint}")
    outside = Path(name).is_absolute() or ".." in Path(name).parts
    if folder is None and outside:
        raise RecipeError(f"against: {name!r} leads out of the data folder\nhint: put the file under --data")
    files = _glob(folder or data, [name])
    if not files:
        hint = f"{nearest(name)}`chaffinch decontaminate --list` has the known sets; files are relative to"
        raise DataError(f"no evaluation set and no file is named {name!r}\nhint: {hint} {folder or data}")
    return [EvaluationSet(name, files, None, {**GUESSES, **given})]


def find_all(spec: Decontaminate | None, data: Path) -> tuple[list[EvaluationSet], list[str]]:
    """The evaluation sets that a recipe names and are there, and the names of those that it lets be missing.

    Raises:
        DataError: one is missing and must not be.
    """
    found: list[EvaluationSet] = []
    missing = []
    for against in spec.against if spec else []:
        try:
            found += find(against, data)
        except DataError:
            if spec is None or spec.missing == "error":
                raise
            missing.append(against.name)
    return found, missing


def _known(entry: Entry, split: Split, data: Path, given: Fields) -> EvaluationSet | None:
    files = _glob(data, split.files)
    return EvaluationSet(f"{entry.name}/{split.name}", files, None, _fields(entry, given), entry) if files else None


def _on_hub(entry: Entry, split: Split, given: Fields) -> EvaluationSet:
    name = f"{entry.name}/{split.name}"
    if not (entry.hub and split.hub):
        raise RecipeError(f"evaluation set {name} has no single place on the hub\nhint: {_where(split)}")
    return EvaluationSet(name, (), f"{HUB}{entry.hub}:{split.hub}", _fields(entry, given), entry)


def _fields(entry: Entry, given: Fields) -> Fields:
    return {"question": entry.question, "choices": entry.choices, "answer": entry.answer, **given}


def _where(split: Split) -> str:
    return f"put its files where one of these finds them under --data: {', '.join(split.files)}"


def _glob(folder: Path, patterns: Iterable[str]) -> tuple[Path, ...]:
    """The files of the first pattern that has any: other layouts of the same set would be the same items again."""
    for pattern in patterns:
        # A name with brackets is a name before it is a pattern, and pathlib knows no patterns from the root.
        if (folder / pattern).is_file():
            return (folder / pattern,)
        parts = Path(pattern).parts
        if not parts or Path(pattern).is_absolute():
            continue
        try:
            found = sorted(path for path in folder.glob(pattern) if path.is_file())
        except ValueError as error:
            hint = "`**` has to stand alone between slashes"
            raise RecipeError(f"against: {pattern!r} is no pattern: {error}\nhint: {hint}") from None
        # As of sources: what is hidden, the folder of a build's work among it, has to be named.
        hidden = any(part.startswith(".") for part in parts)
        files = [path for path in found if hidden or not _is_hidden(path, folder)]
        if files:
            return tuple(files)
    return ()


def _is_hidden(path: Path, folder: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def items(evaluation_set: EvaluationSet) -> pa.Table:
    """The items of a set.

    Returns:
        id (string: the row's own `id` or `task_id`, or its index from 0; with the file's stem before it where there
        are several), question and answer (large_string, empty where there is none), choices (list of large_string).

    Raises:
        DataError: a file is damaged or has no field for the question, or the hub cannot be reached.
        OSError: a file cannot be read.
    """
    made: list[dict[str, Any]] = []
    for where, prefix, table in _tables(evaluation_set):
        entry = evaluation_set.entry
        if entry and entry.rows and entry.rows in table.column_names:
            table = _rows(where, table, entry.rows)
        of_table = _items(where, table, evaluation_set.fields, entry.until if entry else None)
        made += ({"id": f"{prefix}{id_}", **item} for id_, item in zip(_ids(table), of_table, strict=True))
    return pa.Table.from_pylist(made, schema=ITEMS)


def state(evaluation_set: EvaluationSet) -> Any:
    """All that the items of a set depend on, as a JSON value: where they are and are looked for, and the data.

    Raises:
        DataError: the hub cannot be reached.
        OSError: a file cannot be read.
    """
    files: list[tuple[str, Path]] = [(file.name, file) for file in evaluation_set.files]
    if evaluation_set.hub:
        # A name of the hub is another data set after every change that its owner makes.
        files += [(split.file, file) for split in open_hub(evaluation_set.hub) for file in split.files]
    entry = evaluation_set.entry
    return [
        evaluation_set.name,
        evaluation_set.hub,
        evaluation_set.fields,
        [entry.rows, entry.until] if entry else None,
        # The ids of items name their file where there are several.
        [[name, hash_file(file)] for name, file in files],
    ]


def _tables(evaluation_set: EvaluationSet) -> Iterator[tuple[str, str, pa.Table]]:
    if evaluation_set.hub:
        splits = open_hub(evaluation_set.hub)
        for split in splits:
            yield split.file, f"{split.file.rpartition(':')[2]}:" if len(splits) > 1 else "", split.table
    for file in evaluation_set.files:
        prefix = f"{file.name.partition('.')[0]}:" if len(evaluation_set.files) > 1 else ""
        table = _headerless(file, evaluation_set)
        yield str(file), prefix, read_table(file) if table is None else table


def _headerless(file: Path, evaluation_set: EvaluationSet) -> pa.Table | None:
    """The table of a CSV whose first line is no header but an item, as some makers write it; None where it is none."""
    names = evaluation_set.entry.headerless if evaluation_set.entry else []
    if not names or ".csv" not in file.suffixes:
        return None
    lines = csv_lines(file)
    first = {cell.lower(): cell for cell in lines[0]} if lines else {}
    if not lines or len(lines[0]) != len(names) or _choose(evaluation_set.fields["question"], first):
        return None
    for at, line in enumerate(lines):
        if len(line) != len(names):
            raise DataError(
                f"{file}: row {at} has {len(line)} cells, the first {len(names)}\nhint: quote cells that hold a comma"
            )
    columns = [pa.array(column, pa.large_string()) for column in zip(*lines, strict=True)]
    return pa.table(columns, names=names)


def _rows(where: str, table: pa.Table, key: str) -> pa.Table:
    """The table of the rows that a file has under a key."""
    try:
        rows = [row for rows in values_of(table, key) for row in rows]
        # Arrow itself takes the columns of the first row for those of all.
        names = dict.fromkeys(name for row in rows for name in row)
        return pa.table({name: [row.get(name) for row in rows] for name in names})
    except (pa.ArrowException, TypeError, AttributeError, UnicodeEncodeError) as error:
        hint = "it has to be an array of objects of texts and numbers"
        raise DataError(f"{where}: {key!r} holds no rows: {error}\nhint: {hint}") from None


def _ids(table: pa.Table) -> list[str]:
    """The rows' own ids where they have some that are texts and differ; else their indices."""
    for name in ("id", "task_id"):
        ids = values_of(table, name) if name in table.column_names else []
        if ids and all(isinstance(one, str) for one in ids) and len(set(ids)) == len(ids):
            return ids
    return [str(index) for index in range(len(table))]


def _items(where: str, table: pa.Table, fields: Fields, until: str | None) -> Iterator[dict[str, Any]]:
    names = {name.lower(): name for name in reversed(table.column_names)}
    chosen = {part: _choose(alternatives, names) for part, alternatives in fields.items()}
    if not chosen["question"]:
        there = ", ".join(table.column_names) or "nothing"
        hint = "name the question's fields in `against: [{name: ..., question: [...]}]` or with --question"
        raise DataError(f"{where}: no field for the question among {there}\nhint: {hint}")
    columns = {name: values_of(table, name) for part in chosen.values() for name in part}
    for row in range(len(table)):
        try:
            texts = {
                part: [text for name in own for text in _texts(columns[name][row])] for part, own in chosen.items()
            }
        except RecursionError:
            raise DataError(f"{where}: row {row} is nested too deep\nhint: mend it or leave it out") from None
        question = " ".join(texts["question"])
        if until and until in question:
            question = question.rpartition(until)[0]
        yield {"question": question, "choices": texts["choices"], "answer": " ".join(texts["answer"])}


def _choose(alternatives: Sequence[Sequence[str]], names: dict[str, str]) -> list[str]:
    for fields in alternatives:
        if fields and all(field.lower() in names for field in fields):
            return [names[field.lower()] for field in fields]
    return []


def _texts(value: Any) -> list[str]:
    """A text, a list of texts, `{"text": [...]}` or `{choice: score}` as texts."""
    if isinstance(value, dict):
        for key in ("text", "choices"):
            if key in value:
                return _texts(value[key])
        # Scores by choice; as an Arrow struct, choices of other rows are there without a score.
        return [written(key) for key, score in value.items() if score is not None]
    if isinstance(value, list):
        return [text for one in value for text in _texts(one)]
    return [] if value is None else [written(value)]
