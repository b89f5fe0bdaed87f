"""Where a run's packs come from: the build's own, or made of its mixture for this model."""

import json
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from chaffinch.cache import atomic_path, key_of, report_damage
from chaffinch.errors import DataError
from chaffinch.handover.documents import Documents
from chaffinch.handover.forms import write_packs
from chaffinch.handover.packs import Packs
from chaffinch.output import TRAINER
from chaffinch.packing import choose
from chaffinch.progress import Progress
from chaffinch.recipe.load import load_recipe
from chaffinch.recipe.pack import Pack
from chaffinch.result import Result
from chaffinch.stages.tokenize import tokenize
from chaffinch.store import hash_file
from chaffinch.tokenizer_files import TokenizerFiles, load_tokenizer
from chaffinch.train.folder import Folder
from chaffinch.train.options import Options

SPLITS = ("train", "validation")
_TEXTS = ["instruction", "input", "output", "messages"]
_KEY = "packs.json"


@dataclass(frozen=True)
class Split:
    """A split as it is trained on.

    Attributes:
        packs: rows of the batch: packs, or documents.
        documents: in them.
        tokens: of them; none is padding.
        left: documents and rows that are not in them, by reason.
    """

    packs: int
    documents: int
    tokens: int
    left: dict[str, int]


@dataclass(frozen=True)
class Packed:
    """A run's packs.

    Attributes:
        folder: for `PackedDataset`.
        made: whether they were made for this run; else the build wrote them.
        splits: train, and validation where the mixture has one.
    """

    folder: Path
    made: bool
    splits: dict[str, Split]


def load_model_tokenizer(model: str) -> TokenizerFiles:
    """The tokenizer that lies beside a model.

    Raises:
        DataError: there is none.
    """
    try:
        return load_tokenizer(model)
    except FileNotFoundError:
        hint = "hint: save it with the tokenizer's save_pretrained; packs are made of its tokenizer.json"
        raise DataError(f"{model} has no tokenizer\n{hint}") from None


def packs_of(result: Result, options: Options, folder: Path, ranks: int, progress: Progress) -> Packed:
    """The packs that a build wrote, where they are what the options say, else such as are made of its mixture.

    Args:
        result: the build.
        options: say model, template and length.
        folder: where packs are made; what lies there of the same mixture and options is taken as it is.
        ranks: GPUs that share the packs evenly.
        progress: told how far it is.

    Raises:
        DataError: the model has no tokenizer, or no row has a token to learn.
        RecipeError: template and tokenizer do not fit.
    """
    files = load_model_tokenizer(options.model)
    if _are_the_same(result, options, files, ranks):
        splits = {
            name: Split(one["packs"], one["documents"], one["tokens"], {})
            for name, one in result.summary["pack"]["splits"].items()
            if one["packs"]
        }
        return Packed(result.out / TRAINER, False, splits)
    said = options.model_dump(include={"template", "length", "packing", "too_long", "train_on", "seed"})
    key = key_of(result.summary["outputs"], files.key(), said, options.validation_rows, ranks)
    if (kept := _kept(folder, key)) is not None:
        return Packed(folder, True, kept)
    owned = Folder(folder.parent).owned
    owned.remove(folder.name)
    owned.claim(folder.name)
    there = [name for name in SPLITS if any(one["split"] == name for one in result.summary["outputs"])]
    made = {name: _made(result, name, options, folder, ranks, progress) for name in there}
    if "train" not in made or not made["train"].packs:
        left = ", ".join(f"{reason}: {rows:,}" for reason, rows in made["train"].left.items()) if made else ""
        hint = "hint: `--set length=...` for longer ones; only answers have labels, unless train_on=all"
        if not left:
            hint = "hint: look at its report for what removed them"
        raise DataError(f"{result.out} has no row to learn from ({left or 'it is empty'})\n{hint}")
    splits = {name: split for name, split in made.items() if split.packs}
    with atomic_path(folder / _KEY) as temporary:
        counts = {name: asdict(one) for name, one in splits.items()}
        temporary.write_text(json.dumps({"key": key, "splits": counts, "files": _hashes(folder)}))
    owned.written(folder.name)
    return Packed(folder, True, splits)


