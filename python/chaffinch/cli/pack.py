"""`chaffinch pack`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from chaffinch.cli import options

STRATEGIES = ("best-fit", "first-fit", "sequential")
TOO_LONG = ("drop", "truncate", "split")
FORMATS = ("trl", "llama-factory", "torch")


def pack(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="Rows with input_ids and labels, or rows of text and --tokenizer: .jsonl, .json, .csv, .tsv, .parquet "
            "or .arrow; text also as .gz or .zst. Several are one, in this order.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="The output folder; an earlier one's is replaced.")
    ],
    length: Annotated[int, typer.Option(min=2, metavar="TOKENS", help="Tokens of a pack.", show_default=False)],
    tokenizer: Annotated[
        str | None,
        typer.Option(metavar="T", help="A tokenizer.json, a folder with one, or the id of a model on the hub."),
    ] = None,
    template: Annotated[
        str, typer.Option(metavar="NAME", help="A template, or `tokenizer` for the tokenizer's own.")
    ] = "tokenizer",
    too_long: Annotated[
        str, typer.Option(metavar="WHAT", help="Rows longer than a pack: drop, truncate or split.")
    ] = "drop",
    form: Annotated[
        str, typer.Option("--format", metavar="TRAINER", help="trl, llama-factory or torch (for cf.PackedDataset).")
    ] = "trl",
    strategy: Annotated[str, typer.Option(metavar="STRATEGY", help="best-fit, first-fit or sequential.")] = "best-fit",
    seed: Annotated[int, typer.Option(min=0, help="Shuffles the packs.")] = 0,
    ranks: Annotated[int, typer.Option(min=1, help="GPUs that share the packs evenly.")] = 1,
    multiple: Annotated[int, typer.Option("--pad-to-multiple-of", min=1, metavar="TOKENS", help="Pads each pack.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Threads; default all cores. The result is the same.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Packs the documents of files for a trainer, each once and whole."""
    if form not in FORMATS:
        raise typer.BadParameter(f"--format is {form}: there are {', '.join(FORMATS)}")
    if too_long not in TOO_LONG:
        raise typer.BadParameter(f"--too-long is {too_long}: there are {', '.join(TOO_LONG)}")
    if strategy not in STRATEGIES:
        raise typer.BadParameter(f"--strategy is {strategy}: there are {', '.join(STRATEGIES)}")

    from pydantic import ValidationError

    from chaffinch.cli.progress import shown_progress
    from chaffinch.cli.screen import print_json
    from chaffinch.files import read_tables
    from chaffinch.packing import pack_file
    from chaffinch.recipe.pack import Pack

    if tokenizer is None and (too_long, template) != ("drop", "tokenizer"):
        raise typer.BadParameter(
            "--too-long and --template are for text, with --tokenizer; rows of tokens are as they are"
        )
    try:
        values = {"length": length, "strategy": strategy, "ranks": ranks, "pad_to_multiple_of": multiple}
        spec = Pack.model_validate(values)
    except ValidationError as error:
        raise options.refused(error) from None
    if why := spec.unfit_for(form):
        raise typer.BadParameter(f"--length is {why}")
    table, rows_of = read_tables(files)
    dropped = None
    with shown_progress() as progress:
        if tokenizer is not None:
            from chaffinch.stages.tokenize import tokenize

            written: dict[str, Any] = {"template": template, "max_length": length, "too_long": too_long}
            progress.start("tokenize", len(table), "rows")
            table, dropped = tokenize(table, tokenizer, threads=threads, progress=progress.advance, **written)
            progress.finish(len(table), len(dropped))
        values = pack_file(
            table,
            out,
            spec,
            trainer=form,
            seed=seed,
            files=rows_of,
            tokenised=None if dropped is None else (sum(rows_of.values()), dropped),
            threads=threads,
            progress=progress,
        )
    if as_json:
        print_json({"files": [str(file) for file in files], "out": str(out), **values})
        return
    _tell(values, out)


def _tell(values: dict[str, Any], out: Path) -> None:
    from chaffinch.cli.screen import facts
    from chaffinch.output import TRAINER
    from chaffinch.report.numbers import percent

    stages = values["stages"]
    packs = values["pack"]["splits"]["train"]
    removed = ", ".join(f"{why}: {rows:,}" for stage in stages for why, rows in stage["removed"].items())
    facts(
        [
            ("rows", stages[0]["rows_in"]),
            ("left out", removed or 0),
            ("tokens", f"{packs['tokens']:,}, of which {packs['trained_tokens']:,} are learned"),
            ("packs", f"{packs['packs']:,} (lower bound {packs['lower_bound']:,})"),
            ("fill", percent(packs["fill"])),
            ("written", out / TRAINER),
        ]
    )
