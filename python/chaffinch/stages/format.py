"""Rows to the prompt and the response that a model is trained on."""

from collections.abc import Callable
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import yaml
from pydantic import ValidationError

from chaffinch import _core
from chaffinch.columns import to_numpy
from chaffinch.conversations import mended
from chaffinch.decisions import Decisions, Rows
from chaffinch.errors import RecipeError
from chaffinch.pools import files
from chaffinch.pools.asking import Asking
from chaffinch.recipe.format import OWN, Format, Handling, Pool, PoolUse, Template
from chaffinch.recipe.load import read_yaml
from chaffinch.store import Rows as Store

BATCH = 16_384
# What of the store a template writes.
TEXTS = ["instruction", "input", "references", "messages"]
# From row numbers and their texts to the texts as the mixture has them, and further columns of it.
Prepare = Callable[[Rows, pa.Table], tuple[pa.Table, dict[str, Any]]]
_ZERO_WIDTH_SPACE = "\u200b"
# The code of `_core.examine` for a row whose own text holds a mark.
MARKED = 4
_TEXT = pa.large_string()


def load_template(name: str) -> Template:
    """Reads a template.

    Args:
        name: a shipped one (`birbal`, `alpaca`, `vicuna`, ...), or the path of a YAML file.

    Raises:
        RecipeError: there is no such template, or the file does not say what a template must.
        OSError: the file cannot be read.
    """
    shipped = resources.files("chaffinch") / "templates"
    names = sorted(entry.name.removesuffix(".yaml") for entry in shipped.iterdir() if entry.name.endswith(".yaml"))
    if name.endswith((".yaml", ".yml")):
        if not Path(name).is_file():
            hint = f"a template's path is relative to its recipe; the shipped ones are {', '.join(names)}"
            raise FileNotFoundError(f"no template file {name}\nhint: {hint}")
        try:
            text = Path(name).read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise RecipeError(f"template {name} is no UTF-8 text: {error}") from None
    else:
        if name not in names:
            raise RecipeError(
                f"no template {name!r}\nhint: choose {', '.join(names)}, or give the path of a .yaml file"
            )
        text = (shipped / f"{name}.yaml").read_text(encoding="utf-8")
    try:
        template = Template.model_validate(read_yaml(text))
    except (ValidationError, yaml.YAMLError) as error:
        raise RecipeError(f"template {name}: {error}") from error
    for segment in template.prompt:
        if "{response}" in segment.text.replace("{{", "").replace("}}", ""):
            raise RecipeError(
                f"template {name}: the prompt holds {{response}}, which the model is to learn\n"
                "hint: leave it out; the response stands in its own column"
            )
    return template


def template_of(spec: Format) -> Template | None:
    """The template that a recipe names; None for a tokenizer's own.

    Raises:
        RecipeError, OSError: see `load_template`.
    """
    return None if spec.template == OWN else load_template(spec.template)


def load_pools(spec: Format) -> list[tuple[PoolUse, Pool]]:
    """The pools that a recipe names, each file read once.

    Raises:
        RecipeError: there is no such pool, or its file does not say what a pool must.
        OSError: the file cannot be read.
    """
    return [(use, files.load(use)) for use in spec.pools]


def asking_of(rows: Store, spec: Format, seed: int, shown: Rows, *, threads: int | None = None) -> Asking | None:
    """The recipe's pools, with the row numbers that may stand before others; None where it has none."""
    pools = load_pools(spec)
    demonstrations = (spec.demonstrations, shown) if spec.demonstrations else None
    return Asking(rows, pools, seed, demonstrations, threads=threads) if pools else None


def prepare(
    rows: Store, asking: Asking | None, conversations: bool, merge: bool, count: bool, part: Rows, batch: pa.Table
) -> tuple[pa.Table, dict[str, Any]]:
    """Mends conversations, puts some rows in the words of their pools, and makes conversations of them.

    Args:
        rows: the store.
        asking: the recipe's pools; None when it has none.
        conversations: whether every row gets messages.
        merge: whether conversations are mended (`conversations.mend`).
        count: whether `asking` counts these rows.
        part: row numbers.
        batch: the store's text columns of these rows.

    Returns:
        The batch, where a row with a pool has its prompt as instruction, no input, and its response as first reference;
        and columns template (pool/id, null where a row keeps its own text) and demonstrations (ids of the rows that
        stand before it).
    """
    columns: dict[str, Any] = {}
    if merge:
        batch = mended(batch)
    if asking is not None:
        batch, columns = _ask(rows, asking, count, part, batch)
    return (_as_conversations(batch) if conversations else batch), columns


def _ask(rows: Store, asking: Asking, count: bool, part: Rows, batch: pa.Table) -> tuple[pa.Table, dict[str, Any]]:
    found = asking(part, count=count)
    put = pa.array([one is not None for one in found["template"]])
    references = [
        kept if one is None else [one, *(kept[1:] if kept[:1] == [one] else [])]
        for one, kept in zip(found["response"], batch["references"].to_pylist(), strict=True)
    ]
    columns = {
        "instruction": pc.coalesce(pa.array(found["instruction"], _TEXT), batch["instruction"].cast(_TEXT)),
        "input": pc.if_else(put, pa.scalar("", _TEXT), batch["input"].cast(_TEXT)),
        "references": pa.array(references, pa.list_(_TEXT)),
    }
    for name, column in columns.items():
        batch = _replaced(batch, name, column)
    shown = found["demonstrations"]
    flat = np.array([row for some in shown for row in some], np.uint32)
    offsets = np.cumsum([0, *(len(some) for some in shown)], dtype=np.int32)
    ids = pa.ListArray.from_arrays(pa.array(offsets), rows.ids(flat).cast(pa.string()))
    return batch, {"template": pa.array(found["template"], pa.string()), "demonstrations": ids}


