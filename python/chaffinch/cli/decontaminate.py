"""`chaffinch decontaminate`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from chaffinch.cli import options


def decontaminate(
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="Rows: .jsonl, .json, .csv, .tsv, .parquet or .arrow; text also as .gz or .zst.",
            show_default=False,
        ),
    ] = None,
    against: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="Evaluation sets by name, as in gsm8k or gsm8k/train,mmlu, or a file of items; may be repeated.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where the rows go that stay; the suffix is the format."),
    ] = None,
    on: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Columns to look at; default: conversation, or instruction and input."),
    ] = None,
    data: Annotated[Path, typer.Option(metavar="DIR", help="The folder in which known evaluation sets lie.")] = Path(),
    question: Annotated[
        list[str] | None,
        typer.Option(metavar="FIELD", help="Fields of the question in a file of items; default: by usual names."),
    ] = None,
    ngram: Annotated[int, typer.Option(min=1, help="Words of an n-gram.")] = 13,
    min_coverage: Annotated[float, typer.Option(help="The share of an item that makes a match.")] = 0.5,
    common: Annotated[int, typer.Option(min=0, help="N-grams in more rows, or more items, tell nothing.")] = 50,
    flag: Annotated[bool, typer.Option("--flag", help="Keep all rows; three columns say what was found.")] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the known evaluation sets.")] = False,
    test: Annotated[
        bool, typer.Option("--self-test", help="Hide items in copies of the rows; tell the recall.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, help="Of the self-test.")] = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="Threads; default all cores.")] = None,
    as_json: options.Json = False,
) -> None:
    """Removes the rows of a file that hold items of evaluation sets; every column stays."""
    from pydantic import ValidationError

    from chaffinch.cli.progress import shown_progress
    from chaffinch.cli.screen import print_json
    from chaffinch.decontamination import decontaminate as run
    from chaffinch.decontamination import load, self_test
    from chaffinch.files import check_apart, check_suffix, read_table, write_table
    from chaffinch.recipe.decontaminate import Against, Decontaminate

    if list_:
        _list(as_json)
        return
    if file is None or not against or (out is None and not test):
        raise typer.BadParameter("give FILE, --against and --out (or --self-test), or --list")
    if out is not None:
        check_suffix(out)
    names = [name for given in against for name in ([given] if _is_file(given) else given.split(","))]
    against = list(dict.fromkeys(name for name in names if name))
    try:
        spec = Decontaminate(
            against=[Against(name=name, question=question) for name in against],
            ngram=ngram,
            min_coverage=min_coverage,
            common=common,
            policy="flag" if flag else "remove",
        )
    except ValidationError as error:
        raise options.refused(error) from None
    sets = load(spec, data, Path())
    if out is not None:
        check_apart([file, *(Path(name) for name in against)], [out])
    table = read_table(file)
    values: dict[str, Any] = {"file": str(file)}
    if out is not None:
        with shown_progress() as progress:
            outcome = run(table, sets, spec, on=on or [], threads=threads, progress=progress)
        write_table(outcome.kept, out)
        values |= {"out": str(out), "kept": len(outcome.kept), **outcome.summary}
    if test:
        values["self_test"] = self_test(table, sets, spec, on=on or [], seed=seed, threads=threads)
    if as_json:
        print_json(values)
    else:
        _tell(values)


def _is_file(name: str) -> bool:
    try:
        return Path(name).is_file()
    except OSError:
        return False


def _tell(values: dict[str, Any]) -> None:
    from chaffinch.cli.screen import facts, table
    from chaffinch.report.numbers import percent

    if "sets" in values:
        rows = [[one["name"], one["items"], one["rows"], one["items_found"]] for one in values["sets"]]
        table(["evaluation set", "items", "rows that hold one", "items found"], rows, numbers=[1, 2, 3])
        typer.echo()
        facts(
            [
                ("rows", values["rows"]),
                ("looked at", ", ".join(values["on"])),
                ("matched", values["matched"]),
                ("kept", values["kept"]),
                ("written", values["out"]),
            ]
        )
    if "self_test" in values:
        kinds = list(dict.fromkeys(line["kind"] for line in values["self_test"]))
        recalls = {(line["evaluation_set"], line["kind"]): line["recall"] for line in values["self_test"]}
        hidden = {line["evaluation_set"]: line["hidden"] for line in values["self_test"] if line["kind"] == kinds[0]}
        rows = [
            [name, items, *("-" if (share := recalls[name, kind]) is None else percent(share) for kind in kinds)]
            for name, items in hidden.items()
        ]
        typer.echo()
        table(["recall of hidden items", "items", *kinds], rows, numbers=range(1, 8))


def _list(as_json: bool) -> None:
    from chaffinch.cli.screen import print_json, table
    from chaffinch.evaluation_sets import known

    entries = known().values()
    if as_json:
        print_json({"evaluation_sets": [entry.model_dump(mode="json") for entry in entries]})
        return
    rows = [
        [
            entry.name,
            entry.title,
            ", ".join(split.name + ("" if split.default else " (by name)") for split in entry.splits),
            f"hub:{entry.name}" if entry.hub else "-",
            entry.note or "",
        ]
        for entry in entries
    ]
    table(["name", "set", "splits", "hub", "note"], rows)
