"""`chaffinch diff`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from chaffinch.cli import options


def diff(
    out_a: Annotated[
        Path, typer.Argument(metavar="OUT_A", help="The first build's output folder.", show_default=False)
    ],
    out_b: Annotated[
        Path, typer.Argument(metavar="OUT_B", help="The second build's output folder.", show_default=False)
    ],
    as_json: options.Json = False,
) -> None:
    """Compares two builds: rows gained and lost, by source and reason, and the recipe keys that differ."""
    from chaffinch.cli.screen import facts, print_json, table
    from chaffinch.difference import diff as compare

    values = compare(out_a, out_b).to_dict()
    if as_json:
        print_json(values)
        return
    gained, lost = values["gained"], values["lost"]
    facts([("in both", values["common"]), ("gained", gained["rows"]), ("lost", lost["rows"])])
    sources = list(dict.fromkeys([*gained["sources"], *lost["sources"]]))
    if sources:
        typer.echo()
        rows = [[source, gained["sources"].get(source, 0), lost["sources"].get(source, 0)] for source in sources]
        table(["source", "gained", "lost"], rows, numbers=[1, 2])
        typer.echo()
        reasons = [*_reasons("gained", gained, "not there before"), *_reasons("lost", lost, "not there now")]
        table(["", "rows", "stage of the other build", "reason", "for example"], reasons, numbers=[1])
    if values["recipe"]:
        typer.echo()
        changes = [[change["key"], _short(change["before"]), _short(change["after"])] for change in values["recipe"]]
        table(["recipe key", "before", "after"], changes)


def _reasons(kind: str, summary: dict[str, Any], absent: str) -> list[list[object]]:
    return [
        [kind, line["rows"], line["stage"] or "-", line["reason"] or absent, line["examples"][0]]
        for line in summary["reasons"]
    ]


def _short(value: object) -> str:
    from chaffinch.report.visible import inline

    return "-" if value is None else inline(json.dumps(value, ensure_ascii=False), 80)
