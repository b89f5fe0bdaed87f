"""Reads the inputs of a source into cached shards."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from chaffinch import _core
from chaffinch.cache import atomic_path, read_json, report_damage, temporary_beside, write_json
from chaffinch.errors import DataError
from chaffinch.readers.columnar import BATCH_ROWS, cut_short, damaged, open_batches, open_hub
from chaffinch.readers.hashes import file_hashes
from chaffinch.readers.inputs import COLUMNAR, GROUPED, HUB, Input, plan_source
from chaffinch.readers.plan import UNFOLDED, Task, core_plan, is_delimited, load_task_table
from chaffinch.readers.unfold import UNFOLD
from chaffinch.recipe.source import Source

# Part of every cache key: goes up whenever the same file would give another shard.
READER_VERSION = 5

# The folder of the cache that holds the shards.
SHARDS = "read"

QUARANTINE = pa.schema(
    [
        pa.field(name, pa.uint64() if name == "position" else pa.string(), nullable=False)
        for name in ("file", "position", "pointer", "reason", "raw")
    ]
)

# Shards are finished in groups of at most so many bytes and files: an interrupted run keeps most of its work.
GROUP_BYTES = 512 << 20
GROUP_FILES = 256


@dataclass(frozen=True)
class Shard:
    """One input, read.

    Attributes:
        path: Arrow file with the store's schema.
        quarantine: Arrow file of the rejected records, None when there are none: file (string), position
            (uint64: line from 1, or index from 0), pointer (string such as `line 12` or `/Instances/3`),
            reason (string), raw (string, at most 500 characters).
        examples: Arrow file of the solved cases that the input gives beside its rows, None when there are none: task,
            input, output (string), in the input's order. Of several inputs of equal bytes each names the same file.
        source: the source's name.
        file: the input relative to the data folder, with forward slashes, or `hf:...`.
        file_hash: BLAKE3 of the input's bytes; of several files, of their names and hashes.
        rows: rows in `path`.
        rejected: records in `quarantine`.
        bytes: size of the input.
        notes: counts worth reporting: of rows `duplicate_id`, `id_of_other_task`, `repeated_reference`,
            `number_as_text`, `turn_key_ignored` and `edit_...`; 1 for a file that is `bom`, `crlf`,
            `empty_file`, `truncated_file` or `rest_unread` (broken in the middle: one bad record stands for the rest).
        cached: an earlier build had read it.
    """

    path: Path
    quarantine: Path | None
    examples: Path | None
    source: str
    file: str
    file_hash: str
    rows: int
    rejected: int
    bytes: int
    notes: dict[str, int]
    cached: bool = field(compare=False)


@dataclass(frozen=True)
class _Work:
    """An input and where its shard belongs."""

    input: Input
    format: str
    plan: dict[str, Any]
    job: dict[str, Any]
    file_hash: str
    summary: Path
    table: pa.Table | None = None


def read_source(
    source: Source,
    data: Path,
    cache: Path,
    *,
    threads: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> list[Shard]:
    """Reads a source, or finds in the cache what was read before.

    A shard depends on the file's bytes, the recipe's words about the source and the task's name, not on where
    the file lies.

    Args:
        source: what the recipe says.
        data: the data folder.
        cache: the cache folder; shards lie in `read/` of it. Several processes may share it.
        threads: threads to read with; all cores when None.
        progress: called with the bytes of the inputs done so far; they add up to the sizes of `plan_source`.

    Returns:
        One shard per input, in the order of `plan_source`; a hub data set has one per split.

    Raises:
        DataError: nothing matches, the task table or the hub cannot be read, a file changes meanwhile or
            unpacks to absurd sizes.
        RecipeError: the recipe's words make no sense for the format.
        OSError: a file cannot be read or written.
    """
    (cache / SHARDS).mkdir(parents=True, exist_ok=True)
    inputs = plan_source(source, data)
    before = {member: _stamp(member) for input_ in inputs for member in input_.members}
    work = list(_work(source, data, cache, inputs, threads))
    summaries = _verified(work, threads)
    missing = [item for item in work if item.summary not in summaries]
    waiting = {id(item) for item in missing}
    done = sum(item.input.bytes for item in work if id(item) not in waiting)
    if progress is not None:
        progress(done)
    for group in _groups(missing):
        start = done
        report = None if progress is None else (lambda bytes_, start=start: progress(start + bytes_))
        outcomes = _read(group, threads, report)
        for member in (member for item in group for member in item.input.members):
            if _stamp(member) != before[member]:
                hint = "run again when nothing writes to it"
                raise DataError(f"{member} changed while it was read\nhint: {hint}")
        summaries |= _finish(group, outcomes, threads)
        done += sum(item.input.bytes for item in group)
        if progress is not None:
            progress(done)
    return [_shard(source, item, summaries[item.summary], cached=id(item) not in waiting) for item in work]


def cached_shards(source: Source, data: Path, cache: Path) -> list[Shard]:
    """The shards that `read_source` would find in the cache, by their sizes. Hashes the files that are new to it."""
    if not (cache / SHARDS).is_dir():
        return []
    inputs = [input_ for input_ in plan_source(source, data) if not input_.file.startswith(HUB)]
    return [
        _shard(source, item, summary, cached=True)
        for item in _work(source, data, cache, inputs, None)
        if (summary := _cached(item)) is not None
    ]


def _work(source: Source, data: Path, cache: Path, inputs: list[Input], threads: int | None) -> Iterator[_Work]:
    tasks = load_task_table(source, data)
    members = (member for input_ in inputs for member in input_.members)
    hashes = file_hashes(members, cache, threads=threads)
    seen: set[str] = set()
    for input_ in inputs:
        if input_.file.startswith(HUB):
            # A data set and a split of it may both be named: its rows count once, as a file's do that two globs match.
            splits = [split for split in open_hub(input_.file) if split.file not in seen]
            seen |= {split.file for split in splits}
            for split in splits:
                of_files = file_hashes(split.files, cache, threads=threads)
                # A slice (`train[:10]`) lies in the same files as the whole.
                file_hash = _digest([split.file, *(of_files[file] for file in split.files)])
                yield _place(source, Input(split.file, (), 0), tasks, file_hash, cache, split.table)
        else:
            single = source.format not in GROUPED
            names = [[member.parent.name, member.name, hashes[member]] for member in input_.members]
            file_hash = hashes[input_.members[0]] if single else _digest(names)
            yield _place(source, input_, tasks, file_hash, cache, None)


def _place(
    source: Source, input_: Input, tasks: list[Task], file_hash: str, cache: Path, table: pa.Table | None
) -> _Work:
    """Where the shard of an input belongs: under the hash of everything that it depends on."""
    plan = dict(core_plan(source, tasks, input_))
    columnar = table is not None or input_.suffix in COLUMNAR
    job: dict[str, Any] = {
        "file": input_.file,
        "task": input_.stem if source.task == "file" else source.task,
        # Names the task of Natural Instructions; elsewhere two names for the same bytes may share a shard.
        "stem": input_.stem if source.format in ("auto", "natural-instructions") else "",
        "elements": columnar or source.format in UNFOLDED,
        "delimited": not columnar and is_delimited(source, input_),
    }
    key = _digest([READER_VERSION, source.format, plan, {**job, "file": None}, file_hash])
    folder = cache / SHARDS
    job["output"] = folder / f"{key}.arrow"
    # The quarantine names the file, so two equal files under two names share a shard but not a quarantine.
    job["quarantine"] = folder / f"{key}.{_digest(input_.file)[:16]}.quarantine.arrow"
    return _Work(input_, source.format, plan, job, file_hash, folder / f"{key}.json", table)


def _digest(value: object) -> str:
    """A name for anything that JSON can write; the standard library's hash will do for a few words."""
    return hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=32).hexdigest()


