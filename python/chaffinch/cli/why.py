"""`chaffinch why`."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from chaffinch.cli import options

if TYPE_CHECKING:
    from chaffinch.story import Story

TEXT = 1_500
FILES = 5


def why(
    out: options.Finished,
    row_id: Annotated[
        str, typer.Argument(metavar="ROW_ID", help="A row's id, or a beginning of it.", show_default=False)
    ],
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Tells the whole story of one row: what it passed, where it went, and why."""
    from chaffinch.cli.screen import facts, print_json
    from chaffinch.story import why as tell

    story = tell(out, row_id, cache=cache)
    if as_json:
        print_json(story.to_dict())
        return
    facts(_lines(story))
    witness = story.witness
    while witness is not None:
        typer.echo("\ninstead of it stays")
        facts(_lines(witness))
        witness = witness.witness


def _lines(story: "Story") -> Iterator[tuple[str, object]]:
    from chaffinch.report.visible import inline, visible

    yield "row", inline(story.row_id)
    if story.input_file is not None:
        yield "read from", f"source {inline(story.source)}: {inline(story.input_file)}, {story.input_position}"
    else:
        yield "read from", f"source {inline(story.source)}" + _files(story.files)
    if story.passed:
        yield "passed", ", ".join(story.passed)
    if story.kept:
        yield "kept", f"row {story.index:,} of {story.file}"
    else:
        yield "removed by", f"{story.stage}: {inline(story.reason or '')}"
    if story.score is not None:
        yield "similarity" if story.stage == "dedup" else "score", f"{story.score:.6g}"
    if story.evidence is not None:
        yield "evidence", visible(story.evidence, TEXT)
    for found in story.flagged:
        like = f"{found['reason']}: like {found['witness']}, similarity {found['similarity']:.6g}"
        yield "flagged", inline(like)
    for found in story.contamination:
        what = f"{found['evaluation_set']}, item {found['item']}: {found['matched_words']:,} words"
        yield "holds", f"{inline(what)}, coverage {found['coverage']:.4g}\n{visible(found['text'], TEXT)}"
    for name, value in story.values.items():
        if value is not None:
            # visible here, because what is cut must be cut before it is printed.
            yield name.replace("_", " "), visible(value, TEXT)


def _files(files: list[str]) -> str:
    from chaffinch.report.visible import inline

    more = f" and {len(files) - FILES:,} more" if len(files) > FILES else ""
    where = ", ".join(inline(file) for file in files[:FILES]) + more
    return f": {where}" if where else ""
