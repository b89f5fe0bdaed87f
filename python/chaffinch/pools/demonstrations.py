"""Which rows may stand before which as demonstrations."""

from typing import Any

import numpy as np
import numpy.typing as npt

from chaffinch import draw
from chaffinch.recipe.format import Demonstrations
from chaffinch.store import Rows

# More than are asked for: some are the row itself, are too long or do not fit its template.
SPARE = 3
KEY_BITS = 40
Numbers = npt.NDArray[np.uint32]


class Circle:
    """The rows that may be shown, each at a place that its content and the seed decide, in a circle for each group.

    A row asks for those that follow points of its own. So a row that comes or goes changes only the demonstrations of
    the few rows that had, or now have, it as one.

    Args:
        rows: the store.
        candidates: the row numbers that may be shown.
        spec: the recipe's.
        seed: the recipe's.
        threads: default all cores; the answer does not depend on it.
    """

    def __init__(
        self, rows: Rows, candidates: Numbers, spec: Demonstrations, seed: int, *, threads: int | None = None
    ) -> None:
        self._spec, self._seed = spec, seed
        # Groups are numbered by their first row, but nothing depends on the numbers: each circle is on its own.
        self._group = rows.codes(spec.within, threads=threads)
        key = draw.draws(draw.key("circle", seed), rows.hash_prefix(candidates), 1)[:, 0]
        place = self._place(self._group[candidates], key)
        order = np.lexsort((candidates, rows.hash_prefix(candidates), place))
        self._places, self._rows = place[order], candidates[order]

    def picks(self, asking: Numbers, content: npt.NDArray[np.uint64]) -> list[tuple[int, list[int]]]:
        """How many demonstrations each of the rows `asking` is to have, and which to try, in order.

        Args:
            asking: row numbers.
            content: the first eight bytes of each one's content hash.
        """
        spec = self._spec
        points = spec.max + SPARE
        drawn = draw.draws(draw.key("demonstrations", self._seed), content, 2 + points)
        few = (drawn[:, 0] >> np.uint64(11)).astype(np.float64) * 2.0**-53 < spec.share
        wanted = np.where(few, spec.min + (drawn[:, 1] % np.uint64(spec.max - spec.min + 1)).astype(np.int64), 0)
        group = self._group[asking]
        first = np.searchsorted(self._places, self._place(group, np.zeros(len(group), np.uint64)))
        last = np.searchsorted(self._places, self._place(group + 1, np.zeros(len(group), np.uint64)))
        at = np.searchsorted(self._places, self._place(group[:, None], drawn[:, 2:]))
        answer: list[tuple[int, list[int]]] = []
        for row, (start, end, number) in enumerate(zip(first.tolist(), last.tolist(), wanted.tolist(), strict=True)):
            found: list[int] = []
            if number and end > start:
                for place in at[row, : number + SPARE].tolist():
                    place = start + (place - start) % (end - start)
                    while place in found:
                        place = start + (place + 1 - start) % (end - start)
                    found.append(place)
                    if len(found) == end - start:
                        break
            answer.append((number, self._rows[found].tolist() if found else []))
        return answer

    @staticmethod
    def _place(group: Any, key: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
        place: npt.NDArray[np.uint64] = (group.astype(np.uint64) << np.uint64(KEY_BITS)) | (
            key >> np.uint64(64 - KEY_BITS)
        )
        return place
