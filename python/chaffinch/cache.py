"""What was decided once, kept under the hash of everything it depends on."""

import hashlib
import json
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from chaffinch.decisions import Decisions

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


# Decisions are small beside shards, and each changed recipe leaves some: those of about ten builds are kept.
KEPT = 60


def prune(folder: Path, keep: int = KEPT) -> None:
    """Removes all files of a folder but those written or loaded last."""
    used = []
    for path in folder.glob("*.arrow"):
        # Another build may remove it at the same time.
        with suppress(FileNotFoundError):
            used.append((path.stat().st_mtime_ns, path.name))
    for _, name in sorted(used, reverse=True)[keep:]:
        (folder / name).unlink(missing_ok=True)


def load_table(path: Path) -> tuple[pa.Table, Any] | None:
    """The table kept in the file and what was said of it, if there is one."""
    if not path.is_file():
        return None
    try:
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        table.validate()
        with suppress(OSError):
            # For `prune`, which a cache that cannot be written does without.
            os.utime(path)
        return table, json.loads(table.schema.metadata[b"chaffinch"])
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, KeyError, TypeError, ValueError) as error:
        # Arrow's own complaints are OSErrors too, without the number that the system's have.
        if isinstance(error, OSError) and error.errno:
            raise
        # A damaged entry is no entry: it is made again and written over.
        path.unlink(missing_ok=True)
        return None


def save_table(path: Path, table: pa.Table, more: Any = None) -> None:
    """Keeps `table` in the file, and with it `more`, a JSON value."""
    table = table.replace_schema_metadata({"chaffinch": json.dumps(more)})
    with atomic_path(path) as temporary, pa.ipc.new_file(str(temporary), table.schema) as writer:
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
