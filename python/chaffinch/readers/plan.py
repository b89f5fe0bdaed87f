"""What the reading core has to know of a source, in its own words."""

import json
from pathlib import Path
from typing import TypedDict

from chaffinch.errors import DataError, RecipeError
from chaffinch.readers.inputs import DELIMITED, Input, check_inside
from chaffinch.recipe.source import Edit, Source

NAMES = {
    "instruction": ["instruction", "prompt", "question", "query", "problem"],
    "input": ["input", "context"],
    "output": ["output", "completion", "response", "answer", "target", "outputs", "references"],
    "messages": ["conversations", "messages", "conversation"],
    "instances": ["instances"],
}
TEXT_COLUMNS = ("instruction", "input", "output", "messages")

# Formats that Python takes apart into rows with the columns' own names.
UNFOLDED = ("cnn-stories", "text", "apps", "apps-solutions", "quac", "openbookqa")


# Task, category, input languages, output languages.
Task = tuple[str, str | None, list[str], list[str]]


class CorePlan(TypedDict):
    """`SourcePlan` of rust/py/src/read_plan.rs; also what a shard's cache key is made of."""

    source: str
    format: str
    fields: dict[str, list[str]]
    constants: list[str | None]
    tasks: list[Task]
    edits: list[tuple[str, str, list[str], float]]
    delimiter: str
    quoting: bool
    columns: list[str] | None


def core_plan(source: Source, tasks: list[Task], input_: Input) -> CorePlan:
    """How to read one input of a source.

    Raises:
        RecipeError: the recipe names fields that the format has no use for, or a delimiter that is not one
            ASCII character.
    """
    mapped = {name: names for name, names in source.fields.model_dump().items() if names is not None}
    unused = {
        "natural-instructions": set(mapped),
        "conversation": {"instruction", "input", "output"} & set(mapped),
        "instruction": {"messages"} & set(mapped),
    }.get(source.format, set(TEXT_COLUMNS) & set(mapped) if source.format in UNFOLDED else set())
    if unused:
        message = f"source {source.name}: fields.{min(unused)} has no meaning in format {source.format}"
        raise RecipeError(f"{message}\nhint: leave it out, or choose another format")
    tabs = input_.suffix == ".tsv"
    delimiter = source.delimiter or ("\t" if tabs else ",")
    if len(delimiter) != 1 or not delimiter.isascii():
        message = f"source {source.name}: delimiter is {delimiter!r}"
        raise RecipeError(f"{message}\nhint: it has to be one ASCII character")
    columns = TEXT_COLUMNS[:3] if source.format in UNFOLDED else ()
    own_names = {name: [name] for name in columns}
    return CorePlan(
        source=source.name,
        format="instruction" if source.format in UNFOLDED else source.format,
        fields={**NAMES, **own_names, **mapped},
        constants=[source.instruction, source.category, source.language, source.licence],
        tasks=tasks,
        edits=[(edit.name, _field(edit), edit.values, edit.fraction) for edit in source.edits],
        delimiter=delimiter,
        quoting=delimiter != "\t" if source.quoting is None else source.quoting,
        columns=source.columns,
    )


def is_delimited(source: Source, input_: Input) -> bool:
    """Whether an input is CSV or the like.

    Raises:
        RecipeError: the format cannot lie in such a file.
    """
    delimited = input_.suffix in DELIMITED or source.columns is not None or source.delimiter is not None
    if delimited and source.format not in ("auto", "instruction"):
        message = f"source {source.name}: {input_.file} is delimited text, which has no format {source.format}"
        raise RecipeError(f"{message}\nhint: set format to instruction and name the fields")
    return delimited


def _field(edit: Edit) -> str:
    return edit.field or ("input" if edit.name in ("blank", "lowercase-input") else "output")


def load_task_table(source: Source, data: Path) -> list[Task]:
    """What the table says of each task and of its aliases; a task's own name goes before an alias.

    Raises:
        DataError: the table is missing, or not a JSON array of objects with `task`.
    """
    if source.task_table is None:
        return []
    check_inside(source.task_table, f"source {source.name}, task_table")
    path = data / source.task_table
    where = f"source {source.name}: task table {path}"
    try:
        table = json.loads(path.read_text("utf-8"))
        named = {row["task"]: _task(row["task"], row) for row in table}
        aliases = {alias: _task(alias, row) for row in table for alias in row.get("aliases") or []}
    except FileNotFoundError:
        raise DataError(f"{where} does not exist\nhint: task_table is relative to the data folder") from None
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        message = f"{where} is not a JSON array of objects with `task`: {error}"
        raise DataError(f"{message}\nhint: see natural-instructions/task_table.json") from None
    return sorted({**aliases, **named}.values())


def _task(name: str, row: dict[str, object]) -> Task:
    category = row.get("category")
    if not isinstance(name, str) or not (category is None or isinstance(category, str)):
        raise TypeError("task and category have to be text")
    return name, category, _texts(row.get("input_language")), _texts(row.get("output_language"))


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise TypeError("languages have to be texts")
    return texts
