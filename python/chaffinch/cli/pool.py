"""`chaffinch pool`."""

from pathlib import Path
from typing import Annotated

import typer

from chaffinch.cli import options


def pool(
    source: Annotated[
        Path,
        typer.Argument(metavar="FILE|DIR", help="promptsource's templates.yaml, or its folder.", show_default=False),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="POOL.yaml", help="The pools to write.", show_default=False)
    ],
    as_json: options.Json = False,
) -> None:
    """Makes pools of templates out of promptsource's, and says which cannot be read, and why."""
    from chaffinch.cache import atomic_path
    from chaffinch.cli.screen import facts, print_json, table
    from chaffinch.errors import RecipeError
    from chaffinch.pools.files import SUFFIXES, dump, import_promptsource

    if out.suffix not in SUFFIXES:
        raise RecipeError(f"{out} does not end in .yaml, as a recipe's pools do")
    found = import_promptsource(source)
    with atomic_path(out) as temporary:
        temporary.write_text(dump(found.pools), encoding="utf-8")
    if as_json:
        refused = [dict(zip(("file", "template", "reason"), one, strict=True)) for one in found.refused]
        pools = {one.name: len(one.templates) for one in found.pools}
        print_json({"out": str(out), "pools": pools, "templates": found.templates, "refused": refused})
        return
    if found.refused:
        table(["file", "template", "not imported because"], [list(one) for one in found.refused])
        typer.echo()
    facts(
        [
            ("pools", f"{len(found.pools):,} with {found.templates:,} templates"),
            ("not imported", f"{len(found.refused):,}"),
            ("written", out),
        ]
    )
