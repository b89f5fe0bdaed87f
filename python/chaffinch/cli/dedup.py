"""`chaffinch dedup`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from chaffinch.cli import options

FORMS = ("none", "whitespace", "case")
UNITS = ("word", "char")


def dedup(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="Rows: .jsonl, .json, .csv, .tsv, .parquet or .arrow; text also as .gz or .zst.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where the rows go that stay; the suffix is the format."),
    ] = None,
    near: Annotated[
        list[float] | None,
        typer.Option(
            metavar="SIMILARITY",
            help="Rows at least so alike (Jaccard) go; default 0.8 without --exact. One for all, or one for each --on.",
        ),
    ] = None,
    exact: Annotated[
        str | None,
        typer.Option(metavar="FORM", help="Rows equal under none, whitespace or case go; default case without --near."),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="To compare, each by itself; default: conversation, or instruction, input and response. Repeatable.",
        ),
    ] = None,
    ngram: Annotated[int, typer.Option(min=1, max=1000, help="Units of a shingle.")] = 5,
    unit: Annotated[str, typer.Option(metavar="word|char", help="What a shingle is a run of.")] = "word",
    priority: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN", help="Of two rows the one with the lowest number stays; -COLUMN: the highest. Repeatable."
        ),
    ] = None,
    against: Annotated[
        Path | None, typer.Option(metavar="INDEX", help="Rows of earlier files: what is like them goes.")
    ] = None,
    save_index: Annotated[
        Path | None, typer.Option(metavar="PATH", help="Where the index of the rows that stay goes; needs --id.")
    ] = None,
    id_: Annotated[str | None, typer.Option("--id", metavar="COLUMN", help="What names a row in the index.")] = None,
    removed: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Where the others go, with witness and similarity.")
    ] = None,
    spans: Annotated[
        bool, typer.Option("--spans", help="Tell the longest passages that many rows share, and remove nothing.")
    ] = False,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; default all cores. The result is the same.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Removes the exact and near duplicates of a file; every column stays."""
    if spans:
        if out or removed or save_index:
            raise typer.BadParameter("--spans removes nothing and writes no file")
        _spans(file, on or [], threads, as_json)
        return
    exact, similarity = _steps(exact, near or [], on or [])
    if unit not in UNITS:
        raise typer.BadParameter(f"--unit is {unit}: there are {' and '.join(UNITS)}")
    if out is None:
        raise typer.BadParameter("give --out, or --spans")
    if save_index is not None and id_ is None:
        raise typer.BadParameter("--save-index needs --id")
    if similarity is None and (against or save_index):
        raise typer.BadParameter("--against and --save-index need --near")

    from chaffinch.cli.progress import shown_progress
    from chaffinch.cli.screen import print_json, warn
    from chaffinch.deduplication import deduplicate
    from chaffinch.files import check_apart, check_suffix, read_table, write_table
    from chaffinch.stages.near import NearIndex

    for path in (out, removed):
        if path is not None:
            check_suffix(path)
    check_apart([file], [path for path in (out, removed, save_index) if path is not None])
    table = read_table(file)
    with shown_progress() as progress:
        outcome = deduplicate(
            table,
            exact=exact,
            near=similarity,
            on=on or [],
            ngram=ngram,
            unit=unit,
            priority=priority or [],
            against=None if against is None else NearIndex.load(against),
            ids=id_,
            threads=threads,
            progress=progress,
        )
    # What is written last is what the user looks for: where it is, all is.
    if removed is not None:
        write_table(outcome.removed, removed)
    if save_index is not None and outcome.index is not None:
        outcome.index.save(save_index)
    write_table(outcome.kept, out)
    if as_json:
        print_json({"file": str(file), "out": str(out), **outcome.summary})
        return
    for warning in outcome.summary["warnings"]:
        warn(warning)
    _tell(outcome.summary, out)


def _steps(exact: str | None, near: list[float], on: list[str]) -> tuple[str | None, float | dict[str, float] | None]:
    if exact is None and not near:
        return "case", 0.8
    if exact is not None and exact not in FORMS:
        raise typer.BadParameter(f"--exact is {exact}: there are {', '.join(FORMS)}")
    for similarity in near:
        if not 0 < similarity <= 1:
            raise typer.BadParameter(f"--near is {similarity}: a similarity is above 0 and at most 1")
    if len(near) < 2:
        return exact, near[0] if near else None
    if len(set(on)) < len(on):
        raise typer.BadParameter("--on names a column twice")
    if len(near) != len(on):
        raise typer.BadParameter(f"{len(near)} --near for {len(on)} --on: give one for all, or one for each column")
    return exact, dict(zip(on, near, strict=True))


def _tell(summary: dict[str, Any], out: Path) -> None:
    from chaffinch.cli.screen import facts
    from chaffinch.report.numbers import percent

    rows = summary["rows"]
    share = f" ({percent(summary['kept'] / rows)})" if rows else ""
    facts(
        [
            ("rows", rows),
            ("compared", ", ".join(summary["on"])),
            ("exact", summary["exact"]),
            ("near", summary["near"]),
            ("largest group", summary["largest_group"]),
            ("kept", f"{summary['kept']:,}{share}"),
            ("written", out),
        ]
    )


def _spans(file: Path, on: list[str], threads: int | None, as_json: bool) -> None:
    from chaffinch.cli.screen import facts, print_json
    from chaffinch.files import read_table
    from chaffinch.report.visible import visible
    from chaffinch.stages.spans import repeated_spans
    from chaffinch.text_columns import choose_columns, column_text

    table = read_table(file)
    values = {
        name: repeated_spans(column_text(table, name), threads=threads).to_pylist()
        for name in choose_columns(table, on)
    }
    if as_json:
        print_json({"file": str(file), "spans": values})
        return
    for name, found in values.items():
        typer.echo(f"{visible(name)}: {len(found):,} passages")
        facts((f"{one['rows']:,} rows", visible(one["text"], 300)) for one in found)
