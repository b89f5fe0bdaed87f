"""`training.html`: how a training run goes, from its log."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2

from chaffinch.cache import atomic_path
from chaffinch.errors import DataError
from chaffinch.output import REPORT, manifest
from chaffinch.report.html import environment
from chaffinch.report.numbers import count, duration, size
from chaffinch.train.folder import LOG, OPTIONS
from chaffinch.train.folder import REPORT as PAGE

REFRESH_SECONDS = 30
# More points than a drawing is wide say nothing more.
MOST_POINTS = 600
WIDTH, HEIGHT = 820, 190
# What is larger is drawn as little as what is no number.
LARGEST = 1e100
# Of the last so many steps that were logged, the speed tells when the run will end.
RECENT = 50
MOST_EVALUATIONS = 200


# What a line of each kind has, and what of it may be null because it was no number or is not known.
_LINES = {
    "step": (
        ("step", "epoch", "tokens", "seconds"),
        ("loss", "learning_rate", "grad_norm", "tokens_per_second", "peak_memory"),
    ),
    "eval": (("step", "seconds"), ("eval_loss",)),
}


@dataclass(frozen=True)
class Log:
    """What `log.jsonl` tells.

    Attributes:
        start: of the run, or of its last continuation, with what was planned later; empty before there is one.
        steps, evaluations: the numbers of the lines of these kinds, by step; what is no number is NaN.
        end: the last line, where the run has ended.
        resumed: how often it was continued.
        damaged: lines that tell nothing.
    """

    start: dict[str, Any]
    steps: list[dict[str, float]]
    evaluations: list[dict[str, float]]
    end: dict[str, Any] | None
    resumed: int
    damaged: int

    def best(self) -> dict[str, float] | None:
        """The evaluation with the lowest loss, the first of equals."""
        finite = [line for line in self.evaluations if math.isfinite(line["eval_loss"])]
        return min(finite, key=lambda line: line["eval_loss"], default=None)

    def steps_planned(self) -> int:
        """How many steps the run will take, as known so far; 0 when it is not known."""
        steps = self.start.get("steps")
        return steps if isinstance(steps, int) else 0


def read_log(folder: Path) -> Log:
    """Reads a run's log; a last line that is still being written does not count.

    Raises:
        DataError: there is no log.
    """
    path = folder / LOG
    try:
        lines = path.read_text("utf-8", errors="replace").split("\n")[:-1]
    except FileNotFoundError:
        raise DataError(f"{folder} holds no training run\nhint: give the folder that --out named") from None
    found: dict[str, dict[float, dict[str, float]]] = {"step": {}, "eval": {}}
    start: dict[str, Any] = {}
    end, resumed, damaged = None, 0, 0
    for text in lines:
        try:
            line = json.loads(text)
            kind = line["kind"]
            if kind in found:
                # Of a step that was done again only what was last logged counts.
                numbers = _numbers_of(line, *_LINES[kind])
                found[kind][numbers["step"]] = numbers
        except (ValueError, KeyError, TypeError):
            # A page is no reason to end a training.
            damaged += 1
            continue
        end = line if kind == "end" else None
        start = start | line if kind in ("start", "resume", "plan") else start
        resumed += kind == "resume"
    steps, evaluations = ([lines[step] for step in sorted(lines)] for lines in found.values())
    return Log(start, steps, evaluations, end, resumed, damaged)


def _numbers_of(line: Mapping[str, Any], needed: Sequence[str], others: Sequence[str]) -> dict[str, float]:
    found = {name: float(line[name]) for name in needed}
    if not all(map(math.isfinite, found.values())):
        raise ValueError("a step has a number and a time")
    return found | {name: math.nan if line.get(name) is None else float(line[name]) for name in others}


def read_options(folder: Path) -> dict[str, Any]:
    """The numbers a run was started with.

    Raises:
        DataError: there are none, or the file is damaged.
    """
    path = folder / OPTIONS
    try:
        values = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} holds no training run\nhint: give the folder that --out named") from None
    except ValueError as error:
        raise DataError(f"{path}: {error}\nhint: train again") from None
    if not isinstance(values, dict):
        raise DataError(f"{path} is no mapping\nhint: train again")
    return values


def write(folder: Path) -> None:
    """Writes `training.html`, one file that needs nothing else, from `log.jsonl` and `options.json`.

    While the run is going the page loads itself anew every half minute.

    Args:
        folder: the run's folder.

    Raises:
        DataError: the folder holds no run, or a file of it is damaged.
        OSError: the page cannot be written.
    """
    page = _template().render(**_contents(folder, read_log(folder), read_options(folder)))
    with atomic_path(folder / PAGE) as temporary:
        temporary.write_text(page, "utf-8")


@cache
def _template() -> jinja2.Template:
    return environment(Path(__file__).parent).get_template("training.html.jinja")


def _contents(folder: Path, log: Log, options: Mapping[str, Any]) -> dict[str, Any]:
    last, best, total = log.steps[-1] if log.steps else {}, log.best(), log.steps_planned()
    mixture = _mixture(folder, options)
    return {
        "name": f"{mixture['name'] if mixture else folder.resolve().name} on {setting(options, 'model')}",
        "refresh": REFRESH_SECONDS if log.end is None else 0,
        "now": datetime.now(UTC).isoformat(timespec="seconds"),
        "end": log.end,
        "resumed": log.resumed,
        "damaged": log.damaged,
        "step": last.get("step", 0),
        "steps": total,
        "done": min(last.get("step", 0) / total, 1.0) if total else 0.0,
        "left": _time_left(log, total),
        "numbers": _numbers(log, last),
        "best": best,
        "not_finite": [line["step"] for line in log.steps if not math.isfinite(line["loss"])],
        "plots": _plots(log, best),
        "evaluations": log.evaluations[-MOST_EVALUATIONS:],
        "n_evaluations": len(log.evaluations),
        "options": [*flat(options), *flat({key: value for key, value in log.start.items() if key != "kind"})],
        "mixture": mixture,
    }


def _time_left(log: Log, total: int) -> float | None:
    """Seconds that the steps still to do take at the speed of the last ones; None when that is not known."""
    recent = log.steps[-RECENT:]
    if log.end is not None or len(recent) < 2 or not total:
        return None
    first, last = recent[0], recent[-1]
    return max(total - last["step"], 0) * (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])


def _numbers(log: Log, last: Mapping[str, Any]) -> list[tuple[str, str]]:
    if not last:
        return []
    spent = max(last["seconds"], 1e-9)
    found = [
        ("loss", f"{last['loss']:.4f}"),
        ("epochs", f"{last['epoch']:.2f}"),
        ("tokens", count(last["tokens"])),
        ("tokens a second, all in all", count(round(last["tokens"] / spent))),
        ("time", duration(last["seconds"])),
        ("most memory", size(max((line["peak_memory"] for line in log.steps if line["peak_memory"] > 0), default=0))),
    ]
    if log.evaluations:
        found.insert(1, ("validation loss", f"{log.evaluations[-1]['eval_loss']:.4f}"))
    return found


@dataclass(frozen=True)
class Plot:
    """A drawing over the steps, in its own units: lines, dots with titles, and the marks of both axes.

    Attributes:
        lines: class of a line and its points as SVG's `polyline` takes them; a break makes two of one.
        dots: class, x, y and title.
        across, up: places and labels of the axes' marks.
        best: where the best step stands; None without one.
    """

    title: str
    lines: list[tuple[str, str]]
    dots: list[tuple[str, float, float, str]]
    across: list[tuple[float, str]]
    up: list[tuple[float, str]]
    best: float | None


def _plots(log: Log, best: Mapping[str, Any] | None) -> list[Plot]:
    def series(name: str) -> list[tuple[float, float]]:
        return [(line["step"], line[name]) for line in log.steps]

    evaluations = [(line["step"], line["eval_loss"]) for line in log.evaluations]
    at = None if best is None else best["step"]
    plots = [
        _plot("Loss", {"train": series("loss"), "eval": evaluations}, at, "{:.4g}"),
        _plot("Learning rate", {"train": series("learning_rate")}, at, "{:.3g}"),
        _plot("Norm of the gradient", {"train": series("grad_norm")}, at, "{:.3g}"),
        _plot("Tokens a second", {"train": series("tokens_per_second")}, at, "{:,.0f}", least=0.0),
        _plot("Most memory, GiB", {"train": [(x, y / 2**30) for x, y in series("peak_memory")]}, at, "{:.4g}", least=0),
    ]
    return [plot for plot in plots if plot is not None]


def _plot(
    title: str,
    series: Mapping[str, Sequence[tuple[float, float]]],
    best: float | None,
    number: str,
    least: float | None = None,
) -> Plot | None:
    thinned = {kind: _thin(points) for kind, points in series.items()}
    ys = [y for points in thinned.values() for _, y in points if _drawn(y)]
    if not ys:
        return None
    xs = [x for points in series.values() for x, _ in points]
    first, last = min(xs), max(max(xs), min(xs) + 1)
    up = _marks(min(ys) if least is None else min(least, *ys), max(ys))
    low, high = min(up[0], *ys), max(up[-1], *ys)

    def place(x: float, y: float) -> tuple[float, float]:
        return round(WIDTH * (x - first) / (last - first), 1), round(HEIGHT * (high - y) / (high - low), 1)

    lines = [
        (kind, " ".join("{},{}".format(*place(x, y)) for x, y in part))
        for kind, points in thinned.items()
        for part in _unbroken(points)
    ]
    dots = [
        (kind, *place(x, y), f"step {x:,.0f}: {number.format(y)}")
        for kind, points in thinned.items()
        if kind == "eval" or len(points) == 1
        for x, y in points
        if _drawn(y)
    ]
    steps = [mark for mark in _marks(first, last) if first <= mark <= last and mark == int(mark)]
    return Plot(
        title,
        lines,
        dots,
        [(place(mark, low)[0], f"{int(mark):,}") for mark in steps],
        [(place(first, mark)[1], number.format(mark)) for mark in up],
        None if best is None else place(best, low)[0],
    )


def _thin(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most MOST_POINTS of them, each the mean of its neighbours; what is not finite makes its own mean so."""
    each = -(-len(points) // MOST_POINTS) or 1
    parts = [points[start : start + each] for start in range(0, len(points), each)]
    return [(sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)) for part in parts]


