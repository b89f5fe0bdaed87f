"""How a build shows its progress: bars on a terminal, plain lines in a log."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TYPE_CHECKING, TextIO

from chaffinch.progress import Progress
from chaffinch.report.numbers import count, duration, size

if TYPE_CHECKING:
    from rich.console import Console

SECONDS_BETWEEN_LINES = 10.0


@contextmanager
def shown_progress() -> Iterator[Progress]:
    """The progress to give to a build; it writes to stderr."""
    from chaffinch.cli.screen import console

    screen = console(stderr=True)
    if screen.is_terminal:
        bars = BarProgress(screen)
        with bars.live:
            yield bars
    else:
        yield PlainProgress(sys.stderr)


def amount(done: int, total: int | None, unit: str) -> str:
    """`1,200 / 5,000 rows`, `1.5 MiB / 3.0 MiB`."""
    write, suffix = (size, "") if unit == "bytes" else (count, f" {unit}")
    return f"{write(done)} / {write(total)}{suffix}" if total is not None else f"{write(done)}{suffix}"


def outcome(rows_out: int, removed: int, unit: str = "rows") -> str:
    """`4,000 rows, 1,000 removed`; what was read as bytes are rows, too."""
    done = f"{rows_out:,} {'rows' if unit == 'bytes' else unit}"
    return f"{done}, {removed:,} removed" if removed else done


class PlainProgress:
    """One line when a stage is done, and one now and then while it runs.

    Args:
        stream: where the lines go.
        seconds_between_lines: the least time between two lines of a running stage.
    """

    def __init__(self, stream: TextIO, seconds_between_lines: float = SECONDS_BETWEEN_LINES) -> None:
        self._stream = stream
        self._between = seconds_between_lines
        self._stage, self._total, self._unit, self._note = "", None, "", ""
        self._started = self._last = 0.0

    _total: int | None

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """See `Progress.start`."""
        self._stage, self._total, self._unit, self._note = stage, total, unit, ""
        self._started = self._last = perf_counter()

    def advance(self, done: int) -> None:
        """See `Progress.advance`."""
        now = perf_counter()
        if now - self._last >= self._between:
            self._last = now
            self._write(", ".join(filter(None, [amount(done, self._total, self._unit), self._note])))

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._note = text

    def finish(self, rows_out: int, removed: int) -> None:
        """See `Progress.finish`."""
        self._write(f"{outcome(rows_out, removed, self._unit)}, {duration(perf_counter() - self._started)}")

    def _write(self, text: str) -> None:
        self._stream.write(f"{self._stage + ':':<12} {text}\n")
        self._stream.flush()


class BarProgress:
    """A bar for each stage. `live` is the context in which the bars are drawn.

    Args:
        screen: the terminal.
    """

    def __init__(self, screen: "Console") -> None:
        from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

        self.live = Progress(
            TextColumn("{task.description:<12}"),
            BarColumn(bar_width=28, complete_style="blue", finished_style="blue"),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=screen,
        )
        self._task = TaskID(0)
        self._total: int | None = None
        self._unit = self._note = ""

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """See `Progress.start`."""
        self._total, self._unit, self._note = total, unit, ""
        self._task = self.live.add_task(stage, total=total, note="")

    def advance(self, done: int) -> None:
        """See `Progress.advance`."""
        said = ", ".join(filter(None, [amount(done, self._total, self._unit), self._note]))
        self.live.update(self._task, completed=done, note=said)

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        self._note = text

    def finish(self, rows_out: int, removed: int) -> None:
        """See `Progress.finish`."""
        # A stage found in the cache never advances, and one without rows has no total: both are done.
        total = self._total or 1
        self.live.update(self._task, total=total, completed=total, note=outcome(rows_out, removed, self._unit))
        self.live.stop_task(self._task)
