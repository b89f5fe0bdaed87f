"""write: the kept rows, copied out once, in the order of their places."""

import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from threading import Event, Lock
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaffinch import _core
from chaffinch.cache import key_of
from chaffinch.recipe.model import Write
from chaffinch.stages.format import Prepare
from chaffinch.stages.provenance import Marks
from chaffinch.stages.tokenize import SCHEMA as TOKENS
from chaffinch.stages.tokenize import Documents
from chaffinch.store import ADDED, Rows
from chaffinch.store import SCHEMA as STORED

BATCH = 16_384
_TEXT = pa.large_string()
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
SCHEMA = pa.schema(
    [
        pa.field("row_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("task", pa.string(), nullable=False),
        pa.field("category", pa.string()),
        pa.field("language", pa.string()),
        pa.field("licence", pa.string()),
        pa.field("class", pa.string(), nullable=False),
        pa.field("instruction", pa.string(), nullable=False),
        pa.field("input", pa.string(), nullable=False),
        pa.field("output", pa.string()),
        pa.field("references", pa.list_(pa.string()), nullable=False),
        pa.field("messages", _MESSAGES),
        pa.field("prompt_origin", pa.string(), nullable=False),
        pa.field("response_origin", pa.string(), nullable=False),
        pa.field("generator", pa.string()),
        pa.field("traces", pa.string()),
        pa.field("meta", pa.string()),
        pa.field("prompt", pa.string(), nullable=False),
        pa.field("response", pa.string(), nullable=False),
    ]
)

# Of the store's columns, those that come out as they are.
_COPIED = [name for name in STORED.names if name in SCHEMA.names]

# What a mixture of documents has besides.
_DOCUMENT = [TOKENS.field(name) for name in ("part", "input_ids", "labels")]

# Which template of a pool a row is asked with, and the ids of the rows that stand before it.
ASKED = {"template": pa.string(), "demonstrations": pa.list_(pa.string())}


def schema_with(added: Iterable[str], *, asked: bool = False, tokenized: bool = False) -> pa.Schema:
    """The mixture's columns, these of `store.ADDED` (only recipes that score answers have them), and documents' own.

    Args:
        added: names of `store.ADDED`.
        asked: whether the recipe has pools, and so the columns of ASKED.
        tokenized: whether its rows are documents.
    """
    fields = [pa.field(name, ADDED[name][1]) for name in added]
    fields += [pa.field(name, kind) for name, kind in ASKED.items() if asked]
    return pa.schema([*SCHEMA, *fields, *(_DOCUMENT if tokenized else [])])


Render = Callable[[pa.Table, np.ndarray], pa.Table]


@dataclass(frozen=True)
class Written:
    """One file of the mixture."""

    split: str
    file: str
    rows: int
    bytes: int


def run(
    rows: Rows,
    splits: dict[str, np.ndarray],
    spec: Write,
    render: Render,
    marks: Marks,
    documents: Documents | None,
    folder: Path,
    *,
    prepare: Prepare,
    asked: bool,
    threads: int,
    advance: Callable[[int], object],
    stopped: Event,
) -> list[Written]:
    """Writes each split's rows, in the order given, as files of `rows_per_file` rows; several files at a time.

    Args:
        rows: the store.
        splits: split name -> row numbers (uint32) in output order.
        spec: the recipe's `write`.
        render: from a table of the store's texts and row numbers to columns prompt and response.
        prepare: from row numbers and their texts to the texts as pools put them, and the columns of ASKED.
        asked: whether the recipe has pools, and so these columns.
        marks: origins of every row.
        documents: the rows as token ids, if they are to be written; each is then a row of its own.
        folder: an empty folder for the files.
        threads: files written at the same time, and batches made at the same time for them; the bytes do not depend
            on it.
        advance: called with the number of rows written so far.
        stopped: set when this fails or is interrupted; once set, writing ends at the next batch of each file.

    Returns:
        The files, in order.
    """
    write_file = {"parquet": _write_parquet, "jsonl": _write_jsonl, "datasets": _write_arrow}[spec.format]
    schema = schema_with(rows.added(), asked=asked, tokenized=documents is not None)
    count = Count(advance, stopped)
    jobs = []
    for split, rows_of in splits.items():
        order = rows_of if documents is None else documents.of(rows_of)
        n_files = max(1, -(-len(order) // spec.rows_per_file))
        for index in range(n_files):
            part = order[index * spec.rows_per_file : (index + 1) * spec.rows_per_file]
            jobs.append((split, file_name(split, index, n_files, spec.format), part))

    # Fewer files than threads: more batches of each are made while others of it are written.
    files_at_a_time = min(threads, len(jobs))
    ahead = -(-2 * threads // files_at_a_time)

    def write_one(job: tuple[str, str, np.ndarray]) -> Written:
        split, name, part = job
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        parts = (part[start : start + BATCH] for start in range(0, len(part), BATCH))
        batches = (
            assembling.submit(assemble, rows, each, prepare, render, marks, documents, schema, count) for each in parts
        )
        write_file(path, _results(batches, ahead), schema, spec)
        return Written(split, name, len(part), path.stat().st_size)

    with ThreadPoolExecutor(threads) as assembling, ThreadPoolExecutor(files_at_a_time) as writing:
        try:
            written = list(writing.map(write_one, jobs))
        except BaseException:
            stopped.set()
            raise
    if spec.format == "datasets":
        describe_datasets(folder, written)
    return written


class Count:
    """Rows written so far, by any number of threads; ends them all once one has failed."""

    def __init__(self, advance: Callable[[int], object], stopped: Event) -> None:
        self._advance, self._stopped, self._done, self._lock = advance, stopped, 0, Lock()

    def add(self, rows: int) -> None:
        """So many more are written."""
        if self._stopped.is_set():
            raise InterruptedError("writing was stopped")
        with self._lock:
            self._done += rows
            self._advance(self._done)


def _results(futures: Iterator[Future[pa.Table]], ahead: int) -> Iterator[pa.Table]:
    """Their results in order; `ahead` of them are under way while one is used."""
    waiting = deque(islice(futures, ahead))
    while waiting:
        table = waiting.popleft().result()
        waiting.extend(islice(futures, 1))
        yield table


def assemble(
    rows: Rows,
    part: np.ndarray,
    prepare: Prepare,
    render: Render,
    marks: Marks,
    documents: Documents | None,
    schema: pa.Schema,
    count: Count,
) -> pa.Table:
    """The output columns of some rows, or of some documents."""
    columns: dict[str, Any] = {}
    if documents is not None:
        columns["input_ids"], columns["labels"] = documents.take(part)
        columns["part"] = pa.array(documents.part[part])
        part = documents.row[part]
    batch = rows.gather(part, _COPIED)
    # As the source has it: a row that is only written as one is no conversation.
    conversation = batch["messages"].is_valid()
    batch, asked = prepare(part, batch)
    text = render(batch, np.arange(len(part), dtype=np.uint32))
    kind = rows.classes(part, conversation)
    response = text["response"]
    columns |= {
        "row_id": rows.ids(part),
        "class": kind,
        "output": pc.if_else(conversation, pa.scalar(None, _TEXT), response),
        "prompt": text["prompt"],
        "response": response,
        **marks.columns(part),
        **rows.gather_added(part),
        **asked,
    }
    named = [columns[field.name] if field.name in columns else batch[field.name] for field in schema]
    arrays = [column.cast(field.type) for column, field in zip(named, schema, strict=True)]
    count.add(len(part))
    return pa.table(arrays, schema=schema)


def file_name(split: str, index: int, n_files: int, form: str) -> str:
    """Where one of a split's files lies in its folder."""
    if form == "datasets":
        return f"{split}/data-{index:05}-of-{n_files:05}.arrow"
    return f"{split}-{index:05}-of-{n_files:05}.{form}"


def _write_parquet(path: Path, tables: Iterator[pa.Table], schema: pa.Schema, spec: Write) -> None:
    # A dictionary only where values repeat: on text it costs time and saves nothing.
    repeated = ["source", "task", "category", "language", "licence", "class", "generator", "traces"]
    repeated += ["prompt_origin", "response_origin", "messages.list.element.role", *ADDED, "template"]
    with pq.ParquetWriter(path, schema, compression=spec.compression, use_dictionary=repeated) as writer:
        for table in tables:
            writer.write_table(table)


def _write_jsonl(path: Path, tables: Iterator[pa.Table], _: pa.Schema, __: Write) -> None:
    path.touch()
    for table in tables:
        _core.write_jsonl(table, str(path), threads=1)


def _write_arrow(path: Path, tables: Iterator[pa.Table], schema: pa.Schema, _: Write) -> None:
    with pa.ipc.new_stream(str(path), schema) as writer:
        for table in tables:
            writer.write_table(table)


def describe_datasets(folder: Path, written: list[Written]) -> None:
    """The JSON files that `datasets.load_from_disk` looks for (datasets 5.2, `DatasetDict.save_to_disk`)."""
    splits = list(dict.fromkeys(file.split for file in written))
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": splits}))
    for split in splits:
        files = [{"filename": Path(file.file).name} for file in written if file.split == split]
        state: dict[str, Any] = {
            "_data_files": files,
            "_fingerprint": key_of([*files, [file.bytes for file in written]])[:16],
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": split,
        }
        (folder / split / "state.json").write_text(json.dumps(state))
        (folder / split / "dataset_info.json").write_text("{}")