def _as_conversations(batch: pa.Table) -> pa.Table:
    """Every row as messages: one question (instruction, an empty line, input) and one answer where there are none."""
    single = batch["messages"].is_null()
    text = {name: batch[name].combine_chunks().cast(_TEXT) for name in ("instruction", "input")}
    blank = [pc.equal(pc.utf8_trim_whitespace(text[name]), "") for name in ("instruction", "input")]
    between = pc.if_else(pc.or_(*blank), pa.scalar("", _TEXT), pa.scalar("\n\n", _TEXT))
    asked = pc.binary_join_element_wise(text["instruction"], between, text["input"], pa.scalar("", _TEXT))
    answers = pa.array([some[0] if some else "" for some in batch["references"].to_pylist()], _TEXT)
    roles = pa.array(["user", "assistant"] * len(batch), _TEXT)
    both = pa.concat_arrays([_one(asked), _one(answers)])
    contents = both.take(pa.array(np.arange(2 * len(batch)).reshape(2, -1).T.ravel()))
    offsets = pa.array(np.arange(0, 2 * len(batch) + 1, 2, dtype=np.int32))
    made = pa.ListArray.from_arrays(offsets, pa.StructArray.from_arrays([roles, contents], ["role", "content"]))
    kept = _one(batch["messages"].cast(made.type))
    at = np.arange(len(batch)) + np.where(_one(single).to_numpy(zero_copy_only=False), len(batch), 0)
    messages = pa.concat_arrays([kept, made]).take(pa.array(at))
    return _replaced(batch, "messages", messages)


def _replaced(batch: pa.Table, name: str, column: Any) -> pa.Table:
    """`batch` with other values in a column of the same type."""
    field = batch.schema.field(name)
    return batch.set_column(batch.schema.get_field_index(name), field, column.cast(field.type))


def _one(column: Any) -> Any:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def marks_of(texts: list[str], handling: Handling) -> dict[str, Any]:
    """Marks as the extension reads them: escaped, a zero-width space stands behind their first character."""
    return {"texts": texts, "handling": handling, "filler": _ZERO_WIDTH_SPACE}


def marked(
    rows: pa.Table,
    alive: Rows,
    template: Template,
    handling: Handling,
    prepare: Prepare | None,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Decisions:
    """Counts the rows whose own text holds a mark of the template, and removes them where the recipe refuses them.

    Args:
        rows: the store's table.
        alive: the rows still in, increasing.
        template: what writes them.
        handling: what the recipe says.
        prepare: how they are put in other words before; None when they are not.
        threads: default all cores.
        progress: called with the rows done so far.
    """
    marks, found = marks_of(template.marks, "keep"), [np.empty(0, np.uint32)]
    for start in range(0, len(alive), BATCH):
        part = alive[start : start + BATCH]
        batch, chosen = texts_of(rows, part, prepare)
        codes = to_numpy(_core.examine(batch, pa.array(chosen), plain(template), marks, threads=threads))
        found.append(part[codes == MARKED])
        if progress is not None:
            progress(start + len(part))
    row = np.concatenate(found)
    decisions = Decisions.because("template_mark", row) if handling == "refuse" else Decisions.none()
    return replace(decisions, notes={"rows with marks": len(row)})


def texts_of(rows: pa.Table, part: Rows, prepare: Prepare | None) -> tuple[pa.Table, Rows]:
    """Where the texts of the rows `part` lie: a table, and the numbers of the rows in it."""
    texts = rows.select(TEXTS)
    if prepare is None:
        return texts, part
    batch = pa.table(_core.gather(texts, pa.array(part)))
    return prepare(part, batch)[0].select(TEXTS), np.arange(len(part), dtype=np.uint32)


def run(
    rows: pa.Table,
    chosen: Rows,
    template: Template,
    *,
    escape: bool = False,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> pa.Table:
    """Renders rows.

    Of a conversation the prompt is every turn before the assistant's last, and that one is the response.
    Braces in the data mean nothing.

    Args:
        rows: the store's table.
        chosen: the row numbers to render, in any order.
        template: how.
        escape: whether marks of the template in the rows' own text are escaped.
        threads: default all cores.
        progress: called with the rows done so far.

    Returns:
        A table (prompt: large_string, response: large_string) in the order of `chosen`.

    Raises:
        RecipeError: the template names a field that no row has, or a brace is left open.
        DataError: a conversation has a role or an order of turns that the template does not know.
    """
    return pa.table(
        _core.render(
            rows.select(TEXTS),
            pa.array(chosen),
            plain(template),
            marks_of(template.marks, "escape" if escape else "keep"),
            threads=threads,
            progress=progress,
        )
    )


def plain(template: Template, bos: str | None = None, eos: str | None = None) -> dict[str, Any]:
    """The template as the extension reads it, with a tokenizer's marks in place of its own."""
    values = template.model_dump(exclude={"marks"})
    values["turns"] = list(template.turns.items())
    values |= {"bos": bos} if bos is not None else {}
    values |= {"eos": eos} if eos is not None else {}
    return values
