"""`chaffinch evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaffinch.cli import options

if TYPE_CHECKING:
    from chaffinch.evaluation.run import Evaluation


def evaluate(
    model: Annotated[
        str,
        typer.Argument(
            metavar="MODEL", help="A model's or an adapter's folder, a name of the hub, or with --address a server's."
        ),
    ],
    suite: Annotated[
        str,
        typer.Option(
            metavar="NAME,...",
            help="instructeval, birbal-open, birbal-hidden, or sets by name: mmlu,gsm8k.",
            show_default=False,
        ),
    ],
    data: Annotated[
        Path, typer.Option("--data", metavar="DIR", help="The folder that the sets are under.", show_default=False)
    ],
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Where results.json and items.parquet go.", show_default=False),
    ],
    protocol: Annotated[
        str, typer.Option(help="instructeval: by INSTRUCTEVAL's rules where it has the set; harness: by lm-eval's.")
    ] = "instructeval",
    hub: Annotated[
        bool, typer.Option("--hub", help="The harness takes sets that are not under --data from the hub.")
    ] = False,
    shots: Annotated[
        int | None, typer.Option(min=0, help="Solved cases before a question; default: as the protocol has it.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first so many items of each group.")] = None,
    variants: Annotated[
        str, typer.Option(metavar="NAME,...", help="Ask again in variants: robustness, fairness, helm, or by name.")
    ] = "",
    lists: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Word lists of variants; default the package's own.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of variants and intervals.")] = 0,
    allow_code: Annotated[
        bool, typer.Option("--allow-code", help="Run the code that the model writes, in the sandbox.")
    ] = False,
    mixture: Annotated[
        Path | None,
        typer.Option(metavar="OUT", help="The build that the model was trained on: says what it held of each set."),
    ] = None,
    judge: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A server with OpenAI's interface that judges IMPACT.")
    ] = None,
    judge_model: Annotated[str | None, typer.Option(metavar="NAME", help="The judge, as its server names it.")] = None,
    judge_key: Annotated[
        str | None, typer.Option(metavar="VARIABLE", help="The environment variable that holds the judge's key.")
    ] = None,
    address: Annotated[
        str | None, typer.Option(help="Ask MODEL behind this server with OpenAI's interface, up to /v1.")
    ] = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    load_in_4bit: Annotated[bool, typer.Option("--load-in-4bit", help="NF4 weights, by bitsandbytes.")] = False,
    device: Annotated[str, typer.Option(help="auto: a GPU where there is one.")] = "auto",
    batch_tokens: Annotated[int, typer.Option(min=1, help="Of a whole batch.")] = 16_384,
    cache: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where answers are kept; default OUT/.chaffinch.")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Asks a model the questions of evaluation sets and measures its answers."""
    from chaffinch.cli.progress import shown_progress
    from chaffinch.evaluation.run import evaluate as run

    asked: dict[str, Any] = {"model": model}
    if address is None:
        asked |= {"dtype": dtype, "load_in_4bit": load_in_4bit, "device": device, "batch_tokens": batch_tokens}
    else:
        asked |= {"address": address}
    if (judge is None) != (judge_model is None):
        raise typer.BadParameter("a judge needs both --judge and --judge-model")
    judging = None
    if judge is not None:
        judging = {"address": judge, "model": judge_model, "endpoint": "chat", "api_key_from": judge_key}
    with shown_progress() as progress:
        found = run(
            asked,
            suite=suite,
            data=data,
            out=out,
            protocol=protocol,
            hub=hub,
            shots=shots,
            limit=limit,
            variants=[name.strip() for name in variants.split(",") if name.strip()],
            lists=lists,
            seed=seed,
            allow_code=allow_code,
            mixture=mixture,
            judge=judging,
            cache=cache,
            progress=progress,
        )
    _tell(found, as_json)


def _tell(found: "Evaluation", as_json: bool) -> None:
    from chaffinch.cli.screen import facts, print_json, table, warn

    if as_json:
        print_json({"results": found.results, "skipped": found.skipped, "missing": found.missing})
        return
    rows = [
        [
            line["set"],
            line["protocol"],
            line["shots"],
            line["variant"],
            line["metric"],
            f"{line['score']:.4f}",
            f"{line['low']:.4f} to {line['high']:.4f}",
            line["items"],
            line["unanswered"],
            _standing(line),
            line["data"][:8],
        ]
        for line in found.results
    ]
    table(
        ["set", "protocol", "shots", "variant", "metric", "score", "95 %", "items", "none", "mixture", "data"],
        rows,
        numbers=[2, 5, 6, 7, 8],
    )
    typer.echo()
    revisions = dict.fromkeys((line["set"], line["revision"]) for line in found.results if line["revision"])
    of_hub = [(f"{name} from the hub", revision) for name, revision in revisions]
    facts([("model", found.results[0]["model"]), *of_hub, ("written", found.path)])
    for one in found.skipped:
        warn(f"{one['set']} was not asked: {one['why']}")
    for reason, count in found.missing.items():
        warn(f"{count:,} prompts have no answer: {reason}")


def _standing(line: dict[str, Any]) -> str:
    if line["clean_score"] is None:
        return str(line["standing"])
    return f"{line['standing']}: {line['items_in_mixture']:,} items; without them {line['clean_score']:.4f}"
