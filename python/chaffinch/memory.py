"""How much memory a build took of its own: mapped files do not count."""

import resource
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Self

_STATUS = Path("/proc/self/status")
_INTERVAL_SECONDS = 0.1


class PeakMemory:
    """Watches the process's anonymous memory (Linux's RssAnon) while the block runs; else its peak resident set."""

    def __init__(self) -> None:
        self._peak = 0
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._look()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def peak(self) -> int:
        """Bytes, the most seen so far."""
        self._look()
        return self._peak

    def _watch(self) -> None:
        while not self._stop.wait(_INTERVAL_SECONDS):
            self._look()

    def _look(self) -> None:
        if _STATUS.is_file():
            line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("RssAnon"))
            now = int(line.split()[1]) * 1024
        else:
            now = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        self._peak = max(self._peak, now)
