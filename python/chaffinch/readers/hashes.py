"""Hashes of files, remembered so that a rebuild does not read gigabytes again."""

import time
from collections.abc import Iterable
from pathlib import Path

from chaffinch import _core
from chaffinch.cache import read_json, write_json

# A file changed this recently (in nanoseconds) may change again without its time of change telling.
RECENT = 2_000_000_000


def file_hashes(paths: Iterable[Path], cache: Path, *, threads: int | None = None) -> dict[Path, str]:
    """BLAKE3 of each file, from memory where size, times of change and inode are as they were.

    Args:
        paths: the files.
        cache: folder that holds `inputs.json`, the memory; may be shared by several processes.
        threads: threads to hash with; all cores when None.

    Raises:
        OSError: a file cannot be read.
    """
    memory = cache / "inputs.json"
    known = _load(memory)
    now = time.time_ns()
    stamps = {path: _stamp(path) for path in paths}
    hashes = {
        path: str(entry[-1])
        for path, stamp in stamps.items()
        if (entry := known.get(str(path.absolute()))) and entry[:-1] == stamp and _is_settled(stamp, now)
    }
    unknown = [path for path in stamps if path not in hashes]
    hashes.update(zip(unknown, _core.hash_files(unknown, threads=threads), strict=True))
    fresh = {
        str(path.absolute()): [*stamps[path], hashes[path]]
        for path in unknown
        if _is_settled(stamps[path], now) and _stamp(path) == stamps[path]
    }
    if fresh:
        # Read again: another process may have added to it. What is lost in a race is hashed again some day.
        write_json(memory, {**_load(memory), **fresh})
    return hashes


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    # Whoever edits a file can set its time of change back, but not the inode's.
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _is_settled(stamp: list[int], now: int) -> bool:
    return all(abs(now - changed) > RECENT for changed in stamp[1:3])


def _load(memory: Path) -> dict[str, list[object]]:
    known = read_json(memory)
    return known if isinstance(known, dict) else {}
