"""A run that was stopped or killed goes on as if nothing had been."""

import json
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from chaffinch.progress import NoProgress
from chaffinch.train.export import merge
from chaffinch.train.folder import Folder
from tests.train.made import TINY, save_model, steps, train

STEPS = 24
SHORT: dict[str, Any] = {"epochs": 2}
KILLED = """
import os, signal, sys, json
import torch
from chaffinch.progress import NoProgress
from chaffinch.train.export import merge
from chaffinch.train.folder import Folder
from tests.train.made import train
torch.set_num_threads(1)
class Killer(NoProgress):
    def advance(self, done):
        if done == 7:
            os.kill(os.getpid(), signal.SIGKILL)
train(*sys.argv[1:4], progress=Killer(), **json.loads(sys.argv[4]))
"""


class Stopper(NoProgress):
    """Ctrl-C in the step behind so many: the run ends with it."""

    def __init__(self, after: int) -> None:
        self.after, self.stage = after, ""

    def start(self, stage: str, total: int | None, unit: str) -> None:  # noqa: ARG002
        self.stage = stage

    def advance(self, done: int) -> None:
        if self.stage == "train" and done == self.after:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def undisturbed(built: Path, model: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    done = train(built, tmp_path_factory.mktemp("undisturbed"), model, **SHORT)
    assert done.steps == STEPS
    return done.path


def weights(run: Path) -> bytes:
    return (run / "adapter" / "adapter_model.safetensors").read_bytes()


def log(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()]


@pytest.mark.parametrize("stops", [[1], [6, 9, 10], [11], [22]])
def test_goes_on_to_the_last_bit(stops: list[int], undisturbed: Path, built: Path, model: str, tmp_path: Path) -> None:
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            train(built, tmp_path / "run", model, progress=Stopper(stop), **SHORT)
        assert log(tmp_path / "run")[-1]["reason"] == "interrupted"
        assert not (tmp_path / "run" / "adapter").exists()
    done = train(built, tmp_path / "run", model, **SHORT)
    assert steps(done.log) == steps(log(undisturbed))
    assert weights(done.path) == weights(undisturbed)
    assert [line["kind"] for line in done.log if line["kind"] in ("start", "resume", "end")] == [
        "start", *(["resume"] * len(stops)), "end",
    ]  # fmt: skip


def test_goes_on_after_kill_9(undisturbed: Path, built: Path, model: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    arguments = [sys.executable, "-c", KILLED, str(built), str(run), model, json.dumps(SHORT)]
    killed = subprocess.run(arguments, cwd=Path(__file__).parents[2], check=False, capture_output=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    assert max(line["step"] for line in log(run)) == 6, "behind the checkpoint of step 4"
    # As if it had been killed in the middle of the next checkpoint, and of a line.
    half = run / "checkpoints" / "checkpoint-8"
    half.mkdir()
    (half / "trainer_state.json").write_text('{"global_st')
    with pytest.raises(cf.DataError, match=r"checkpoint-8/trainer_state\.json would be replaced .*\nhint: move it"):
        train(built, run, model, **SHORT)
    (half / "trainer_state.json").unlink()
    Folder(run).starts_checkpoint(8)
    (half / "trainer_state.json").write_text('{"global_st')
    with (run / "log.jsonl").open("a") as file:
        file.write('{"kind": "step", "st')
    done = train(built, run, model, **SHORT)
    assert [line["step"] for line in done.log if line["kind"] == "resume"] == [4]
    assert steps(done.log) == steps(log(undisturbed))
    assert weights(run) == weights(undisturbed)


def test_killed_before_the_first_checkpoint(undisturbed: Path, built: Path, model: str, tmp_path: Path) -> None:
    class Broken(NoProgress):
        def note(self, text: str) -> None:
            if text.startswith("loss"):
                raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk"):
        train(built, tmp_path / "run", model, progress=Broken(), **SHORT)
    done = train(built, tmp_path / "run", model, **SHORT)
    assert steps(done.log) == steps(log(undisturbed))


def test_what_the_user_put_into_the_folder_stays(built: Path, model: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # The names of half a checkpoint, and of one that the Trainer's own rotation would remove.
    for name in ("checkpoint-1-good", "checkpoint-best", "notes"):
        (run / "checkpoints" / name).mkdir(parents=True)
        (run / "checkpoints" / name / "own.txt").write_text("mine")
    with pytest.raises(cf.DataError, match=r"checkpoints/checkpoint-1-good/own\.txt would be replaced or removed"):
        train(built, run, model, **SHORT)
    (run / "checkpoints").rename(tmp_path / "kept")
    with pytest.raises(KeyboardInterrupt):
        train(built, run, model, progress=Stopper(5), **SHORT, keep_checkpoints=2)
    for name in ("checkpoint-1-good", "checkpoint-best", "notes"):
        (tmp_path / "kept" / name).rename(run / "checkpoints" / name)
    done = train(built, run, model, **SHORT, keep_checkpoints=2)
    assert {path.name for path in (run / "checkpoints").iterdir() if path.name[-1].isdigit()} <= {
        f"checkpoint-{done.best_step}",
        f"checkpoint-{STEPS - 4}",
        f"checkpoint-{STEPS}",
    }
    (run / "adapter" / "notes.txt").write_text("mine")
    with pytest.raises(cf.DataError, match=r"adapter/notes\.txt would be replaced or removed"):
        train(built, run, model, **SHORT, restart=True)
    assert (run / "adapter" / "adapter_model.safetensors").exists()
    (run / "adapter" / "notes.txt").rename(run / "notes.txt")
    train(built, run, model, **SHORT, restart=True)
    own = ["checkpoints/checkpoint-1-good/own.txt", "checkpoints/checkpoint-best/own.txt", "checkpoints/notes/own.txt"]
    assert all((run / name).read_text() == "mine" for name in [*own, "notes.txt"])


def test_a_merged_model_that_no_run_wrote_is_left_alone(undisturbed: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(undisturbed, tmp_path / "run"))
    (run / "merged").mkdir()
    (run / "merged" / "model.safetensors").write_text("mine")
    with pytest.raises(cf.DataError, match=r"merged/model\.safetensors would be replaced or removed.*\nhint: "):
        merge(run)
    assert (run / "merged" / "model.safetensors").read_text() == "mine"
    assert not (run / ".merged").exists()


@pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU:UserWarning")
def test_four_bits_bfloat16_and_pages_go_on_alike(built: Path, tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    model = str(save_model(tmp_path / "model", hidden=64))
    options = {
        "load_in_4bit": True, "double_quantisation": True, "dtype": "bfloat16", "optimizer": "paged_adamw_32bit",
        "neftune_length": "document", "epochs": 0.6, "eval_steps": 4,
    }  # fmt: skip
    whole = train(built, tmp_path / "whole", model, **options)
    with pytest.raises(KeyboardInterrupt):
        train(built, tmp_path / "run", model, progress=Stopper(5), **options)
    done = train(built, tmp_path / "run", model, **options)
    assert steps(done.log) == steps(whole.log)
    assert weights(done.path) == weights(whole.path)


def test_a_finished_run_is_not_done_again(undisturbed: Path, built: Path, model: str) -> None:
    before = (undisturbed / "log.jsonl").read_bytes()
    done = train(built, undisturbed, model, **SHORT)
    assert (undisturbed / "log.jsonl").read_bytes() == before
    assert done.reason == "done"
    assert done.best_step in range(8, STEPS + 1, 8)


def test_killed_between_the_last_step_and_the_adapter(
    undisturbed: Path, built: Path, model: str, tmp_path: Path
) -> None:
    run = shutil.copytree(undisturbed, tmp_path / "run")
    shutil.rmtree(run / "adapter")
    done = train(built, run, model, **SHORT)
    assert done == replace(
        cf.train(built, "birbal", to=undisturbed, model=model, **TINY | SHORT), path=run, adapter=run / "adapter"
    )
    assert steps(done.log) == steps(log(undisturbed))
    assert weights(run) == weights(undisturbed)


def test_other_options_are_another_run(undisturbed: Path, built: Path, model: str, tmp_path: Path) -> None:
    with pytest.raises(cf.DataError, match=r"learning_rate: 0.01 there, 0.02 now.*\nhint: .*--restart"):
        train(built, undisturbed, model, **SHORT, learning_rate=0.02)
    with pytest.raises(cf.DataError, match="tokens: None there, 1000 now"):
        train(built, undisturbed, model, **SHORT, tokens=1000)
    # A run that failed before it had learned anything is none.
    with pytest.raises(cf.RecipeError, match="nosuch"):
        train(built, tmp_path / "run", model, lora_targets=["nosuch"])
    train(built, tmp_path / "run", model, epochs=0.1)
    first = (tmp_path / "run" / "options.json").stat().st_mtime_ns
    again = train(built, tmp_path / "run", model, epochs=0.1, seed=7, restart=True)
    assert (tmp_path / "run" / "options.json").stat().st_mtime_ns > first
    assert [line["kind"] for line in again.log].count("start") == 1
