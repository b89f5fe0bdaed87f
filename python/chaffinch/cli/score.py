"""`chaffinch score`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from chaffinch.cli import options

if TYPE_CHECKING:
    from chaffinch.scoring import Scores


def score(
    recipe: options.Recipe,
    data: options.Data,
    out: Annotated[
        Path,
        typer.Option("--out", metavar="DIR", help="The output folder of the build to come.", show_default=False),
    ],
    overrides: options.Set = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; default all cores. The result is the same.")
    ] = None,
    cache: options.Cache = None,
    table: Annotated[
        Path | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write the scored rows: .jsonl, .parquet, .csv ..."),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Lets a model answer a recipe's rows, keeps the answers and measures them; a build then finds them there."""
    from chaffinch.cli.progress import shown_progress
    from chaffinch.cli.screen import print_json
    from chaffinch.recipe.load import parse_set
    from chaffinch.scoring import score as score_rows

    changes = parse_set(overrides or [])
    if table is not None:
        from chaffinch.files import check_suffix, write_table

        check_suffix(table)
    with shown_progress() as progress:
        found = score_rows(recipe, data=data, out=out, set=changes, threads=threads, cache=cache, progress=progress)
    if table is not None:
        write_table(found.table, table)
    if as_json:
        print_json(found.summary())
    else:
        _tell(found)


def _tell(found: "Scores") -> None:
    from chaffinch.cli.screen import facts, warn
    from chaffinch.cli.screen import table as show
    from chaffinch.report.numbers import duration

    def number(value: float | None) -> str:
        return "" if value is None else f"{value:.4f}"

    rows = [
        [
            f"{one.source}/{one.task}",
            (one.label or "no label").replace("_", " "),
            one.rows,
            one.answered,
            one.rows - one.answered,
            number(one.accuracy),
            number(one.rouge),
        ]
        for one in found.tasks
    ]
    show(
        ["task", "measured by", "rows", "answered", "missing", "accuracy", "ROUGE"],
        rows,
        numbers=[2, 3, 4, 5, 6],
    )
    account = found.account
    asked, known, seconds = account["asked"], account["known"], account["seconds"]
    speed = f", {account['tokens'] / seconds:,.0f} tokens/s" if account["tokens"] and seconds else ""
    typer.echo()
    facts(
        [
            ("answered", f"{account['answered']:,} of {asked:,} rows; {known:,} had an answer before"),
            ("asking took", f"{duration(seconds)}{speed}"),
        ]
    )
    for reason, count in account["missing"].items():
        warn(f"{count:,} rows have no answer: {reason}")
