"""The output folder: one build at a time, and nothing in it looks finished before it is."""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chaffinch.errors import DataError

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
_PARTS = (MANIFEST, DATA, TRAINER, PACKS, LEDGER, QUARANTINE, CONTAMINATION, FLAGGED, TASKS, REPORT)


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

    def __init__(self, out: Path) -> None:
        self.out = out
        self.work = out / WORK
        self.staging = self.work / "staging"

    def publish(self) -> None:
        """Puts the staged parts in place. The manifest goes first and comes last: without it nothing looks finished."""
        (self.out / MANIFEST).unlink(missing_ok=True)
        old = self.work / "old"
        old.mkdir()
        for part in _PARTS[::-1]:
            new, place = self.staging / part, self.out / part
            if place.exists():
                place.replace(old / part)
            if new.exists():
                _sync(new)
                new.replace(place)
        shutil.rmtree(old)
        shutil.rmtree(self.staging)


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


def _is_finished(out: Path) -> bool:
    """Whether `out` holds a build, perhaps one whose cache was deleted."""
    try:
        return "stages" in manifest(out)
    except DataError:
        return False


def _sync(path: Path) -> None:
    for file in path.rglob("*") if path.is_dir() else [path]:
        if file.is_file():
            with file.open("rb") as handle:
                os.fsync(handle.fileno())


def _sweep(work: Path) -> None:
    """Removes what killed builds left half written; what is young may be another build's that shares the cache."""
    for path in work.rglob("*.tmp"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > STALE_SECONDS:
                path.unlink()


@contextmanager
def open_output(out: Path) -> Iterator[Output]:
    """Locks the output folder for one build and clears what a killed one left.

    Raises:
        DataError: another build is writing there, or the folder holds something that Chaffinch did not write.
    """
    output = Output(out)
    if not output.work.is_dir() and not _is_finished(out):
        strangers = sorted(part for part in _PARTS if (out / part).exists())
        if strangers:
            raise DataError(
                f"{out} holds {strangers[0]}, which Chaffinch did not write\nhint: give an empty --out folder"
            )
    output.work.mkdir(parents=True, exist_ok=True)
    with (output.work / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataError(f"another build is writing to {out}\nhint: wait for it, or give another --out") from None
        _sweep(output.work)
        for left in ("staging", "old"):
            shutil.rmtree(output.work / left, ignore_errors=True)
        output.staging.mkdir()
        yield output
