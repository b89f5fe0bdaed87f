"""Several processes that share a run."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import chaffinch as cf
from tests.train.made import train

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
    """Without dropout and noise, two processes of one row a pass are one of two."""
    plain = {"lora_dropout": 0.0, "neftune_alpha": None, "epochs": 1, "packing": False, "logging_steps": 4}
    together(2, built, tmp_path / "two", model, {**plain, "micro_batch": 1})
    log = [json.loads(line) for line in (tmp_path / "two" / "log.jsonl").read_text().splitlines()]
    (tmp_path / "one").mkdir()
    one = train(built, tmp_path / "one", model, **plain, micro_batch=2)
    assert log[0]["rows_per_step"] == one.log[0]["rows_per_step"] == 4
    assert log[-1]["tokens"] == one.tokens
    for kind, name in (("step", "loss"), ("eval", "eval_loss")):
        ours, theirs = (
            {line["step"]: line[name] for line in lines if line["kind"] == kind} for lines in (log, one.log)
        )
        assert list(ours) == list(theirs)
        if kind == "eval":
            assert list(ours.values()) == pytest.approx(list(theirs.values()), rel=0.15)
    with pytest.raises(cf.DataError, match="ranks: 2 there, 1 now"):
        train(built, tmp_path / "two", model, **plain, micro_batch=1)
