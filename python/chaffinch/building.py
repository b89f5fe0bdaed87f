"""From a recipe and a folder of data to a mixture, its ledger, its manifest and its report."""

import platform
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Event
from time import perf_counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from chaffinch import manifest, readers
from chaffinch.cache import damage_reported
from chaffinch.contaminated import write_evidence
from chaffinch.errors import DataError, RecipeError
from chaffinch.handover.mixture import hand_over
from chaffinch.ledger import write_flagged, write_ledger
from chaffinch.memory import PeakMemory
from chaffinch.output import (
    CONTAMINATION,
    DATA,
    FLAGGED,
    LEDGER,
    MANIFEST,
    QUARANTINE,
    REPORT,
    TASKS,
    Output,
    open_output,
)
from chaffinch.pipeline import Run
from chaffinch.progress import NoProgress, Progress
from chaffinch.recipe.format import OWN
from chaffinch.recipe.load import load_recipe
from chaffinch.recipe.model import Recipe
from chaffinch.report import write_report
from chaffinch.result import Result
from chaffinch.stages import format as format_stage
from chaffinch.stages import tokenize, write
from chaffinch.store import build_info
from chaffinch.threads import thread_count

QUARANTINE_SCHEMA = pa.schema(
    [
        pa.field("source", pa.string(), nullable=False),
        pa.field("file", pa.string(), nullable=False),
        pa.field("position", pa.uint64(), nullable=False),
        pa.field("pointer", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("raw", pa.string(), nullable=False),
    ]
)


def build(
    recipe: str | Path | Mapping[str, Any] | Recipe,
    *,
    data: str | Path,
    out: str | Path,
    set: Mapping[str, Any] | None = None,  # noqa: A002 - the same word as the command line's --set
    threads: int | None = None,
    cache: str | Path | None = None,
    progress: Progress | None = None,
) -> Result:
    """Builds a mixture.

    The bytes of the mixture and the ledger depend on the rows' content, the recipe and its seed alone. What an earlier
    build into the same cache has read or decided is not done again.

    Args:
        recipe: a shipped name, the path of a YAML file, or a mapping with the same keys.
        data: the folder that the recipe's `files:` are relative to.
        out: the output folder; made when missing, replaced when it holds an earlier build.
        set: dotted recipe keys to override, as `--set` does: `{"sample.rows.lima": 500}`.
        threads: threads to use; all cores when None.
        cache: where shards and decisions are kept; `OUT/.chaffinch` when None.
        progress: told how far the build is.

    Raises:
        RecipeError: the recipe cannot mean what it says.
        DataError: the data is not what the recipe promises, too much of it is bad, a quota cannot be met, or the output
            folder is in use or not Chaffinch's own.
        OSError: a file cannot be read or written.

    >>> result = build("quickstart", data="data", out="out")  # doctest: +SKIP
    >>> result.summary["kept"]  # doctest: +SKIP
    20000
    """
    resolved = load_recipe(recipe, set)
    tokenizer = tokenize.prepare(resolved.tokenize, resolved.format) if resolved.tokenize else None
    template, render = _template(resolved, tokenizer)
    format_stage.load_pools(resolved.format)  # before anything is read
    threads = thread_count(threads)
    progress = progress or NoProgress()
    data, out = Path(data), Path(out)
    readers.check_data(data)
    if data.resolve().is_relative_to((out / DATA).resolve()):
        raise DataError(
            f"the data folder {data} is where the mixture goes, and would be replaced\nhint: give another --out folder"
        )
    started, clock = datetime.now(UTC), perf_counter()
    with open_output(out) as output, PeakMemory() as memory, damage_reported() as damaged:
        run = Run(resolved, data, out, Path(cache) if cache else output.work, threads, progress)
        run.tokenizer = tokenizer
        run.read()
        _write_quarantine(output.staging / QUARANTINE, run)
        run.check_bad_rows(output.staging / QUARANTINE)
        run.decide()
        decided = perf_counter()
        documents, splits, asking = run.documents(), run.splits(), run.asking
        written = _write_mixture(output, run, render, splits, threads, progress)
        handed = {}
        if resolved.write.trainer is not None:
            handed = hand_over(
                output.staging,
                resolved,
                run.rows,
                splits,
                documents,
                prepare=run.prepare(asking, count=False),
                threads=threads,
                progress=progress,
            )
        write_evidence(output.staging / CONTAMINATION, run)
        write_flagged(output.staging / FLAGGED, run.rows, run.flagged())
        if (tasks := run.tasks()) is not None:
            pq.write_table(tasks, output.staging / TASKS, compression="zstd")
        wrote = perf_counter()
        values = manifest.of(run, written, output.staging, asking.counts.values() if asking else None)
        values["warnings"] += damaged
        values |= handed
        values |= {
            "started": started.isoformat(timespec="seconds"),
            "seconds": round(perf_counter() - clock, 3),
            "seconds_to_rows": round(decided - clock, 3),
            "seconds_to_write": round(wrote - decided, 3),
            "peak_memory_bytes": memory.peak(),
            "chaffinch": build_info()[0],
            "template": template,
            "build": _environment(threads),
            "files": output.files(MANIFEST, REPORT),
        }
        manifest.write(output.staging / MANIFEST, values)
        write_report(output.staging)
        output.publish()
    return Result(out)


def _template(recipe: Recipe, tokenizer: tokenize.Tokenizer | None) -> tuple[Any, write.Render]:
    """The template as the manifest tells it, and what writes the columns prompt and response with it."""
    if recipe.format.template != OWN:
        template = format_stage.load_template(recipe.format.template)
        escape = recipe.format.marks == "escape"
        return template.model_dump(mode="json"), partial(format_stage.run, template=template, escape=escape, threads=1)
    if tokenizer is None:
        raise RecipeError("template `tokenizer` is a tokenizer's own\nhint: name the tokenizer under `tokenize:`")
    return tokenizer.files.chat_template, tokenizer.prompts


def _write_quarantine(path: Path, run: Run) -> None:
    with pq.ParquetWriter(path, QUARANTINE_SCHEMA, compression="zstd") as writer:
        for shard in run.shards:
            if shard.quarantine is not None:
                bad = pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all()
                for batch in bad.to_batches():
                    columns = {name: batch[name] for name in batch.schema.names}
                    columns |= {
                        "source": pa.repeat(shard.source, len(batch)),
                        "file": pa.repeat(shard.file, len(batch)),
                    }
                    cast = [columns[field.name].cast(field.type) for field in QUARANTINE_SCHEMA]
                    writer.write_batch(pa.record_batch(cast, schema=QUARANTINE_SCHEMA))


def _write_mixture(
    output: Output,
    run: Run,
    render: write.Render,
    splits: dict[str, np.ndarray],
    threads: int,
    progress: Progress,
) -> list[write.Written]:
    rows = sum(map(len, splits.values()))
    removals = {step.stage: step.decisions for step in run.steps}
    progress.start("write", rows, "rows")
    # The ledger is one file of its own: it is written while the mixture is.
    stopped = Event()
    with ThreadPoolExecutor(1) as beside:
        ledger_written = beside.submit(write_ledger, output.staging / LEDGER, run.rows, removals, stopped)
        written = write.run(
            run.rows,
            splits,
            run.recipe.write,
            render,
            run.marks,
            run.documents(),
            output.staging / DATA,
            threads=threads,
            prepare=run.prepare(run.asking),
            asked=run.asking is not None,
            advance=progress.advance,
            stopped=stopped,
        )
        ledger_written.result()
    progress.finish(rows, 0)
    return written


def _environment(threads: int) -> dict[str, Any]:
    version, profile, architecture = build_info()
    return {
        "extension": f"{version} ({profile}, {architecture})",
        "python": platform.python_version(),
        "pyarrow": pa.__version__,
        "platform": platform.platform(),
        "threads": threads,
    }
