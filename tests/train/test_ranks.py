"""Several processes that share a run."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import chaffinch as cf
from tests.train.made import steps, train

pytest.importorskip("torch")

ONE = """
import sys, json, torch
torch.set_num_threads(1)
from tests.train.made import train
train(*sys.argv[1:4], **json.loads(sys.argv[4]))
"""


def together(ranks: int, built: Path, run: Path, model: str, options: dict[str, object]) -> None:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": str(ranks)}
    shared |= {"LOCAL_WORLD_SIZE": str(ranks), "GLOO_SOCKET_IFNAME": "lo"}
    command = [sys.executable, "-c", ONE, str(built), str(run), model, json.dumps(options)]
    processes = [
        subprocess.Popen(
            command,
            cwd=Path(__file__).parents[2],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
        )
        for rank in range(ranks)
    ]
    for process in processes:
        _, said = process.communicate(timeout=200)
        assert process.returncode == 0, said.decode()


@pytest.mark.slow
def test_two_processes_learn_what_one_would(built: Path, model: str, tmp_path: Path) -> None:
    """A step that holds the whole epoch is the same whoever has which row of it."""
    plain = {"lora_dropout": 0.0, "neftune_alpha": None, "epochs": 4, "packing": False, "gradient_accumulation": 200}
    together(2, built, tmp_path / "two", model, {**plain, "micro_batch": 1})
    log = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    one = train(built, tmp_path / "one", model, **plain, micro_batch=2)
    assert log[0]["rows_per_step"] == one.log[0]["rows_per_step"] == 400
    for ours, theirs in zip(steps(log), steps(one.log), strict=True):
        assert ours.pop("kind") == theirs.pop("kind")
        assert ours == pytest.approx(theirs, rel=1e-4)
    assert log[-1]["tokens"] == one.tokens
    with pytest.raises(cf.DataError, match="ranks: 2 there, 1 now"):
        train(built, tmp_path / "two", model, **plain, micro_batch=1)
