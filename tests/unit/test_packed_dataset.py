"""Packs streamed to ranks and workers."""

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import chaffinch as cf
from chaffinch.handover.documents import Documents
from chaffinch.handover.forms import write_packs
from chaffinch.handover.packs import Packs
from chaffinch.recipe.pack import Pack

torch = pytest.importorskip("torch")

# Workers are forked; pyarrow's and torch's threads are idle here.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
RANKS = 3
LENGTH = 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packs for three ranks; each document is its number, over and over."""
    path = tmp_path_factory.mktemp("packs")
    lengths = np.random.default_rng(0).integers(2, 20, 120).tolist()
    ids = [[number] * length for number, length in enumerate(lengths)]
    found = Documents(pa.table({"input_ids": ids, "labels": ids}))
    write_packs("torch", path, "train", Packs(found, np.arange(len(ids)), Pack(length=LENGTH, ranks=RANKS), 5), LENGTH)
    return path


def items(dataset: Any, workers: int = 0) -> list[dict[str, Any]]:
    context = "fork" if workers else None
    loader = torch.utils.data.DataLoader(dataset, batch_size=None, num_workers=workers, multiprocessing_context=context)
    return [{name: tuple(tensor[0].tolist()) for name, tensor in one.items()} for one in loader]


def numbers(found: list[dict[str, Any]]) -> Counter[int]:
    return Counter(number for one in found for number in set(one["input_ids"]))


@pytest.mark.parametrize("workers", [0, 1, 2])
@pytest.mark.parametrize("packs_per_step", [1, 3])
def test_every_document_once_over_ranks_and_workers(folder: Path, workers: int, packs_per_step: int) -> None:
    found, steps = [], set()
    for rank in range(RANKS):
        dataset = cf.PackedDataset(folder, packs_per_step=packs_per_step, rank=rank, ranks=RANKS)
        got = items(dataset, workers)
        steps.add((len(got), len(dataset)))
        found += got
    assert len(steps) == 1
    assert len(set(steps.pop())) == 1
    assert numbers(found) == Counter(range(120))
    for one in found:
        tokens = np.array(one["input_ids"])
        begins = np.flatnonzero(np.diff(tokens, prepend=-1))
        assert np.array_equal(np.flatnonzero(np.array(one["position_ids"]) == 0), begins)
        assert np.array_equal(np.flatnonzero(np.array(one["labels"]) == -100), begins)
        assert len(tokens) <= LENGTH * packs_per_step


def test_workers_do_not_change_the_order(folder: Path) -> None:
    orders = [items(cf.PackedDataset(folder, seed=3), workers) for workers in (0, 1, 2)]
    assert orders[0] == orders[1] == orders[2]


def test_epochs_and_seeds_have_their_own_orders(folder: Path) -> None:
    orders = []
    for seed, epoch in [(0, 0), (0, 1), (1, 0)]:
        dataset = cf.PackedDataset(folder, seed=seed)
        dataset.start(epoch)
        orders.append(items(dataset))
        assert items(dataset) == orders[-1], "the same again"
    assert len({str(order) for order in orders}) == 3
    assert len({str(sorted(map(str, order))) for order in orders}) == 1
    plain = cf.PackedDataset(folder, shuffle=False)
    plain.start(7)
    assert items(plain) == items(cf.PackedDataset(folder, shuffle=False))


@pytest.mark.parametrize("workers", [0, 2])
def test_goes_on_at_a_step(folder: Path, workers: int) -> None:
    dataset = cf.PackedDataset(folder, rank=1, ranks=RANKS)
    dataset.start(2)
    whole = items(dataset)
    for step in (0, 1, 5, len(dataset)):
        dataset.start(2, step)
        assert items(dataset, workers) == whole[step:]


def test_workers_that_live_on_hear_of_it(folder: Path) -> None:
    dataset = cf.PackedDataset(folder)
    loader = torch.utils.data.DataLoader(
        dataset, batch_size=None, num_workers=2, persistent_workers=True, multiprocessing_context="fork"
    )
    first = [tuple(one["input_ids"][0].tolist()) for one in loader]
    dataset.start(1, 4)
    second = [tuple(one["input_ids"][0].tolist()) for one in loader]
    assert len(second) == len(first) - 4
    assert second != first[4:]
    dataset.start(0)
    assert [tuple(one["input_ids"][0].tolist()) for one in loader] == first


def test_packs_of_a_step_stay_together(folder: Path) -> None:
    dealt = [items(cf.PackedDataset(folder, rank=rank, ranks=RANKS, shuffle=False)) for rank in range(RANKS)]
    together = {tuple(one["input_ids"] for one in step) for step in zip(*dealt, strict=True)}
    shuffled = [items(cf.PackedDataset(folder, rank=rank, ranks=RANKS, seed=9)) for rank in range(RANKS)]
    assert {tuple(one["input_ids"] for one in step) for step in zip(*shuffled, strict=True)} == together


def test_refusals(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(cf.DataError, match="cannot be shared evenly by 32 ranks\nhint: pack with ranks: 32"):
        cf.PackedDataset(folder, rank=0, ranks=32)
    with pytest.raises(cf.DataError, match="no packs of split train\nhint: "):
        cf.PackedDataset(tmp_path)
    with pytest.raises(ValueError, match="rank 3 of 3"):
        cf.PackedDataset(folder, rank=3, ranks=3)
    with pytest.raises(ValueError, match="packs_per_step=0"):
        cf.PackedDataset(folder, packs_per_step=0)
    dataset = cf.PackedDataset(folder)
    with pytest.raises(ValueError, match=r"an epoch has \d+ steps"):
        dataset.start(0, len(dataset) + 1)


def test_cut_files_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        content = file.read_bytes()
        (tmp_path / file.name).write_bytes(content[:-4] if file.name == "train.labels.bin" else content)
    with pytest.raises(cf.DataError, match=r"the \.bin files hold others\nhint: pack again"):
        cf.PackedDataset(tmp_path)