def _unbroken(points: Sequence[tuple[float, float]]) -> list[list[tuple[float, float]]]:
    parts: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if _drawn(y):
            parts[-1].append((x, y))
        elif parts[-1]:
            parts.append([])
    return [part for part in parts if len(part) > 1]


def _drawn(y: float) -> bool:
    return abs(y) <= LARGEST


def _marks(low: float, high: float) -> list[float]:
    """Four to eight round numbers, the first not above `low` and the last not below `high`."""
    spread = high - low
    if spread <= 1e-9 * max(abs(low), abs(high), 1e-100):
        spread = abs(high) if abs(high) > 1e-100 else 1.0
    power = 10.0 ** math.floor(math.log10(spread / 4))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if spread / (factor * power) <= 6)
    first = math.floor(low / step)
    last = max(math.ceil(high / step), first + 1)
    return [round(mark * step, 12 - math.floor(math.log10(spread))) for mark in range(first, last + 1)]


def flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Every value with its dotted name."""
    found: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found += flat(value, f"{before}{key}.")
        else:
            found.append((f"{before}{key}", value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)))
    return found


def setting(options: Mapping[str, Any], name: str) -> Any:
    """One of the run's options; None where it has none of this name."""
    own = options.get("options")
    return (own if isinstance(own, Mapping) else options).get(name)


def mixture_folder(options: Mapping[str, Any]) -> Path | None:
    """Where the mixture lies that the run was trained on, if its options tell."""
    mixture = options.get("mixture")
    named = mixture.get("out") if isinstance(mixture, Mapping) else mixture
    return Path(named) if isinstance(named, str) else None


def _mixture(folder: Path, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """What the page says of the mixture; None when it is not there."""
    where = mixture_folder(options)
    if where is None:
        return None
    try:
        values = manifest(where)
    except DataError:
        return None
    recipe = values.get("recipe") or {}
    report = where / REPORT
    return {
        "name": recipe.get("name") or where.resolve().name,
        "description": recipe.get("description"),
        "kept": values.get("kept"),
        "sources": {name: source["kept"] for name, source in (values.get("sources") or {}).items()},
        "warnings": values.get("warnings") or [],
        "report": quote(os.path.relpath(report.resolve(), folder.resolve())) if report.is_file() else None,
    }
