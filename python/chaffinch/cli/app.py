"""The verbs, put together."""

from collections.abc import Callable
from typing import Annotated

import typer

from chaffinch.cli.build import build
from chaffinch.cli.compare import compare
from chaffinch.cli.controls import controls
from chaffinch.cli.decontaminate import decontaminate
from chaffinch.cli.dedup import dedup
from chaffinch.cli.diff import diff
from chaffinch.cli.errors import Verbs
from chaffinch.cli.evaluate import evaluate
from chaffinch.cli.leaderboard import leaderboard
from chaffinch.cli.pack import pack
from chaffinch.cli.plan import plan
from chaffinch.cli.pool import pool
from chaffinch.cli.recipes import recipes
from chaffinch.cli.report import report
from chaffinch.cli.score import score
from chaffinch.cli.sources import sources
from chaffinch.cli.synth import synth
from chaffinch.cli.train import train
from chaffinch.cli.why import why

app = typer.Typer(
    cls=Verbs,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"chaffinch {version('chaffinch')}")
        raise typer.Exit


@app.callback(epilog="Example: chaffinch build quickstart --data data/ --out out/")
def chaffinch(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Picks the rows worth training on, and says why each of the others went."""


EXAMPLES: dict[Callable[..., None], list[str]] = {
    build: [
        "chaffinch build quickstart --data data/ --out out/",
        "chaffinch build recipe.yaml --data data/ --out out/ --set seed=7 --set sources.lima.optional=true",
    ],
    plan: ["chaffinch plan quickstart --data data/ --out out/"],
    score: [
        "chaffinch score demo --data demo/data --out out/ --set score.sources=natural-instructions",
        "chaffinch score birbal-200k --data data/ --out out/ --set score.answerer.model=models/mistral-7b",
        "chaffinch score birbal-200k --data data/ --out out/ "
        "--set 'score.answerer={address: http://localhost:8000/v1, model: mistral-7b}'",
    ],
    why: ["chaffinch why out/ lima/lima/0f3c9a1be2d47785", "chaffinch why out/ lima/lima/0f3c --json"],
    dedup: [
        "chaffinch dedup rows.jsonl -o fewer.jsonl --removed gone.jsonl",
        "chaffinch dedup rows.parquet --near 0.7 --on instruction --on output --priority -score -o fewer.parquet",
        "chaffinch dedup new.jsonl --near 0.8 --against kept.index --save-index kept.index --id id -o fewer.jsonl",
        "chaffinch dedup rows.jsonl --spans",
    ],
    diff: ["chaffinch diff out-before/ out-after/"],
    decontaminate: [
        "chaffinch decontaminate rows.jsonl --against gsm8k --against my-items.jsonl --data data/ --out clean.jsonl",
        "chaffinch decontaminate rows.jsonl --against gsm8k --data data/ --self-test",
    ],
    pack: [
        "chaffinch pack rows.jsonl --tokenizer tokenizer/ --template alpaca --length 8192 -o packed/",
        "chaffinch pack out/data/train-*.parquet --tokenizer tokenizer/ --length 8192 -o packed/",
        "chaffinch pack tokens.parquet --length 8192 --format torch --ranks 8 -o packed/",
    ],
    recipes: [
        "chaffinch recipes",
        "chaffinch recipes quickstart",
        "chaffinch recipes --schema > recipe.schema.json",
    ],
    sources: ["chaffinch sources", "chaffinch sources LIMA --json"],
    pool: ["chaffinch pool promptsource/templates/ -o p3.yaml"],
    synth: ["chaffinch synth --out demo/data --rows 20000 --profile demo"],
    report: ["chaffinch report out/"],
    train: [
        "chaffinch train out/ --preset birbal --hours 24",
        "chaffinch train out/ --preset birbal --model models/mistral-7b --set epochs=2 --set mode=paper --tokens 50M",
        "torchrun --nproc-per-node 4 --no-python chaffinch train out/ --preset flacuna --out runs/flacuna",
    ],
    evaluate: [
        "chaffinch evaluate models/mine --suite instructeval --data data/ -o eval/mine --allow-code --mixture out/",
        "chaffinch evaluate models/mine --suite mmlu,gsm8k --data data/ -o eval/mine --variants robustness,fairness",
    ],
    compare: [
        "chaffinch compare base=eval/base selection=eval/mine random=eval/random longest=eval/longest -o compare.html",
    ],
    controls: ["chaffinch controls out/ --data data/ -o controls/"],
    leaderboard: [
        "chaffinch leaderboard 4090_full_ranks.json",
        "chaffinch leaderboard 4090_full_ranks.json mine.json --formula helm",
    ],
}

for verb, lines in EXAMPLES.items():
    # Typer joins the lines of an epilog; only paragraphs stay apart.
    app.command(epilog="\n\n".join(f"Example: {line}" for line in lines))(verb)
