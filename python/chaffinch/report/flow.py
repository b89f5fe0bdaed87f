"""The shape of the flow of rows: a band that narrows, and a strand peeling off wherever rows went."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

NARROWEST, WIDEST = 124, 200
WIDTH = 860
TOP = 54
TALLEST = 150
BEND = 14
MARGIN = 8
KEPT_ROOM = 130

# The stage whose removals are the rows that could not be read.
READ = "read"


@dataclass(frozen=True)
class Strand:
    """Rows that left at one step.

    Attributes:
        step: the stage's name, or "quarantine".
        rows: how many left.
        share: of the rows that came to this step.
        path: SVG path of the strand; empty when nothing left.
        x, y: where its label is centred, in the drawing's units.
        kind: "quarantined" or "removed".
    """

    step: str
    rows: int
    share: float
    path: str
    x: float
    y: float
    kind: str


@dataclass(frozen=True)
class Flow:
    """The drawing: size, the band's path, the strands, and where to write the rows alive after each step."""

    width: float
    height: float
    band: str
    strands: list[Strand]
    alive: list[tuple[float, int]]
    end: tuple[float, float]


def steps(manifest: Mapping[str, Any]) -> list[tuple[str, int, str]]:
    """What takes rows away, in order: the quarantine, then the stages up to the last that removed some."""
    quarantined = sum(source.get("quarantined", 0) for source in (manifest.get("sources") or {}).values())
    stages = [stage for stage in manifest.get("stages") or [] if stage["stage"] != READ]
    removed = [(stage["stage"], sum((stage.get("removed") or {}).values())) for stage in stages]
    # Stages such as format and write pass every row on; drawing them would only thin the picture.
    last = max((index for index, (_, rows) in enumerate(removed) if rows), default=-1)
    leaving = [(name, rows, "removed") for name, rows in removed[: last + 1]]
    return [("quarantine", quarantined, "quarantined"), *leaving] if quarantined else leaving


def draw(total: int, leaving: list[tuple[str, int, str]]) -> Flow | None:
    """Lays out the flow of `total` rows through `leaving`: (step, rows, kind) in order; None without rows."""
    if total <= 0:
        return None
    # Few steps take the room of many; more of them than fit make the drawing wider.
    spacing = min(max(WIDTH / (len(leaving) + 1), NARROWEST), WIDEST)
    widest = max((rows for _, rows, _ in leaving), default=0)
    scale = TALLEST / total
    if widest:
        # A strand turns downwards, so its thickness becomes width, which must leave room for the next step.
        scale = min(scale, 0.62 * spacing / widest)
    width = MARGIN + spacing * (len(leaving) + 1) + KEPT_ROOM
    floor = TOP + total * scale + BEND + 26
    alive, edge, strands, counts = total, [(float(MARGIN), TOP + total * scale)], [], [(float(MARGIN), total)]
    for index, (step, rows, kind) in enumerate(leaving):
        x = MARGIN + spacing * (index + 0.72)
        above, below = TOP + (alive - rows) * scale, TOP + alive * scale
        thick = max(rows * scale, 1.2) if rows else 0.0
        edge += [(x, below), (x, above)]
        label = x + BEND + thick / 2
        strands.append(
            Strand(
                step,
                rows,
                rows / alive if alive else 0.0,
                _strand(x, below, thick, floor),
                label,
                floor + 20,
                kind,
            )
        )
        alive -= rows
        counts.append((x + 6, alive))
    end = MARGIN + spacing * (len(leaving) + 0.72)
    edge.append((end, TOP + max(alive * scale, 1.2 if alive else 0)))
    lower = " ".join(f"L{x:.1f} {y:.1f}" for x, y in reversed(edge))
    band = f"M{MARGIN} {TOP} L{end:.1f} {TOP} {lower} Z"
    return Flow(width, floor + 64, band, strands, counts, (end + 12, TOP + max(alive * scale / 2, 4)))


def _strand(x: float, below: float, thick: float, floor: float) -> str:
    if not thick:
        return ""
    inner, outer = x + BEND, x + BEND + thick
    return (
        f"M{x:.1f} {below - thick:.1f} "
        f"A{BEND + thick:.1f} {BEND + thick:.1f} 0 0 1 {outer:.1f} {below + BEND:.1f} "
        f"L{outer:.1f} {floor:.1f} L{inner:.1f} {floor:.1f} L{inner:.1f} {below + BEND:.1f} "
        f"A{BEND} {BEND} 0 0 0 {x:.1f} {below:.1f} Z"
    )
