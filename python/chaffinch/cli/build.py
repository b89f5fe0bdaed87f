"""`chaffinch build`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaffinch.cli import options

if TYPE_CHECKING:
    from chaffinch.result import Result


def build(
    recipe: options.Recipe,
    data: options.Data,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            metavar="DIR",
            help="The output folder; an earlier build's is replaced.",
            show_default=False,
        ),
    ],
    overrides: options.Set = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; default all cores. The result is the same.")
    ] = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Builds a mixture: data, ledger, manifest and report."""
    from chaffinch.building import build as build_mixture
    from chaffinch.cli.progress import shown_progress
    from chaffinch.cli.screen import print_json, warn
    from chaffinch.recipe.load import parse_set

    changes = parse_set(overrides or [])
    with shown_progress() as progress:
        result = build_mixture(recipe, data=data, out=out, set=changes, threads=threads, cache=cache, progress=progress)
    if as_json:
        print_json(_values(result))
        return
    for warning in result.summary["warnings"]:
        warn(warning)
    _tell(result)


def _values(result: "Result") -> dict[str, Any]:
    from chaffinch.output import DATA

    names = ("kept", "stages", "sources", "classes", "outputs", "warnings", "seconds", "peak_memory_bytes")
    paths = {"out": str(result.out), "mixture": str(result.out / DATA), "report": str(result.report)}
    return paths | {name: result.summary[name] for name in names}


def _tell(result: "Result") -> None:
    from chaffinch.cli.screen import facts, table
    from chaffinch.output import DATA
    from chaffinch.report.numbers import duration, percent, size

    values = result.summary
    rows = [
        [
            stage["stage"],
            stage["rows_in"],
            sum(stage["removed"].values()),
            stage["rows_out"],
            "cached" if stage["cached"] else duration(stage["seconds"]),
        ]
        for stage in values["stages"]
    ]
    table(["stage", "rows in", "removed", "rows out", "time"], rows, numbers=[1, 2, 3, 4])
    found = values["stages"][0]["rows_in"] if values["stages"] else 0
    share = f" of {found:,} rows ({percent(values['kept'] / found)})" if found else " rows"
    typer.echo()
    facts(
        [
            *_choice(values["stages"]),
            ("kept", f"{values['kept']:,}{share}"),
            ("time", f"{duration(values['seconds'])}, at most {size(values['peak_memory_bytes'])} of memory"),
            ("mixture", result.out / DATA),
            ("report", result.report),
        ]
    )


def _choice(stages: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """How the tasks chosen by rules agree with a list, where the recipe holds them against one."""
    from chaffinch.report.numbers import percent
    from chaffinch.report.visible import inline

    notes = next((stage["notes"] for stage in stages if "precision" in stage["notes"]), None)
    if notes is None:
        return []
    shares = f"precision {percent(notes['precision'])}, recall {percent(notes['recall'])}"
    return [("tasks", f"{notes['tasks chosen']:,} chosen; against {inline(notes['list'])}: {shares}")]
