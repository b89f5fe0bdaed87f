"""Printing: results go to stdout, the rest to stderr, and text from data never acts on the terminal."""

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 140


def console(*, stderr: bool = False) -> "Console":
    """A console without markup, so that brackets in data stay brackets; wide when it is piped."""
    from rich.console import Console

    made = Console(stderr=stderr, markup=False, highlight=False, emoji=False)
    return (
        made
        if made.is_terminal
        else Console(stderr=stderr, markup=False, highlight=False, emoji=False, width=PIPE_WIDTH)
    )


def print_json(values: Any) -> None:
    """Prints one JSON value, in ASCII, which no terminal and no pipe can misread."""
    typer.echo(json.dumps(values, indent=2))


def warn(message: str) -> None:
    """A warning, on stderr."""
    from chaffinch.report.visible import visible

    typer.echo(f"warning: {visible(message)}", err=True)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, numbers: Sequence[int] = ()) -> None:
    """Prints a table on stdout.

    Args:
        columns: the headings.
        rows: one value per column; numbers get thousands separators.
        numbers: the columns to align to the right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from chaffinch.report.visible import inline

    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        made.add_column(Text(column), justify="right" if index in numbers else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(inline(_written(value))) for value in row))
    console().print(made)


def _written(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else str(value)


def facts(pairs: Iterable[tuple[str, object]]) -> None:
    """Prints `label  value` lines on stdout; a value's further lines are indented to its first."""
    from chaffinch.report.visible import visible

    for label, value in pairs:
        text = visible(_written(value))
        typer.echo(f"{label:<13} " + text.replace("\n", "\n" + " " * 14))
