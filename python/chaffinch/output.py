"""The output folder: one build at a time, and nothing in it looks finished before it is."""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chaffinch.cache import is_temporary
from chaffinch.errors import DataError
from chaffinch.owned import Owned, files_of

MANIFEST = "manifest.json"
LEDGER = "ledger.parquet"
QUARANTINE = "quarantine.parquet"
CONTAMINATION = "contamination.parquet"
FLAGGED = "flagged.parquet"
TASKS = "tasks.parquet"
REPORT = "report.html"
DATA = "data"
TRAINER = "trainer"
PACKS = "packs.parquet"
WORK = ".chaffinch"
# In the work folder: which files of the output folder builds have written. The manifest has them as `files`, too.
RECORD = "published.json"
_PARTS = (MANIFEST, DATA, TRAINER, PACKS, LEDGER, QUARANTINE, CONTAMINATION, FLAGGED, TASKS, REPORT)
_STAGING, _OLD = f"{WORK}/staging", f"{WORK}/old"

STALE_SECONDS = 86_400


def manifest(out: Path) -> dict[str, Any]:
    """The manifest of a finished build.

    Raises:
        DataError: `out` holds no finished build.
    """
    path = Path(out) / MANIFEST
    if not path.is_file():
        unfinished = (Path(out) / WORK).is_dir()
        hint = "the last build did not finish; run it again" if unfinished else "give the folder that --out named"
        raise DataError(f"{out} holds no finished build\nhint: {hint}")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path} is not a manifest: {error}\nhint: build again") from None
    if not isinstance(values, dict):
        raise DataError(f"{path} is not a manifest\nhint: build again")
    return values


class Output:
    """A build's own view of its output folder; `staging` becomes the output when `publish` is called."""

    def __init__(self, out: Path, owned: Owned) -> None:
        self.out = out
        self.work = out / WORK
        self.staging = out / _STAGING
        self._owned = owned

    def files(self, *more: str) -> list[str]:
        """What `publish` will put in place: the staged files and `more` that are still to be staged."""
        return sorted({*files_of(self.staging, *_PARTS), *more})

    def publish(self) -> None:
        """Puts the staged parts in place. The manifest goes first and comes last: without it nothing looks finished.

        Raises:
            DataError: since the build began, a file without a record appeared where the parts belong.
        """
        self._owned.check(*_PARTS)
        staged = files_of(self.staging, *_PARTS)
        before = files_of(self.out, *_PARTS)
        # Whatever ends this half way, the record covers what was there and what comes.
        self._owned.add(*staged, *(f"{_OLD}/{file}" for file in before))
        (self.out / MANIFEST).unlink(missing_ok=True)
        old = self.out / _OLD
        old.mkdir()
        for part in _PARTS[::-1]:
            new, place = self.staging / part, self.out / part
            if place.exists():
                place.replace(old / part)
            if new.exists():
                _sync(new)
                new.replace(place)
        _sync_folder(self.out)
        self._owned.remove(_OLD)
        self._owned.remove(_STAGING)
        self._owned.replace(*staged)


def check_not_own(out: Path, files: Iterable[Path]) -> None:
    """Refuses to read what a build into `out` writes, which would make the second build another than the first.

    Raises:
        DataError: naming the file.
    """
    own = [(out / part).resolve() for part in _PARTS]
    if not any(part.exists() for part in own):
        return
    for file in files:
        if any(file.resolve().is_relative_to(part) for part in own):
            raise DataError(
                f"{file} is what a build into {out} writes, and what this one would read\n"
                "hint: give an --out outside the data folder, or narrow the source's `files:` or `against:`"
            )


def _listed(out: Path) -> list[str]:
    """The files that the manifest of a finished build lists, of one whose cache was deleted, too."""
    try:
        files = manifest(out).get("files")
    except DataError:
        return []
    return [str(file) for file in files] if isinstance(files, list) else []


def _sync(path: Path) -> None:
    """Forces a part to the disk: its files, then the folders that name them."""
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())
    for folder in [path, *path.rglob("*")]:
        if folder.is_dir():
            _sync_folder(folder)


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sweep(work: Path) -> None:
    """Removes what killed builds left half written; what is young may be another build's that shares the cache."""
    for path in work.rglob("*.tmp"):
        with suppress(FileNotFoundError):
            if is_temporary(path) and time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


@contextmanager
def open_output(out: Path) -> Iterator[Output]:
    """Locks the output folder for one build and clears what a killed one left.

    Raises:
        DataError: another build is writing there, or the folder holds a file where a build writes that no record lists.
    """
    work = out / WORK
    owned_files(out).check(*_PARTS)
    work.mkdir(parents=True, exist_ok=True)
    with (work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another build is writing to {out}\nhint: wait for it, or give another --out") from None
        owned = owned_files(out)
        owned.check(*_PARTS)
        _sweep(work)
        owned.remove(_STAGING, _OLD)
        owned.claim(_STAGING)
        (out / _STAGING).mkdir()
        yield Output(out, owned)


def owned_files(out: Path) -> Owned:
    """The record of what builds wrote into an output folder."""
    return Owned(out, out / WORK / RECORD, _listed(out))