def _cached(item: _Work) -> dict[str, Any] | None:
    """The summary of a shard that is complete, as far as sizes tell."""
    summary = read_json(item.summary)
    if summary is None:
        return None
    try:
        damaged = [path for path in _files(item, summary) if path.stat().st_size != summary["files"][path.name][0]]
    except (FileNotFoundError, KeyError):
        return None
    for path in damaged:
        report_damage(path)
    return None if damaged else summary


def _verified(work: list[_Work], threads: int | None) -> dict[Path, dict[str, Any]]:
    """By the file with the summary, those of the shards in the cache whose files hold what was written.

    A file that does not is reported.
    """
    found = {item.summary: (item, summary) for item in work if (summary := _cached(item)) is not None}
    files = sorted({path for item, summary in found.values() for path in _files(item, summary)})
    hashes = dict(zip(files, _core.hash_files(files, threads=threads), strict=True))
    sound = {}
    for place, (item, summary) in found.items():
        damaged = [path for path in _files(item, summary) if hashes[path] != summary["files"][path.name][1]]
        for path in damaged:
            report_damage(path)
        if not damaged:
            sound[place] = summary
    return sound


def _files(item: _Work, summary: Mapping[str, Any]) -> list[Path]:
    """The files of a shard: its rows, and its quarantine and examples where there are any."""
    quarantine, examples = summary["rejected"], summary["examples"]
    found: list[Path] = [item.job["output"]]
    return found + [item.job["quarantine"]] * bool(quarantine) + [_examples(item)] * bool(examples)


def _groups(items: list[_Work]) -> Iterator[list[_Work]]:
    """Inputs that are read by one call: of one plan, and a stream of batches alone."""
    group: list[_Work] = []
    size = 0
    for item in items:
        alone = item.table is not None or item.input.suffix in COLUMNAR
        full = len(group) == GROUP_FILES or size + item.input.bytes > GROUP_BYTES
        if group and (alone or full or group[0].plan != item.plan):
            yield group
            group, size = [], 0
        group.append(item)
        size += item.input.bytes
        if alone:
            yield group
            group, size = [], 0
    if group:
        yield group


