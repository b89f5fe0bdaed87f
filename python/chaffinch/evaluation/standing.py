"""How an evaluation set stands to the mixture that a model was trained on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pyarrow.compute as pc
import pyarrow.parquet as pq

from chaffinch.evaluation_sets import lookup
from chaffinch.output import CONTAMINATION, LEDGER, manifest

Status = Literal["not told", "not looked for", "clean", "contaminated", "held-in"]


@dataclass(frozen=True)
class Standing:
    """What a mixture has of an evaluation set.

    Attributes:
        status: `not told`: no mixture was named; `not looked for`: its build did not compare; `clean`: no item is in
            it; `contaminated`: items of this split are; `held-in`: items of another split of the same set are.
        items: the items of this split that rows of the mixture hold.
    """

    status: Status
    items: frozenset[str] = frozenset()


class Mixture:
    """A finished build, or none.

    Args:
        folder: the build's output folder.

    Raises:
        DataError: it holds no finished build.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._manifest: dict[str, Any] = {} if folder is None else manifest(folder)
        self._items: dict[str, frozenset[str]] = {} if folder is None else _items(folder)

    def standing(self, name: str) -> Standing:
        """How the set of this name, as in `mmlu/test`, stands to the mixture."""
        if self._folder is None:
            return Standing("not told")
        own = self._items.get(name, frozenset())
        if own:
            return Standing("contaminated", own)
        if any(other.partition("/")[0] == name.partition("/")[0] for other, items in self._items.items() if items):
            return Standing("held-in")
        looked_for = name in self._items or name in self._looked_for()
        return Standing("clean" if looked_for else "not looked for")

    def standings(self) -> dict[str, Standing]:
        """By name, every set that the build compared with."""
        return {name: self.standing(name) for name in sorted({*self._items, *self._looked_for()})}

    def named(self) -> dict[str, Any] | None:
        """The mixture, as results name it."""
        if self._folder is None:
            return None
        return {"folder": str(self._folder), "rows": self._manifest.get("kept"), "outputs": self._outputs()}

    def _outputs(self) -> list[str]:
        return [one["hash"] for one in self._manifest.get("outputs") or []]

    def _looked_for(self) -> set[str]:
        """The splits that the build compared with; of those that a set's name alone means, the ones that were there."""
        spec = (self._manifest.get("recipe") or {}).get("decontaminate") or {}
        names = set()
        for against in spec.get("against") or []:
            meant = lookup(against["name"].removeprefix("hub:")) or []
            names |= {f"{entry.name}/{split.name}" for entry, split in meant}
        for warning in self._manifest.get("warnings") or []:
            if warning.startswith("not decontaminated against "):
                missing = warning.removeprefix("not decontaminated against ").partition(":")[0].split(", ")
                names = {name for name in names if name not in missing and name.partition("/")[0] not in missing}
        return names


def _items(folder: Path) -> dict[str, frozenset[str]]:
    """By evaluation set, the items that rows of the mixture hold: what was found, less the rows that went."""
    path = folder / CONTAMINATION
    if not path.is_file():
        return {}
    found = pq.read_table(path, columns=["row_id", "evaluation_set", "item", "removed"])
    gone = pq.read_table(folder / LEDGER, columns=["row_id"])["row_id"]
    stays = pc.invert(pc.is_in(found["row_id"], value_set=gone.combine_chunks()))
    kept = found.filter(pc.and_(stays, pc.invert(found["removed"])))
    items: dict[str, set[str]] = {name: set() for name in found["evaluation_set"].to_pylist()}
    for row in kept.select(["evaluation_set", "item"]).to_pylist():
        items[row["evaluation_set"]].add(row["item"])
    return {name: frozenset(own) for name, own in items.items()}
