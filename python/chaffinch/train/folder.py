"""A run's folder: its options, its log, its checkpoints."""

import fcntl
import json
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from chaffinch.cache import atomic_path
from chaffinch.errors import DataError
from chaffinch.owned import Owned

OPTIONS = "options.json"
LOG = "log.jsonl"
PLAN = "plan.json"
CHECKPOINTS = "checkpoints"
ADAPTER = "adapter"
MERGED = "merged"
PACKS = "packs"
REPORT = "training.html"
# What a checkpoint has once all of it is written.
PROGRESS = "progress.json"
_PARTS = (OPTIONS, LOG, PLAN, CHECKPOINTS, ADAPTER, f".{ADAPTER}", MERGED, f".{MERGED}", PACKS, REPORT)
_LOCK = ".lock"
# Which files of the folder runs have written.
_RECORD = ".published.json"
# What a run writes from its first step on.
_FIRST = (OPTIONS, LOG, PLAN, REPORT)
# What a run is; what else stands beside it (versions) may change while it lasts.
_SAME = ("options", "budget", "mixture", "model", "ranks")


class Folder:
    """The folder of one run.

    Args:
        path: made when missing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def owned(self) -> Owned:
        """The record of what runs wrote into the folder; nothing else in it is removed or replaced."""
        return Owned(self.path, self.path / _RECORD)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out.

        Raises:
            DataError: another run is writing there, or it holds a file where a run writes that no run wrote.
        """
        options = self.path / OPTIONS
        if not (options.exists() and (self.owned.lists(OPTIONS) or set(_SAME) <= read_json(options).keys())):
            self.owned.check(*_PARTS)
        self.path.mkdir(parents=True, exist_ok=True)
        with (self.path / _LOCK).open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise DataError(f"another run is writing to {self.path}\nhint: wait, or give another --out") from None
            yield

    def begin(self, values: Mapping[str, Any], *, restart: bool) -> None:
        """Says what the run is, or refuses when the folder holds another one.

        Args:
            values: options, budget, mixture, model, ranks, and what else is told of the run.
            restart: throws an earlier run away.

        Raises:
            DataError: it holds a run of other options.
        """
        path = self.path / OPTIONS
        values = json.loads(json.dumps(values))
        if restart:
            steps = [f"{CHECKPOINTS}/{path.name}" for path in self._numbered().values()]
            self.owned.remove(*(part for part in _PARTS if part != CHECKPOINTS), *steps)
        if path.exists():
            earlier = read_json(path)
            other = [
                f"{name}: {before!r} there, {now!r} now"
                for part in _SAME
                for name, before, now in _differences(part, earlier.get(part), values[part])
            ]
            if other and (self.checkpoints() or (self.path / ADAPTER).exists()):
                raise DataError(
                    f"{self.path} holds a run of other options ({'; '.join(other)})\n"
                    "hint: the same options go on with it; --out DIR is another run; --restart throws it away"
                )
            if other:
                # It left no step that could be lost: it failed, and what was wrong has been put right.
                self.owned.remove(PLAN)
        else:
            self.owned.claim(*_FIRST)
        if self.ended() is None:
            # A run of days shall not end on a file that it may not replace.
            self.owned.check(ADAPTER, f".{ADAPTER}", PACKS, *self._unfinished())
        write_json(path, values)

    def checkpoints(self) -> dict[int, Path]:
        """The whole checkpoints by step, increasing."""
        return {step: path for step, path in self._numbered().items() if (path / PROGRESS).is_file()}

    def _numbered(self) -> dict[int, Path]:
        """Every `checkpoint-N` by step, increasing; a folder of any other name is the user's."""
        found = {}
        for path in (self.path / CHECKPOINTS).glob("checkpoint-*"):
            number = path.name.removeprefix("checkpoint-")
            if number.isascii() and number.isdigit() and path.is_dir():
                found[int(number)] = path
        return dict(sorted(found.items()))

    def _unfinished(self) -> list[str]:
        """The checkpoints that were half written, as entries of the folder."""
        whole = self.checkpoints()
        return [f"{CHECKPOINTS}/{path.name}" for step, path in self._numbered().items() if step not in whole]

    def last(self) -> tuple[Path, dict[str, Any]] | None:
        """The last whole checkpoint, and how far it was: step, tokens, seconds. What was half written is removed.

        Raises:
            DataError: something half written was not written by a run.
        """
        self.owned.remove(*self._unfinished())
        whole = self.checkpoints()
        if not whole:
            return None
        path = whole[max(whole)]
        return path, read_json(path / PROGRESS)

    def starts_checkpoint(self, step: int) -> None:
        """Records that a checkpoint is about to be written."""
        self.owned.claim(f"{CHECKPOINTS}/checkpoint-{step}")

    def ends_checkpoint(self, step: int, values: Mapping[str, Any], keep: int, best: int | None) -> None:
        """Marks a checkpoint as whole, and removes the oldest of more than `keep`, but neither this one nor the best.

        The Trainer's own rotation would also remove a folder such as `checkpoint-500-copy`.
        """
        write_json(self.path / CHECKPOINTS / f"checkpoint-{step}" / PROGRESS, values)
        owned = self.owned
        owned.written(f"{CHECKPOINTS}/checkpoint-{step}")
        whole = self.checkpoints()
        rest = [number for number in whole if number not in (step, best)]
        for number in rest[: max(0, len(whole) - keep)]:
            # One that a user has put something into stays.
            with suppress(DataError):
                owned.remove(f"{CHECKPOINTS}/checkpoint-{number}")

    @contextmanager
    def staged(self, name: str) -> Iterator[Path]:
        """An empty folder that takes the place of the entry `name` when the block ends well.

        Raises:
            DataError: there is a file in that place that no run wrote.
        """
        owned, staging = self.owned, f".{name}"
        owned.check(name)
        owned.remove(staging)
        owned.claim(staging)
        (self.path / staging).mkdir()
        try:
            yield self.path / staging
            owned.remove(name)
            owned.claim(name)
            (self.path / staging).replace(self.path / name)
            owned.written(name)
        finally:
            owned.remove(staging)

    def plan(self) -> dict[str, Any] | None:
        """How many steps a run with a budget of time takes, once that is decided."""
        path = self.path / PLAN
        return read_json(path) if path.exists() else None

    def log(self, **values: Any) -> None:
        """Appends a line to the log."""
        line = json.dumps({name: _finite(value) for name, value in values.items()}, allow_nan=False)
        with (self.path / LOG).open("a", encoding="utf-8") as file:
            file.write(line + "\n")

    def lines(self) -> list[dict[str, Any]]:
        """The log; a last line that was half written is none."""
        path = self.path / LOG
        if not path.exists():
            return []
        found = []
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue
        return found

    def forget(self, step: int) -> None:
        """Drops what the log says of anything behind `step`; at step 0 all of it."""
        kept = [line for line in self.lines() if step and line["kind"] != "end" and line.get("step", 0) <= step]
        with atomic_path(self.path / LOG) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def ended(self) -> dict[str, Any] | None:
        """The log's last line, if the run came to its end and its adapter is there."""
        lines = self.lines()
        over = lines and lines[-1]["kind"] == "end" and lines[-1]["reason"] != "interrupted"
        return lines[-1] if over and (self.path / ADAPTER).is_dir() else None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object of a run's folder.

    Raises:
        DataError: it is none.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        values = None
    if not isinstance(values, dict):
        raise DataError(f"{path} is not what a run wrote\nhint: --restart throws the run away")
    return values


def write_json(path: Path, values: Any) -> None:
    """Writes a JSON file, or nothing."""
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")


def _differences(part: str, before: Any, now: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict):
        for name in [*now, *(name for name in before if name not in now)]:
            if before.get(name) != now.get(name):
                yield name, before.get(name), now.get(name)
    elif before != now:
        yield part, before, now


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
