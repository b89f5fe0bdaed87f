"""Evaluates a model: every set, shot number and variant becomes a line of one table."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter, ValidationError

from chaffinch.cache import atomic_path
from chaffinch.errors import DataError, RecipeError
from chaffinch.evaluation import harness, sandbox
from chaffinch.evaluation import variants as perturbations
from chaffinch.evaluation.answering import Answerer, Until
from chaffinch.evaluation.measuring import NAMES, PLAIN, Measuring
from chaffinch.evaluation.standing import Mixture
from chaffinch.evaluation.suites import MAKERS, Maker, named
from chaffinch.evaluation.task import Change, Task, unchanged
from chaffinch.output import MANIFEST, WORK
from chaffinch.progress import NoProgress, Progress
from chaffinch.recipe.score import Answerer as AnswererSpec
from chaffinch.recipe.score import Nearest, Served, Transformers

PROTOCOLS = ("instructeval", "harness")
Read = TypeVar("Read")
RESULTS = "results.json"
ITEMS = "items.parquet"

ITEM_SCHEMA = pa.schema(
    [
        *(pa.field(name, pa.string(), nullable=False) for name in ("set", "protocol")),
        pa.field("shots", pa.int64(), nullable=False),
        *(pa.field(name, pa.string(), nullable=False) for name in ("variant", "metric", "item", "group")),
        pa.field("answer", pa.large_string()),
        pa.field("score", pa.float64(), nullable=False),
    ]
)


@dataclass(frozen=True)
class Evaluation:
    """What became of an evaluation.

    Attributes:
        path: its folder: `results.json` and `items.parquet`.
        results: a dict for each line of the table: set, protocol, shots, variant, metric, score, low and high (95 %
            bootstrap), items, unanswered, fewer_shots (items that were asked with fewer; None where nobody could
            count), mean, groups (each one's mean), standing, items_in_mixture, clean_score, data, model, judge and
            lists (hashes of the judge and of variants' word lists, where there are), revision (of the hub's data),
            limit, seed.
        skipped: sets of a suite that were not asked: set and why.
        missing: why there is no answer, and how often.
    """

    path: Path
    results: list[dict[str, Any]]
    skipped: list[dict[str, str]]
    missing: dict[str, int]


def model_spec(
    model: str | Path | Mapping[str, Any] | Transformers | Served, what: str = "model"
) -> Transformers | Served:
    """A folder or a name of the hub, or what `score.answerer` may be in a recipe.

    Raises:
        RecipeError: it is something else.
    """
    given = {"model": str(model)} if isinstance(model, str | Path) else model
    try:
        spec: Any = TypeAdapter(AnswererSpec).validate_python(given)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join([what, *(str(part) for part in first["loc"][1:])])
        raise RecipeError(f"{where}: {first['msg']}\nhint: a folder, or as score.answerer of a recipe") from None
    if isinstance(spec, Nearest):
        raise RecipeError("nearest is no model\nhint: give a model's folder")
    checked: Transformers | Served = spec
    return checked


def evaluate(
    model: str | Path | Mapping[str, Any] | Transformers | Served,
    *,
    suite: str | Sequence[str],
    data: str | Path,
    out: str | Path,
    protocol: str = "instructeval",
    hub: bool = False,
    shots: int | None = None,
    limit: int | None = None,
    variants: Iterable[str] = (),
    lists: str | Path | None = None,
    seed: int = 0,
    allow_code: bool = False,
    mixture: str | Path | None = None,
    judge: Mapping[str, Any] | Served | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Evaluation:
    """Asks a model the questions of evaluation sets and measures its answers.

    Every answer is kept in the cache as soon as it comes, so that a run that is killed goes on from there. The same
    model, data and arguments give the same results.

    Args:
        model: a folder that `save_pretrained` wrote (a model, or an adapter, which is loaded with its base), the name
            of a model of the hub, or what `score.answerer` may be in a recipe, such as `{"address": ..., "model": ...}`
            for one behind a server.
        suite: `instructeval`, `birbal-open`, `birbal-hidden`, or names of sets, with commas between; of a suite, sets
            that are not there are skipped, and told.
        data: the folder that the sets' files are under.
        out: where `results.json` and `items.parquet` are written.
        protocol: `instructeval`: by INSTRUCTEVAL's rules where it has the set, else by our own, and each result says
            which; `harness`: by those of lm-evaluation-harness, from the same files.
        hub: whether the harness takes sets that are not under `data` from the hub, by its own stock tasks.
        shots: instead of the numbers that a set's protocol has.
        limit: only the first so many items of each group; results say it.
        variants: `robustness`, `fairness`, `helm` (those of HELM's canonical runs), or names of variants: each set is
            asked again in each, and the worst score of each item, the plain one included, makes a line of its own.
        lists: word lists for variants instead of the package's own: a YAML file of the same form.
        seed: of variants and of bootstrap intervals.
        allow_code: whether code that the model writes is run, in the sandbox.
        mixture: the output folder of the build that the model was trained on.
        judge: a model behind a server with OpenAI's interface, for IMPACT.
        cache: where answers are kept; default `out/.chaffinch`.
        progress: told how far it is.

    Raises:
        RecipeError: no such set, suite or model kind; a set that was named cannot be asked so.
        DataError: a set that was named is not there, a file is not what its set's makers write, the model cannot be
            asked, or the sandbox does not close.
        OSError: a file cannot be read or written.
    """
    data, out = Path(data), Path(out)
    if not data.is_dir():
        raise FileNotFoundError(f"no data folder {data}\nhint: --data names the folder that the sets' files are under")
    if out.exists() and not out.is_dir():
        raise NotADirectoryError(f"{out} is no folder\nhint: --out names the folder that results go to")
    if (out / MANIFEST).exists():
        raise DataError(f"{out} holds a mixture\nhint: give a folder of its own to an evaluation")
    _check_own(out)
    if protocol not in PROTOCOLS:
        raise RecipeError(f"there is no protocol {protocol!r}\nhint: there are {', '.join(PROTOCOLS)}")
    if hub and protocol != "harness":
        raise RecipeError("only the harness takes sets from the hub here\nhint: --protocol harness, or leave out --hub")
    if limit is not None and limit < 1:
        raise RecipeError(f"limit is {limit}\nhint: at least one item of each group has to be asked")
    spec, told = model_spec(model), progress or NoProgress()
    looking = None if judge is None else model_spec(judge, "judge")
    if isinstance(looking, Transformers):
        raise RecipeError("the judge is no server\nhint: give its address, up to `/v1`, and its model's name")
    names = perturbations.named(list(variants))
    changes: dict[str, Change] = {PLAIN: unchanged}
    own_lists = perturbations.read_lists(None if lists is None else Path(lists))
    changes |= {name: perturbations.change_of(name, seed, own_lists) for name in names}
    skipped: list[dict[str, str]] = []
    by_harness = protocol == "harness"
    tasks = (
        [] if by_harness else list(_tasks(suite, data, shots, limit, changes, allow_code, looking is not None, skipped))
    )
    kept = Path(cache) if cache else out / WORK
    plans = _plans(suite, data, kept, shots, hub, bool(names), skipped) if by_harness else []
    if not tasks and not plans:
        reasons = "; ".join(f"{one['set']}: {one['why']}" for one in skipped)
        raise DataError(
            f"nothing to evaluate on: {reasons}\nhint: `chaffinch decontaminate --list` has the sets' files"
        )
    if mixture is not None and not all(plan.files for plan in plans):
        message = "nobody can tell which items of the hub the mixture holds"
        raise RecipeError(f"{message}\nhint: leave out --mixture, or put the sets' files under --data")
    kept.mkdir(parents=True, exist_ok=True)
    of_mixture = Mixture(None if mixture is None else Path(mixture))
    asking = Answerer(spec, kept, told)
    judging = None if looking is None else Answerer(looking, kept, told)
    run = Measuring(asking, judging, of_mixture, kept, told, seed, limit, own_lists)
    for found in harness.measure(*asking.parts(), plans, shots=shots, limit=limit) if plans else ():
        line = dict(zip(NAMES, (found.set, found.protocol, found.shots, PLAIN, found.metric), strict=True))
        run.add(line, [line | item for item in found.items], "items", found.files, revision=found.revision)
    for task, variant in tasks:
        run.ask(task, variant)
    run.worst()
    missing = asking.missing + (judging.missing if judging else Counter())
    done = Evaluation(out, run.results, skipped, dict(sorted(missing.items())))
    runs_code = any(task.runs_code for task, _ in tasks)
    told_of = {"identity": asking.identity(Until(1)), "mixture": of_mixture.named()}
    _write(done, run.items, told_of | {"sandbox": sandbox.kind() if runs_code else None})
    return done


def _tasks(
    suite: str | Sequence[str],
    data: Path,
    shots: int | None,
    limit: int | None,
    changes: Mapping[str, Change],
    allow_code: bool,
    has_judge: bool,
    skipped: list[dict[str, str]],
) -> Iterator[tuple[Task, str]]:
    names, own = named(suite)
    for name in names:
        maker = MAKERS[name]
        try:
            made = list(_made(name, maker, data, shots, limit, changes))
            for task, _ in made:
                if task.runs_code and not allow_code:
                    raise RecipeError(f"{name} runs code that the model writes\nhint: --allow-code, in the sandbox")
                if task.judges and not has_judge:
                    raise RecipeError(f"{name} needs a judge\nhint: --judge ADDRESS and --judge-model NAME")
        except (DataError, RecipeError) as error:
            if name in own:
                raise
            skipped.append({"set": name, "why": str(error)})
            continue
        yield from made


def _made(
    name: str,
    maker: Maker,
    data: Path,
    shots: int | None,
    limit: int | None,
    changes: Mapping[str, Change],
) -> Iterator[tuple[Task, str]]:
    numbers = maker.shots if shots is None else (shots,)
    for number in numbers:
        if number < 0 or (maker.most_shots is not None and number > maker.most_shots):
            raise RecipeError(f"{name} has no {number} shots\nhint: at most {maker.most_shots}")
        for variant, change in changes.items():
            if variant == PLAIN or maker.varies:
                yield _first(_loaded(name, maker, data, number, change), limit), variant


def _loaded(name: str, maker: Maker, data: Path, shots: int, change: Change) -> Task:
    return _read(name, lambda: maker.load(data, shots, change))


def _read(name: str, read: Callable[[], Read]) -> Read:
    try:
        return read()
    except (DataError, RecipeError):
        raise
    except (KeyError, TypeError, AttributeError, ValueError, IndexError) as error:
        # Files can be wrong in more ways than are worth a message of their own.
        what = f"{type(error).__name__}: {error}"
        raise DataError(
            f"{name}: an item is not as its makers write it: {what}\nhint: fetch its files again"
        ) from error


def _plans(
    suite: str | Sequence[str],
    data: Path,
    work: Path,
    shots: int | None,
    hub: bool,
    varied: bool,
    skipped: list[dict[str, str]],
) -> list[harness.Plan]:
    if varied:
        raise RecipeError("the harness asks no variants\nhint: leave out --variants, or --protocol instructeval")
    names, own = named(suite)
    plans = []
    for name in names:
        try:
            plan = _read(name, partial(harness.planned, name, data, work, shots=shots, hub=hub))
        except (DataError, RecipeError) as error:
            if name in own:
                raise
            skipped.append({"set": name, "why": str(error)})
            continue
        plans.append(plan)
    return plans


def _first(task: Task, limit: int | None) -> Task:
    """The task with the first items of each group alone."""
    if limit is None:
        return task
    seen: Counter[str] = Counter()
    questions = []
    for question in task.questions:
        seen[question.group] += 1
        if seen[question.group] <= limit:
            questions.append(question)
    return replace(task, questions=questions)


def _check_own(out: Path) -> None:
    """Refuses a folder with files of the names of an evaluation's that no evaluation wrote.

    Raises:
        DataError: naming the file.
    """
    results, items = out / RESULTS, out / ITEMS
    try:
        found = json.loads(results.read_text("utf-8")) if results.exists() else None
        known = found is None or {"chaffinch", "results", "skipped"} <= found.keys()
    except (ValueError, AttributeError):
        known = False
    try:
        written = not items.exists() or pq.read_schema(items).names == ITEM_SCHEMA.names
    except (pa.ArrowException, OSError):
        written = False
    for path, is_ours in ((results, known), (items, written)):
        if not is_ours:
            raise DataError(
                f"{path} would be replaced, and no evaluation wrote it\nhint: give a folder of its own to an evaluation"
            )


def _write(done: Evaluation, items: list[dict[str, Any]], more: Mapping[str, Any]) -> None:
    """Writes both files; `results.json` goes first and comes last, without it nothing looks finished."""
    from importlib.metadata import version

    path = done.path / RESULTS
    path.unlink(missing_ok=True)
    with atomic_path(done.path / ITEMS) as temporary:
        pq.write_table(pa.Table.from_pylist(items, schema=ITEM_SCHEMA), temporary, compression="zstd")
    values = {
        "chaffinch": version("chaffinch"),
        "model": more["identity"],
        "mixture": more["mixture"],
        "sandbox": more["sandbox"],
        "results": done.results,
        "skipped": done.skipped,
        "missing": done.missing,
    }
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", "utf-8")
