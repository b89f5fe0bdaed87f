"""Several processes that share a run."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from tests.train.made import steps, train

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

RANKS = 2
# What torchrun does, but that what takes seconds to import is imported once for all of them.
LAUNCHER = """
import json, os, socket, sys
import torch, transformers, peft
import chaffinch.train.run, chaffinch.train.trainer
from chaffinch.progress import NoProgress
from tests.train.made import train
from tests.train.test_resume import Stopper
torch.set_num_threads(1)
built, model, ranks, launches = sys.argv[1], sys.argv[2], int(sys.argv[3]), json.loads(sys.argv[4])
for run, stop, options in launches:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    children = []
    for rank in range(ranks):
        child = os.fork()
        if child:
            children.append(child)
            continue
        os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
        os.environ |= {"LOCAL_WORLD_SIZE": str(ranks), "RANK": str(rank), "LOCAL_RANK": str(rank)}
        try:
            # Ctrl-C reaches one of them only.
            train(built, run, model, progress=Stopper(stop) if stop and not rank else NoProgress(), **options)
            stopped = False
        except KeyboardInterrupt:
            stopped = True
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(3)
        os._exit(0 if stopped == bool(stop) else 4)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * ranks, run
"""
PLAIN: dict[str, Any] = {
    "lora_dropout": 0.0, "neftune_alpha": None, "epochs": 4, "packing": False, "gradient_accumulation": 200,
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(built: Path, model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The runs of two processes: `one-step`; `whole`; `stopped`, which is `whole` with a stop."""
    folder = tmp_path_factory.mktemp("ranks")
    short = {"epochs": 1}
    launches = [
        ["one-step", 0, PLAIN | {"micro_batch": 1}],
        ["whole", 0, short],
        ["stopped", 2, short],
        ["stopped", 0, short],
    ]
    named = json.dumps([[str(folder / name), stop, options] for name, stop, options in launches])
    done = subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(built), model, str(RANKS), named],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def logged(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


def test_two_processes_learn_what_one_would(runs: Path, built: Path, model: str, tmp_path: Path) -> None:
    """A step that holds the whole epoch is the same whoever has which row of it."""
    log = logged(runs / "one-step")
    one = train(built, tmp_path / "one", model, **PLAIN, micro_batch=2)
    assert log[0]["rows_per_step"] == one.log[0]["rows_per_step"] == 400
    for ours, theirs in zip(steps(log), steps(one.log), strict=True):
        assert ours.pop("kind") == theirs.pop("kind")
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert log[-1]["tokens"] == one.tokens
    with pytest.raises(cf.DataError, match="ranks: 2 there, 1 now"):
        train(built, runs / "one-step", model, **PLAIN, micro_batch=1)


def test_they_go_on_to_the_last_bit(runs: Path) -> None:
    kinds = [line["kind"] for line in logged(runs / "stopped")]
    assert "resume" in kinds
    assert steps(logged(runs / "stopped")) == steps(logged(runs / "whole"))
    weights = [(runs / run / "adapter" / "adapter_model.safetensors").read_bytes() for run in ("stopped", "whole")]
    assert weights[0] == weights[1]
