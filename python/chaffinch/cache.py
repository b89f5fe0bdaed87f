"""What was decided once, kept under the hash of everything it depends on."""

import hashlib
import json
import os
import re
import secrets
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch import _core
from chaffinch.decisions import Decisions
from chaffinch.errors import CacheWarning

# What decisions hold besides a few numbers for each removed row, in files of their own.
_TABLES = ("findings", "columns")


def key_of(*parts: Any) -> str:
    """A key for JSON values: the same values give the same key in every process."""
    text = json.dumps(parts, ensure_ascii=True, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def temporary_beside(path: Path) -> Path:
    """A name that no other thread, process or machine that shares the folder takes."""
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether a file has a name of `temporary_beside`, or of its like in rust/py/src/shard_file.rs."""
    return re.search(r"\.(?:[0-9a-f]{16}|[0-9]+-[0-9]+)\.tmp$", path.name) is not None


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it when the block ends well and removed when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def sealed_path(path: Path) -> Iterator[Path]:
    """As `atomic_path`, and ends the file with its hash."""
    with atomic_path(path) as temporary:
        yield temporary
        seal(temporary)


# What every file of the cache that is written here ends with: a mark, and the hash of all before it.
_MARK = b"\nchaffinch blake3 "
SEAL_BYTES = len(_MARK) + 64

_reported: ContextVar[list[str] | None] = ContextVar("reported", default=None)


def seal(path: Path) -> None:
    """Ends a file with the hash of what it holds, which `unsealed` compares."""
    digest = _core.hash_files([path])[0]
    with path.open("ab") as file:
        file.write(_MARK + digest.encode())


def unsealed(path: Path, *, verify: bool = True) -> Any:
    """The content of a sealed file, mapped, as an Arrow buffer; None where there is none, or it is damaged.

    A damaged file is removed and reported.

    Args:
        path: the file.
        verify: whether to compare the hash; not where this process has done so, or has written the file.

    Raises:
        OSError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END) - SEAL_BYTES
            file.seek(max(0, size))
            end = file.read()
        sound = size >= 0 and end.startswith(_MARK)
        if sound and verify:
            sound = _core.hash_files([path], leave=SEAL_BYTES)[0].encode() == end[len(_MARK) :]
    except FileNotFoundError:
        return None
    if not sound:
        report_damage(path)
        path.unlink(missing_ok=True)
        return None
    return pa.memory_map(str(path)).read_buffer(size) if size else pa.py_buffer(b"")


def report_damage(path: Path) -> None:
    """Says that a file of the cache is damaged and is made again: to the build under way, else as a Python warning."""
    text = f"{path} is damaged: what it held is made again"
    reported = _reported.get()
    if reported is None:
        warnings.warn(text, CacheWarning, stacklevel=2)
    elif text not in reported:
        reported.append(text)


@contextmanager
def damage_reported() -> Iterator[list[str]]:
    """Gathers what `report_damage` says within the block."""
    reported: list[str] = []
    token = _reported.set(reported)
    try:
        yield reported
    finally:
        _reported.reset(token)


def write_json(path: Path, value: Any) -> None:
    """Writes a sealed file of JSON, which appears complete or not at all."""
    with sealed_path(path) as temporary:
        temporary.write_text(json.dumps(value), "utf-8")


def read_json(path: Path) -> Any:
    """What `write_json` wrote; None where there is nothing, or it is damaged."""
    content = unsealed(path)
    return None if content is None else json.loads(content.to_pybytes())


# Decisions are small beside shards, and each changed recipe leaves some: those of about ten builds are kept.
KEPT = 60


def prune(folder: Path, keep: int = KEPT) -> None:
    """Removes all files of a folder that `seal` ended but those written or loaded last."""
    used = []
    for path in folder.glob("*.arrow"):
        # Another build may remove it at the same time.
        with suppress(FileNotFoundError):
            if _is_sealed(path):
                used.append((path.stat().st_mtime_ns, path.name))
    for _, name in sorted(used, reverse=True)[keep:]:
        (folder / name).unlink(missing_ok=True)


def _is_sealed(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - SEAL_BYTES))
        return file.read(len(_MARK)) == _MARK


def load_table(path: Path) -> tuple[pa.Table, Any] | None:
    """The table kept in the file and what was said of it, if there is one."""
    content = unsealed(path)
    if content is None:
        return None
    table = pa.ipc.open_file(content).read_all()
    with suppress(OSError):
        # For `prune`, which a cache that cannot be written does without.
        os.utime(path)
    return table, json.loads(table.schema.metadata[b"chaffinch"])


def save_table(path: Path, table: pa.Table, more: Any = None) -> None:
    """Keeps `table` in the file, and with it `more`, a JSON value."""
    table = table.replace_schema_metadata({"chaffinch": json.dumps(more)})
    with sealed_path(path) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
        writer.write_table(table)


def load(path: Path) -> Decisions | None:
    """The decisions kept in the file, if there are any."""
    found = load_table(path)
    if found is None:
        return None
    table, more = found
    tables: dict[str, Any] = {}
    for name in _TABLES:
        kept = load_table(_beside(path, name)) if more.get(name) else None
        if more.get(name) and kept is None:
            return None
        tables[name] = kept[0] if kept else None
    column = {name: table[name].combine_chunks().to_numpy(zero_copy_only=False) for name in table.column_names}
    return Decisions(
        row=column["row"],
        reason=column["reason"],
        reasons=more["reasons"],
        witness=column.get("witness"),
        score=column.get("score"),
        notes=more["notes"],
        evidence=column.get("evidence"),
        evidences=more.get("evidences", []),
        **tables,
    )


def save(path: Path, decisions: Decisions) -> None:
    """Keeps `decisions` in the file."""
    columns: dict[str, np.ndarray] = {"row": decisions.row, "reason": decisions.reason}
    columns |= {"witness": decisions.witness} if decisions.witness is not None else {}
    columns |= {"score": decisions.score} if decisions.score is not None else {}
    columns |= {"evidence": decisions.evidence} if decisions.evidence is not None else {}
    more: dict[str, Any] = {
        "reasons": decisions.reasons,
        "notes": decisions.notes,
        "evidences": decisions.evidences,
    }
    for name in _TABLES:
        found = getattr(decisions, name)
        more[name] = found is not None
        if found is not None:
            save_table(_beside(path, name), found)
    save_table(path, pa.table(columns), more)


def _beside(path: Path, name: str) -> Path:
    return path.with_suffix(f".{name}.arrow")
