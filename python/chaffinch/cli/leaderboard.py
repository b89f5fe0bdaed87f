"""`chaffinch leaderboard`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from chaffinch.cli import options


def leaderboard(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE.json...",
            help="What models scored: [[name, {column: value}], ...]. Several files make one pool, so that "
            "another model can be added to a published one.",
        ),
    ],
    formula: Annotated[
        str, typer.Option(help="How a win rate is counted: `challenge`, or HELM's own, `helm`.")
    ] = "challenge",
    as_json: options.Json = False,
) -> None:
    """Ranks a pool of models by mean win rates, as the NeurIPS 2023 LLM Efficiency Challenge did."""
    from chaffinch.cli.screen import print_json, table
    from chaffinch.evaluation.leaderboard import Formula, read_models
    from chaffinch.evaluation.leaderboard import leaderboard as rank

    asked: Any = formula
    named: Formula = asked
    found = rank(read_models(files), formula=named)
    if as_json:
        print_json({"formula": formula, "models": found.to_pylist()})
        return
    rows = [
        [value if not isinstance(value, float) else f"{value:.4f}" for value in row.values()]
        for row in found.to_pylist()
    ]
    table(
        found.column_names,
        [["-" if value is None else value for value in row] for row in rows],
        numbers=[0, *range(2, 14)],
    )
