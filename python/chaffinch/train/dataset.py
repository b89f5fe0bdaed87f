"""Packs streamed to the processes and workers of a training run."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.utils.data import IterableDataset, get_worker_info

from chaffinch.errors import DataError


class PackedDataset(IterableDataset[dict[str, torch.Tensor]]):
    """The packs that `trainer: torch` wrote, as batches for a causal language model; nothing of them stays in memory.

    Give it to `DataLoader(dataset, batch_size=None, num_workers=...)`: it makes the batches itself, and their order is
    the same for any number of workers. An item is one step of one rank, a dict of three int64 tensors of shape (1,
    tokens): input_ids, labels (-100: not learned) and position_ids, which restart with each document. There is no
    attention mask, so that transformers keeps the documents apart; call the model with `use_cache=False`.

    Every pack comes once an epoch, to one rank and one worker. The order of an epoch depends on `seed` and the epoch
    alone. `start(epoch, step)` says where the next iteration begins, in running workers too; after an iteration the
    next epoch begins at its first step only when `start` says so.
    """

    def __init__(
        self,
        folder: str | Path,
        *,
        split: str = "train",
        packs_per_step: int = 1,
        shuffle: bool = True,
        seed: int = 0,
        rank: int | None = None,
        ranks: int | None = None,
    ) -> None:
        """Opens the packs.

        Args:
            folder: OUT/trainer of a build, or what `chaffinch pack --format torch` wrote.
            split: `train` or `validation`.
            packs_per_step: packs of one item, one behind the other; the last step of an epoch may have fewer.
            shuffle: in another order every epoch; packs that share a step of the ranks stay together.
            seed: decides the orders; from 0 to 2^64 - 1.
            rank: of this process; None: as torch.distributed says, or 0.
            ranks: processes; None: as torch.distributed says, or 1.

        Raises:
            DataError: no such packs, or a number of packs that the ranks cannot share evenly.
            ValueError: a number out of its range.
        """
        self._folder, self._split, self._shuffle, self._seed = Path(folder), split, shuffle, seed
        self.rank, self.ranks = _place(rank, ranks)
        if packs_per_step < 1 or not 0 <= seed < 2**64:
            raise ValueError(f"packs_per_step={packs_per_step}, seed={seed}\nhint: at least 1, and from 0 to 2^64 - 1")
        self.packs_per_step = packs_per_step
        self._maps: tuple[Any, Any, Any] | None = None
        index = self._open()[2]
        if len(index) % self.ranks:
            raise DataError(
                f"{self._folder}: {len(index):,} packs cannot be shared evenly by {self.ranks} ranks\n"
                f"hint: pack with ranks: {self.ranks}"
            )
        self._packs = len(index) // self.ranks
        # Shared, so that workers that live on see it.
        self._start = torch.zeros(2, dtype=torch.int64).share_memory_()

    def start(self, epoch: int, step: int = 0) -> None:
        """The next iteration is `epoch`, without its first `step` steps.

        Raises:
            ValueError: below 0, or more steps than an epoch has.
        """
        if epoch < 0 or not 0 <= step <= len(self):
            raise ValueError(f"epoch {epoch}, step {step}: an epoch has {len(self):,} steps\nhint: both count from 0")
        self._start[0], self._start[1] = epoch, step

    def __len__(self) -> int:
        """Steps of an epoch, for each rank the same."""
        return -(-self._packs // self.packs_per_step)

    def tokens_of(self, epoch: int) -> npt.NDArray[np.int64]:
        """Tokens of each step of an epoch, of all ranks together."""
        index = self._open()[2]
        ends = np.append(index["start"].to_numpy()[1:], _end(index))
        shared = (ends - index["start"].to_numpy()).astype(np.int64).reshape(self._packs, self.ranks).sum(axis=1)
        return np.add.reduceat(shared[self._order(epoch)], np.arange(0, self._packs, self.packs_per_step))

    def __iter__(self) -> Iterator[dict[str, torch.Tensor]]:
        epoch, step = self._start.tolist()
        worker = get_worker_info()
        first, every = (worker.id, worker.num_workers) if worker else (0, 1)
        order = self._order(epoch)
        for number in range(step + first, len(self), every):
            yield self._step(order[number * self.packs_per_step : (number + 1) * self.packs_per_step])

    def _order(self, epoch: int) -> npt.NDArray[np.int64]:
        if not self._shuffle:
            return np.arange(self._packs)
        # The raw stream of a bit generator never changes, other than what numpy draws from it.
        return np.argsort(np.random.Philox(key=[self._seed, epoch]).random_raw(self._packs), kind="stable")

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_maps": None}

    def _open(self) -> tuple[Any, Any, Any]:
        if self._maps is None:
            path = self._folder / f"{self._split}.index.arrow"
            try:
                index = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
                maps = [
                    np.memmap(self._folder / f"{self._split}.{name}.bin", "<i4", "r") if len(index) else np.empty(0)
                    for name in ("input_ids", "labels")
                ]
            except FileNotFoundError as error:
                hint = "give the folder that a build with `trainer: torch`, or `pack --format torch`, wrote"
                raise DataError(f"{self._folder} has no packs of split {self._split}\nhint: {hint}") from error
            tokens = _end(index)
            if any(len(one) != tokens for one in maps):
                raise DataError(f"{path} tells of {tokens:,} tokens, the .bin files hold others\nhint: pack again")
            self._maps = (*maps, index.combine_chunks())
        return self._maps

    def _step(self, packs: Any) -> dict[str, torch.Tensor]:
        ids, labels, index = self._open()
        parts: dict[str, list[Any]] = {"input_ids": [], "labels": [], "position_ids": []}
        for number in (packs * self.ranks + self.rank).tolist():
            start = index["start"][number].as_py()
            lengths = index["seq_lengths"][number].values.to_numpy()
            end = start + int(lengths.sum())
            parts["input_ids"].append(ids[start:end])
            parts["labels"].append(labels[start:end])
            parts["position_ids"] += [np.arange(length) for length in lengths.tolist()]
        return {name: torch.from_numpy(np.concatenate(some).astype(np.int64))[None] for name, some in parts.items()}


def _place(rank: int | None, ranks: int | None) -> tuple[int, int]:
    together = torch.distributed.is_available() and torch.distributed.is_initialized()
    if rank is None:
        rank = torch.distributed.get_rank() if together else 0
    if ranks is None:
        ranks = torch.distributed.get_world_size() if together else 1
    if not 0 <= rank < ranks:
        raise ValueError(f"rank {rank} of {ranks} ranks\nhint: ranks count from 0")
    return rank, ranks


def _end(index: Any) -> int:
    if not len(index):
        return 0
    return int(index["start"][-1].as_py() + index["seq_lengths"][-1].values.to_numpy().sum())
