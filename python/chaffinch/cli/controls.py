"""`chaffinch controls`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from chaffinch.cli import options


def controls(
    out: options.Finished,
    data: options.Data,
    to: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="They become DIR/random and DIR/longest.", show_default=False),
    ],
    by: Annotated[
        Literal["rows", "tokens"], typer.Option(help="As many rows, or, where the recipe has tokens, as many of these.")
    ] = "rows",
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; default all cores.")] = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Builds what a selection is held against: as many random rows, and the longest responses."""
    from chaffinch.cli.progress import shown_progress
    from chaffinch.cli.screen import print_json, table
    from chaffinch.controlling import controls as run

    with shown_progress() as progress:
        found = run(out, data=data, to=to, by=by, threads=threads, cache=cache, progress=progress)
    rows = [[kind, result.summary["kept"], str(result.out)] for kind, result in found.items()]
    if as_json:
        print_json([dict(zip(("control", "rows", "out"), row, strict=True)) for row in rows])
        return
    table(["control", "rows", "folder"], rows, numbers=[1])
