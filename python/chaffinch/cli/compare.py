"""`chaffinch compare`."""

from pathlib import Path
from typing import Annotated

import typer

from chaffinch.cli import options


def compare(
    evaluations: Annotated[
        list[str],
        typer.Argument(metavar="NAME=DIR...", help="Folders that `chaffinch evaluate` wrote, each with a name."),
    ],
    against: Annotated[
        str | None, typer.Option(metavar="NAME", help="The one that the others are compared with; default the first.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Write the table: .html, or .csv, .jsonl, .parquet ..."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: options.Json = False,
) -> None:
    """Compares evaluated models item by item, with bootstrap intervals."""
    from chaffinch.cli.screen import print_json, table, warn
    from chaffinch.evaluation.comparison import compare as run
    from chaffinch.evaluation.comparison import controls, write

    named = dict(one.split("=", 1) for one in evaluations if "=" in one)
    if len(named) < len(evaluations):
        raise typer.BadParameter("each evaluation is NAME=DIR, and no name comes twice")
    if against is not None and against not in named:
        raise typer.BadParameter(f"--against {against} is none of {', '.join(named)}")
    if len(named) < 2:
        raise typer.BadParameter("give at least two evaluations")
    found = run(named, against=against, seed=seed)
    if out is not None:
        write(found, out)
    if as_json:
        print_json(found.to_pylist())
        return
    rows = [
        [
            row["set"],
            row["shots"],
            row["variant"],
            row["metric"],
            row["model"],
            row["standing"],
            row["items"],
            f"{row['score']:.4f}",
            "" if row["difference"] is None else f"{row['difference']:+.4f}",
            "" if row["difference"] is None else f"{row['low']:+.4f} to {row['high']:+.4f}",
            {True: "yes", False: "no", None: ""}[row["differs"]],
        ]
        for row in found.to_pylist()
    ]
    headings = [
        "set",
        "shots",
        "variant",
        "metric",
        "model",
        "mixture",
        "items",
        "score",
        "difference",
        "95 %",
        "differs",
    ]
    table(headings, rows, numbers=[1, 6, 7, 8, 9])
    missing = controls(list(named))
    if missing:
        warn(missing)
