"""Options and arguments that several verbs share."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pydantic import ValidationError

Recipe = Annotated[
    str,
    typer.Argument(metavar="RECIPE", help="A shipped recipe's name, or a .yaml file.", show_default=False),
]
Data = Annotated[
    Path,
    typer.Option("--data", metavar="DIR", help="The folder that the recipe's files are under.", show_default=False),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Override a recipe key: dotted, a list's item by number or name; YAML value. Repeatable.",
        show_default=False,
    ),
]
Cache = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Where what was read and decided is kept; default OUT/.chaffinch."),
]
Finished = Annotated[
    Path, typer.Argument(metavar="OUT", help="The output folder of a finished build.", show_default=False)
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, and nothing else there.")]


def refused(error: "ValidationError") -> typer.BadParameter:
    """The first of a model's complaints, as one of the option that is named as its key."""
    wrong = error.errors()[0]
    name = "--" + str(wrong["loc"][0]).replace("_", "-")
    return typer.BadParameter(f"{name} is {wrong['input']}: {wrong['msg']}")
