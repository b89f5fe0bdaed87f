"""`chaffinch leaderboard`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from chaffinch.cli import options


def leaderboard(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE.json...]",
            help="What models scored: [[name, {column: value}], ...]. Several files make one pool, so that "
            "another model can be added to a published one.",
            show_default=False,
        ),
    ] = None,
    add: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=DIR", help="Add a model that `chaffinch evaluate` asked.", show_default=False),
    ] = None,
    formula: Annotated[
        str, typer.Option(help="How a win rate is counted: `challenge`, or HELM's own, `helm`.")
    ] = "challenge",
    as_json: options.Json = False,
) -> None:
    """Ranks a pool of models by mean win rates, as the NeurIPS 2023 LLM Efficiency Challenge did."""
    from chaffinch.cli.screen import print_json, table, warn
    from chaffinch.evaluation.leaderboard import Formula, added, read_models
    from chaffinch.evaluation.leaderboard import leaderboard as rank

    asked: Any = formula
    named: Formula = asked
    own = [one.partition("=") for one in add or []]
    if any(not all(parts) for parts in own) or len({name for name, _, _ in own}) < len(own):
        raise typer.BadParameter("--add is NAME=DIR, and no name comes twice")
    if not files and not own:
        raise typer.BadParameter("give a pool's FILE.json, or --add NAME=DIR")
    models, notes = added(read_models(files or []), {name: Path(folder) for name, _, folder in own})
    found = rank(models, formula=named)
    for name, of in notes.items():
        for note in of:
            warn(f"{name}: {note}")
    if as_json:
        print_json({"formula": formula, "models": found.to_pylist(), "notes": notes})
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
