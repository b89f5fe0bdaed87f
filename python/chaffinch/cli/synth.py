"""`chaffinch synth`."""

from pathlib import Path
from typing import Annotated

import typer

from chaffinch.cli import options


def synth(
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The folder to make: new, empty, or made by the same command.",
            show_default=False,
        ),
    ],
    rows: Annotated[int, typer.Option(min=1, help="Rows over all files, planted and broken ones included.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Chooses the texts and the places of what is planted.")] = 0,
    profile: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="demo: every format and plant; flat: many rows fast; birbal, flan-mini: the sources of these recipes.",
        ),
    ] = "demo",
    as_json: options.Json = False,
) -> None:
    """Makes a corpus with known answers: the same rows, seed and profile give the same bytes."""
    from chaffinch.cli.progress import shown_progress
    from chaffinch.cli.screen import facts, print_json
    from chaffinch.synth import synthesise

    with shown_progress() as progress:
        progress.start("synth", rows, "rows")
        truth = synthesise(out, rows, seed=seed, profile=profile, progress=lambda done, _: progress.advance(done))
        progress.finish(truth["total"]["rows"], 0)
    if as_json:
        print_json({"out": str(out)} | {key: truth[key] for key in ("profile", "seed", "total", "evaluation")})
        return
    total = truth["total"]
    facts(
        [
            ("corpus", out),
            ("files", len(truth["files"])),
            ("rows", total["rows"]),
            ("planted", sum(total["planted"].values())),
            ("broken", total["broken"]),
        ]
    )