def _are_the_same(result: Result, options: Options, files: TokenizerFiles, ranks: int) -> bool:
    recipe = load_recipe(result.summary["recipe"])
    tokens, pack = recipe.tokenize, recipe.pack
    if recipe.write.trainer != "torch" or tokens is None or pack is None or not options.packing:
        return False
    splits = result.summary["pack"]["splits"]
    validation = splits.get("validation", {"documents": 0})["documents"]
    if (
        recipe.format.template != options.template
        or recipe.format.marks not in (None, "keep")
        or (tokens.train_on, tokens.too_long) != (options.train_on, options.too_long)
        or not tokens.max_length == pack.length == options.length
        or pack.pad_to_multiple_of != 1
        or any(one["packs"] % ranks for one in splits.values())
        # A part of the validation split is packed by itself.
        or (options.validation_rows is not None and validation > options.validation_rows)
    ):
        return False
    try:
        return load_tokenizer(tokens.tokenizer).key() == files.key()
    except (OSError, ValueError):
        return False


def _kept(folder: Path, key: str) -> dict[str, Split] | None:
    try:
        found = json.loads((folder / _KEY).read_text("utf-8"))
        if found["key"] != key:
            return None
        kept = {name: Split(**one) for name, one in found["splits"].items()}
        sound = found["files"] == _hashes(folder)
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError, AttributeError):
        sound = False
    if not sound:
        report_damage(folder)
        return None
    return kept


def _hashes(folder: Path) -> dict[str, str]:
    """Of each file of packs, the hash of what it holds."""
    return {path.name: hash_file(path) for path in sorted(folder.iterdir()) if path.suffix in (".bin", ".arrow")}


def _made(result: Result, split: str, options: Options, folder: Path, ranks: int, progress: Progress) -> Split:
    rows = _rows(result, split)
    if split == "validation" and options.validation_rows is not None:
        rows = rows.slice(0, options.validation_rows)
    progress.start("tokenize", len(rows), "rows")
    found = tokenize(
        rows,
        options.model,
        template=options.template,
        max_length=options.length,
        too_long=options.too_long,
        train_on=options.train_on,
        progress=progress.advance,
    )
    documents = Documents(found.table)
    numbers, left = choose(documents, options.length)
    progress.finish(len(numbers), len(found.dropped))
    counts = Counter(found.dropped["reason"].to_pylist()) + Counter(left.counts())
    if not options.packing and len(numbers) % ranks:
        counts["no_row_for_every_gpu"] = len(numbers) % ranks
        numbers = numbers[: len(numbers) - len(numbers) % ranks]
    if not len(numbers):
        return Split(0, 0, 0, dict(counts))
    spec = Pack(length=options.length, ranks=ranks)
    packs = (Packs if options.packing else _Singles)(documents, numbers, spec, options.seed)
    progress.start("pack", packs.count, "packs")
    write_packs("torch", folder, split, packs, spec.length, advance=progress.advance)
    progress.finish(packs.count, 0)
    return Split(packs.count, len(packs.document), packs.tokens, dict(counts))


class _Singles(Packs):
    """Documents each in a pack of its own."""

    def __init__(self, documents: Documents, numbers: npt.NDArray[Any], spec: Pack, seed: int) -> None:  # noqa: ARG002
        self.documents, self._spec = documents, spec
        self.document = np.asarray(numbers)
        self.count = len(self.document)
        self.pack, self.offset = np.arange(self.count), np.zeros(self.count, np.uint32)
        self.tokens = int(documents.lengths[numbers].sum(dtype=np.int64))
        self.fill, self.lower_bound = 1.0, self.count
        self._first = np.arange(self.count + 1)


def _rows(result: Result, split: str) -> pa.Table:
    """The rows of a split, each once: where a build's own documents were parts of a row, it has a line for each."""
    table = result.split(split)
    if "part" in table.column_names:
        table = table.filter(pc.equal(table["part"], 0))
    return table.select(_TEXTS)
