"""Rows to the prompt and the response that a model is trained on."""

from collections.abc import Callable
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import yaml
from pydantic import ValidationError

from chaffinch import _core
from chaffinch.decisions import Rows
from chaffinch.errors import RecipeError
from chaffinch.recipe.format import Template
from chaffinch.recipe.load import read_yaml


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


def run(
    rows: pa.Table,
    chosen: Rows,
    template: Template,
    *,
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
            rows.select(["instruction", "input", "references", "messages"]),
            pa.array(chosen),
            plain(template),
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
