"""The way through: which stages run in which order, what each costs when little has changed, and that no row vanishes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chaffinch import cache
from chaffinch.decisions import Decisions
from chaffinch.progress import Progress
from chaffinch.recipe.model import Recipe
from chaffinch.store import Rows

# Raise it when a stage comes to decide otherwise: every decision kept by an older version is then taken again.
DECISIONS_VERSION = 1


@dataclass(frozen=True)
class Stage:
    """A choosing stage as the pipeline sees it.

    Attributes:
        name: the word it has in the recipe, the ledger and the manifest.
        depends_on: JSON values that, with the rows still in, determine its decisions.
        run: takes the rows still in (sorted uint32) and decides.
    """

    name: str
    depends_on: Any
    run: Callable[[np.ndarray], Decisions]


@dataclass(frozen=True)
class Step:
    """What one stage did."""

    stage: str
    rows_in: int
    decisions: Decisions
    seconds: float
    cached: bool

