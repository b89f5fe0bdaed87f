"""A build's mixture as its trainer takes it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from chaffinch.handover.forms import finish, write_documents, write_packs
from chaffinch.handover.packs import Packs
from chaffinch.handover.text import write_text
from chaffinch.output import PACKS, TRAINER
from chaffinch.packing import outputs, write_places
from chaffinch.progress import Progress
from chaffinch.recipe.model import PACKED, TOKENISED, Recipe
from chaffinch.stages.format import Prepare
from chaffinch.stages.tokenize import Documents
from chaffinch.stages.write import Written
from chaffinch.store import Rows

Numbers = npt.NDArray[Any]


def hand_over(
    staging: Path,
    recipe: Recipe,
    rows: Rows,
    splits: Mapping[str, Numbers],
    documents: Documents | None,
    *,
    prepare: Prepare,
    threads: int,
    progress: Progress,
) -> dict[str, Any]:
    """Writes what the recipe's `write.trainer` asks for.

    Args:
        staging: where `trainer/` and, of packs, `packs.parquet` go.
        recipe: the recipe.
        rows: the store.
        splits: split name -> row numbers in output order.
        documents: them as tokens, for the trainers that take tokens.
        prepare: what puts rows in the words of the mixture.
        threads: files written at the same time.
        progress: told how far it is.

    Returns:
        Values for the manifest: `trainer_outputs`, and `pack` where there are packs.
    """
    trainer, folder = recipe.write.trainer, staging / TRAINER
    assert trainer is not None
    written: list[Written] = []
    if trainer not in TOKENISED:
        progress.start("hand over", sum(map(len, splits.values())), "rows")
        done = 0
        for split, numbers in splits.items():
            base = done

            def advance(units: int, base: int = base) -> None:
                progress.advance(base + units)

            written.append(write_text(trainer, folder, split, rows, numbers, prepare, advance=advance))
            done += len(numbers)
        progress.finish(done, 0)
        return {"trainer_outputs": outputs(written, folder)}
    assert documents is not None
    compression = recipe.write.compression
    if trainer not in PACKED:
        progress.start("hand over", len(documents.row), "documents")
        for split, numbers in splits.items():
            written += write_documents(folder, split, documents.tokens, documents.of(numbers), compression=compression)
        progress.finish(len(documents.row), 0)
        return {"trainer_outputs": outputs(written, folder)}
    assert recipe.pack is not None
    packed = {
        split: Packs(documents.tokens, documents.of(numbers), recipe.pack, recipe.seed)
        for split, numbers in splits.items()
    }
    progress.start("pack", sum(packs.count for packs in packed.values()), "packs")
    done = 0
    for split, packs in packed.items():
        base = done

        def advance_packs(units: int, base: int = base) -> None:
            progress.advance(base + units)

        written += write_packs(
            trainer,
            folder,
            split,
            packs,
            recipe.pack.length,
            compression=compression,
            threads=threads,
            advance=advance_packs,
        )
        done += packs.count
    finish(trainer, folder, written)

    def names(numbers: Numbers) -> tuple[pa.Array, Numbers]:
        return rows.ids(documents.row[numbers]), documents.part[numbers]

    write_places(staging / PACKS, [(split, packs, names) for split, packs in packed.items()])
    progress.finish(done, 0)
    summaries = {split: packs.summary() for split, packs in packed.items()}
    return {
        "trainer_outputs": outputs(written, folder),
        "pack": {**recipe.pack.model_dump(), "seed": recipe.seed, "splits": summaries},
    }