# Rows, rejected records, solved cases, notes.
Outcome = tuple[int, int, int, dict[str, int]]


def _read(group: list[_Work], threads: int | None, progress: Callable[[int], object] | None) -> list[Outcome]:
    first = group[0]
    failed: list[Exception] = []
    path = first.input.members[0] if first.input.members else Path()
    if first.table is not None or first.input.suffix in COLUMNAR:
        cut = None if first.table is not None else cut_short(path, first.input.suffix)
        if first.table is not None:
            batches = first.table.to_reader(max_chunksize=BATCH_ROWS)
        elif cut is not None:
            batches = pa.table({"text": pa.array([], pa.string())}).to_reader()
        else:
            texts = {name for names in first.plan["fields"].values() for name in names}
            batches = open_batches(path, first.input.suffix, texts, failed)
        try:
            # Progress would count the batches' JSON, not the file's bytes.
            outcome = _core.read_batches(first.plan, {**first.job, "path": path}, batches, threads=threads)
            return [_quarantined(first, cut) if cut else outcome]
        except DataError:
            if failed:
                raise damaged(path, failed[0]) from None
            raise
    unfolded: list[Path] = []
    try:
        jobs = []
        for item in group:
            path = item.input.members[0]
            if item.format in UNFOLDED:
                path = temporary_beside(item.summary)
                unfolded.append(path)
                with path.open("wb") as file:
                    file.writelines(UNFOLD[item.format](item.input.members))
            jobs.append({**item.job, "path": path})
        return _core.read_files(first.plan, jobs, threads=threads, progress=progress)
    finally:
        for path in unfolded:
            path.unlink(missing_ok=True)


def _quarantined(item: _Work, start: bytes) -> Outcome:
    """Notes in the quarantine that a file of columns ends too early to be read at all; it begins with `start`."""
    columns = {
        "file": item.input.file,
        "position": 0,
        "pointer": "end of the file",
        "reason": "truncated: the file ends before its footer",
        "raw": start.decode("utf-8", "replace")[:500],
    }
    table = pa.table({name: [value] for name, value in columns.items()})
    with atomic_path(item.job["quarantine"]) as temporary, pa.ipc.new_file(str(temporary), QUARANTINE) as writer:
        writer.write_table(table.cast(QUARANTINE))
    return 0, 1, 0, {"truncated_file": 1}


def _examples(item: _Work) -> Path:
    path: Path = item.job["output"]
    return path.with_suffix(".examples.arrow")


def _finish(group: list[_Work], outcomes: list[Outcome], threads: int | None) -> dict[Path, dict[str, Any]]:
    """Writes the summaries: the sign that a shard is complete; its files' sizes and hashes are in it.

    The shard itself is not forced to disk, which would take as long as reading it. A killed process loses nothing by
    that, and after a power cut a file is shorter than its summary says or holds something else; `_verified` refuses it.
    """
    summaries = {}
    for item, (rows, rejected, examples, notes) in zip(group, outcomes, strict=True):
        summaries[item.summary] = {
            "reader_version": READER_VERSION,
            "file": item.input.file,
            "file_hash": item.file_hash,
            "rows": rows,
            "rejected": rejected,
            "examples": examples,
            "notes": notes,
        }
    files = {item.summary: _files(item, summaries[item.summary]) for item in group}
    flat = sorted({path for paths in files.values() for path in paths})
    hashes = dict(zip(flat, _core.hash_files(flat, threads=threads), strict=True))
    for place, summary in summaries.items():
        summary["files"] = {path.name: [path.stat().st_size, hashes[path]] for path in files[place]}
        write_json(place, summary)
    return summaries


def _shard(source: Source, item: _Work, summary: Mapping[str, Any], *, cached: bool) -> Shard:
    return Shard(
        path=item.job["output"],
        quarantine=item.job["quarantine"] if summary["rejected"] else None,
        examples=_examples(item) if summary["examples"] else None,
        source=source.name,
        file=item.input.file,
        file_hash=item.file_hash,
        rows=summary["rows"],
        rejected=summary["rejected"],
        bytes=item.input.bytes,
        notes=summary["notes"],
        cached=cached,
    )


def _stamp(path: Path) -> tuple[int, int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def quarantine_reasons(shards: list[Shard]) -> Mapping[str, int]:
    """Rows in quarantine by reason, the most frequent first."""
    counts: dict[str, int] = {}
    for shard in shards:
        if shard.quarantine is not None:
            for reason in pa.ipc.open_file(pa.memory_map(str(shard.quarantine))).read_all()["reason"].to_pylist():
                counts[reason] = counts.get(reason, 0) + 1
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
