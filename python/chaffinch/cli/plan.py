"""`chaffinch plan`."""

from pathlib import Path
from typing import Annotated

import typer

from chaffinch.cli import options


def plan(
    recipe: options.Recipe,
    data: options.Data,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="The build's output folder, to see what is cached."),
    ] = None,
    overrides: options.Set = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Shows what a build would read and run, without doing it."""
    from chaffinch.cli.screen import facts, print_json, table
    from chaffinch.planning import plan as plan_build
    from chaffinch.recipe.load import parse_set
    from chaffinch.report.numbers import size

    made = plan_build(recipe, data=data, out=out, cache=cache, set=parse_set(overrides or []))
    if as_json:
        print_json(made.summary())
        return
    rows = [
        [
            source.name,
            source.format,
            source.files,
            size(source.bytes),
            f"{source.cached:,} of {source.files:,}",
            # Rows are counted by reading, so only the files of an earlier build have a number.
            f"{source.rows:,}" if source.cached else "?",
        ]
        for source in made.sources
    ]
    table(["source", "format", "files", "size", "files read", "rows"], rows, numbers=[2, 3, 4, 5])
    typer.echo()
    total = sum(source.bytes for source in made.sources)
    cached = sum(source.cached_bytes for source in made.sources)
    facts(
        [
            ("recipe", made.recipe.name),
            ("stages", " → ".join(made.stages)),
            ("to read", f"{size(total - cached)} of {size(total)}"),
            ("decided", ", ".join(made.decided) or "none of the stages yet"),
        ]
    )
    if made.recipe.score is not None:
        unknown = "not known before the stages before `score` have decided"
        facts([("to ask", unknown if made.questions is None else f"{made.questions:,} answers")])
