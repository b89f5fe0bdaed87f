"""`chaffinch train`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from chaffinch.cli import options

if TYPE_CHECKING:
    from chaffinch.train.options import Options
    from chaffinch.train.run import Training


def train(
    out: options.Finished,
    preset: Annotated[
        str,
        typer.Option(metavar="NAME", help="birbal, flacuna, or a .yaml file with the same keys.", show_default=False),
    ],
    model: Annotated[
        str | None, typer.Option(metavar="MODEL", help="The base: a folder or a name of the hub; default the preset's.")
    ] = None,
    to: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="The run's folder; default OUT/train.")
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Override a value of the preset; YAML. Repeatable.", show_default=False
        ),
    ] = None,
    hours: Annotated[
        float | None, typer.Option(help="End within so many: steps and schedule by the speed of the first ones.")
    ] = None,
    tokens: Annotated[str | None, typer.Option(metavar="N", help="Learn from at most so many: 50M.")] = None,
    merge: Annotated[bool, typer.Option("--merge", help="Also write the whole model, the adapter in it.")] = False,
    restart: Annotated[bool, typer.Option("--restart", help="Throw away what an earlier run left there.")] = False,
    plan: Annotated[bool, typer.Option("--plan", help="Print the options, and do nothing.")] = False,
    as_json: options.Json = False,
) -> None:
    """Trains an adapter on a build's mixture; the same command goes on where it was stopped or killed."""
    import os

    from chaffinch.cli.progress import shown_progress
    from chaffinch.cli.screen import print_json
    from chaffinch.recipe.load import parse_set
    from chaffinch.train.options import resolve
    from chaffinch.train.run import train as run

    changes = parse_set(overrides or []) | ({} if model is None else {"model": model})
    # Of several processes one tells.
    first = os.environ.get("RANK", "0") == "0"
    resolved = resolve(preset, changes)
    if first and not (as_json and not plan):
        _tell_options(resolved, as_json)
    if plan:
        return
    with shown_progress() as progress:
        done = run(
            out,
            preset,
            to=to,
            hours=hours,
            tokens=tokens,
            merge=merge,
            restart=restart,
            progress=progress,
            tell=None if as_json else _tell_plan,
            **changes,
        )
    if first and as_json:
        print_json(_values(done))
    elif first:
        _tell(done)


def _tell_options(resolved: "Options", as_json: bool) -> None:
    from chaffinch.cli.screen import print_json, table

    values = resolved.model_dump(mode="json")
    if as_json:
        print_json(values)
        return
    rows = [
        [name, _written(value), type(resolved).model_fields[name].description or ""] for name, value in values.items()
    ]
    table(["option", "value", ""], rows)
    typer.echo()


def _written(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _idle(gpus: int) -> str:
    return f"; {gpus} more are idle: torchrun --nproc-per-node {gpus + 1} --no-python chaffinch train" if gpus else ""


def _tell_plan(said: dict[str, Any]) -> None:
    from chaffinch.cli.screen import facts
    from chaffinch.report.numbers import duration

    if said["kind"] == "plan":
        facts([("time", f"{duration(said['seconds'])} in all for {said['steps']:,} steps, at the speed of the first")])
        return
    split = said["splits"]["train"]
    left = ", ".join(f"{reason}: {rows:,}" for reason, rows in split["left"].items())
    short = said["warmup"] >= said["steps"]
    share = said["trainable"] / said["parameters"]
    facts(
        [
            ("mixture", f"{split['documents']:,} documents, {split['tokens']:,} tokens in {split['packs']:,} rows"),
            *([("left out", left)] if left else []),
            ("steps", f"{said['steps']:,}, an epoch has {said['steps_per_epoch']:,} of {said['rows_per_step']:,} rows"),
            *([("goes on", f"behind step {said['step']:,}")] if said["kind"] == "resume" else []),
            *([("warm-up", f"{said['warmup']:,} steps: the run ends before the rate is whole")] if short else []),
            ("trained", f"{said['trainable']:,} of {said['parameters']:,} parameters ({share:.2%})"),
            ("device", f"{said['device']}{_idle(said['idle_gpus'])}"),
            ("self-test", f"documents are kept apart (difference {said['self_test']:.1e})"),
        ]
    )


def _values(done: "Training") -> dict[str, Any]:
    names = ("reason", "steps", "tokens", "best_step", "best_eval_loss")
    paths = {"path": str(done.path), "adapter": str(done.adapter), "report": str(done.report)}
    paths |= {"merged": str(done.merged)} if done.merged else {}
    return paths | {name: getattr(done, name) for name in names}


def _tell(done: "Training") -> None:
    from chaffinch.cli.screen import facts

    loss = "" if done.best_eval_loss is None else f", validation loss {done.best_eval_loss:.4f}"
    facts(
        [
            ("ended", f"{done.reason}: {done.steps:,} steps, {done.tokens:,} tokens"),
            ("best", f"step {done.best_step:,}{loss}"),
            ("adapter", done.adapter),
            *([("merged", done.merged)] if done.merged else []),
            ("report", done.report),
        ]
    )
