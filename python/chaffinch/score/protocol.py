"""What an answerer is: something that completes prompts and says what its answers depend on."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True)
class Batch:
    """What became of some prompts, by their index.

    Attributes:
        answers: the text before the end mark.
        refused: why there will never be an answer, such as a prompt longer than the model takes.
        failed: why there is none this time.
        tokens: how many were read and written for it, as far as that is known.
    """

    answers: Mapping[int, str] = field(default_factory=dict)
    refused: Mapping[int, str] = field(default_factory=dict)
    failed: Mapping[int, str] = field(default_factory=dict)
    tokens: int = 0


class Ending(Protocol):
    """When an answer ends."""

    @property
    def max_new_tokens(self) -> int:
        """After so many tokens, at the latest."""

    @property
    def ends_at(self) -> str | None:
        """The answer is the text before it; None: only the model itself ends it sooner."""


class Model(Protocol):
    """Completes prompts. `nearest` is none: it answers rows without asking anybody."""

    def complete(self, prompts: Sequence[str]) -> Iterator[Batch]:
        """Gives every prompt's outcome once, in batches and in any order.

        An answer depends on its prompt and on the model's identity alone, not on what else is asked.

        Raises:
            DataError: nothing can be answered at all.
        """


def identity(kind: str, **depends: Any) -> dict[str, Any]:
    """What the answers of a model depend on besides the prompt, as JSON values: the name of its store of answers."""
    return {"kind": kind, **depends}


def before(text: str, end: str | None) -> str:
    """The text before the first `end`, or all of it; lone surrogates, as from a server, are replaced."""
    return (text if end is None else text.split(end, 1)[0]).encode("utf-8", "replace").decode()
