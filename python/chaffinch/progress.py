"""How a build tells whoever watches it how far it is."""

from typing import Protocol


class Progress(Protocol):
    """Receives one `start`, any number of `advance` and one `finish` per stage, one stage after the other."""

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """A stage begins.

        Args:
            stage: the stage's name, as the recipe has it.
            total: how many units there are to do, or None when that is not known.
            unit: what is counted, in the plural: `rows`, `bytes`.
        """

    def advance(self, done: int) -> None:
        """So many units are done since the stage's start: an absolute count that never falls."""

    def note(self, text: str) -> None:
        """How the stage under way goes, in a few words: its speed and the time left."""

    def finish(self, rows_out: int, removed: int) -> None:
        """The stage is done: so many rows go on, so many went."""


class NoProgress:
    """Watches nothing."""

    def start(self, stage: str, total: int | None, unit: str) -> None:
        """Nothing."""

    def advance(self, done: int) -> None:
        """Nothing."""

    def note(self, text: str) -> None:
        """Nothing."""

    def finish(self, rows_out: int, removed: int) -> None:
        """Nothing."""
