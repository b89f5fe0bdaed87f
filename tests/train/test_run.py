"""Whole runs of tiny models."""

import json
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chaffinch as cf
from chaffinch.train.folder import Folder
from tests.train.made import TINY, build, save_model, steps, train

transformers = pytest.importorskip("transformers")


@pytest.mark.parametrize("kind", ["mistral", "llama"])
def test_thirty_steps_lower_the_loss(kind: str, built: Path, tmp_path: Path) -> None:
    model = save_model(tmp_path / "model", kind)
    done = train(built, tmp_path / "run", str(model), epochs=2.5)
    lines = {name: [line for line in done.log if line["kind"] == name] for name in ("start", "step", "eval", "end")}
    assert [line["step"] for line in lines["step"]] == list(range(1, 31))
    losses = [line["loss"] for line in lines["step"]]
    assert np.mean(losses[-5:]) < 0.6 * np.mean(losses[:5])
    assert [line["step"] for line in lines["eval"]] == [8, 16, 24, 30]
    best = min(lines["eval"], key=lambda line: line["eval_loss"])
    assert (done.best_step, done.best_eval_loss) == (best["step"], best["eval_loss"])
    assert lines["end"][0]["best_step"] == best["step"]
    (start,) = lines["start"]
    assert start["steps"] == 30
    assert start["trainable"] == sum(
        tensor.numel() for tensor in safe(done.adapter / "adapter_model.safetensors").values()
    )
    assert done.tokens == lines["step"][-1]["tokens"] == pytest.approx(2.5 * start["tokens_per_epoch"], rel=0.02)
    assert all(one["tokens"] < other["tokens"] for one, other in pairwise(lines["step"]))
    rates = [line["learning_rate"] for line in lines["step"]]
    assert rates[0] == 0
    assert max(rates) == rates[3] == TINY["learning_rate"]
    assert rates[-1] < 0.01 * TINY["learning_rate"]


def safe(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_the_adapter_is_the_best_checkpoints_and_peft_reads_it(built: Path, model: str, tmp_path: Path) -> None:
    from peft import AutoPeftModelForCausalLM

    done = train(built, tmp_path / "run", model, epochs=2, learning_rate=0.5)
    kept = tmp_path / "run" / "checkpoints" / f"checkpoint-{done.best_step}" / "adapter_model.safetensors"
    assert (done.adapter / "adapter_model.safetensors").read_bytes() == kept.read_bytes()
    adapted = AutoPeftModelForCausalLM.from_pretrained(done.adapter)
    found = sum(weights.numel() for name, weights in adapted.named_parameters() if "lora" in name)
    assert found == done.log[0]["trainable"]


def test_ten_checkpoints_are_kept_and_the_best(built: Path, model: str, tmp_path: Path) -> None:
    done = train(built, tmp_path / "run", model, epochs=2, save_steps=2, eval_steps=2, keep_checkpoints=3)
    kept = Folder(done.path).checkpoints()
    assert len(kept) <= 4
    assert {done.best_step, done.steps} <= set(kept)


def test_tokens_end_it_and_its_schedule(built: Path, model: str, tmp_path: Path) -> None:
    done = train(built, tmp_path / "run", model, tokens="6k")
    assert done.reason == "tokens"
    assert done.tokens <= 6000
    more = train(built, tmp_path / "exact", model, tokens=done.tokens)
    assert (more.steps, more.tokens) == (done.steps, done.tokens)
    fewer = train(built, tmp_path / "fewer", model, tokens=done.tokens - 1)
    assert fewer.steps == done.steps - 1
    rates = [line["learning_rate"] for line in steps(done.log) if line["kind"] == "step"]
    assert rates[-1] < 0.1 * max(rates)
    assert train(built, tmp_path / "more", model, tokens="1B", epochs=0.2).reason == "done"


class Clock:
    """Two seconds pass between two looks."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 2.0
        return self.now


def test_hours_are_planned_from_the_first_steps(built: Path, model: str, tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []
    hours = 400 / 3600
    done = train(built, tmp_path / "run", model, hours=hours, clock=Clock(), tell=told.append, epochs=10)
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    assert [line["kind"] for line in told] == ["start", "plan"]
    assert told[1]["steps"] == plan["steps"] == done.steps < told[0]["steps"]
    assert plan["step"] == 13
    assert done.reason == "hours"
    last = max(line["seconds"] for line in done.log if line["kind"] == "step")
    assert 0.8 * 400 <= last <= 400
    rates = {line["step"]: line["learning_rate"] for line in done.log if line["kind"] == "step"}
    assert rates[done.steps] < 0.05 * max(rates.values())
    assert done.best_eval_loss is not None


def test_hours_that_leave_no_time_still_give_an_adapter(built: Path, model: str, tmp_path: Path) -> None:
    done = train(built, tmp_path / "run", model, hours=10 / 3600, clock=Clock())
    assert done.reason == "hours"
    assert done.steps < 5
    assert done.best_step == done.steps
    assert (done.adapter / "adapter_config.json").is_file()


def test_a_plan_holds_behind_an_interruption(built: Path, model: str, tmp_path: Path) -> None:
    from tests.train.test_resume import Stopper

    with pytest.raises(KeyboardInterrupt):
        train(built, tmp_path / "run", model, hours=0.1, clock=Clock(), progress=Stopper(14), epochs=20)
    plan = json.loads((tmp_path / "run" / "plan.json").read_text())
    # A clock of another pace changes nothing now.
    done = train(built, tmp_path / "run", model, hours=0.1, clock=lambda: 0.0, epochs=20)
    assert done.steps == plan["steps"]
    assert done.reason == "hours"


def test_a_builds_own_packs_are_taken(model: str, tmp_path: Path) -> None:
    own = {
        "tokenize": {"tokenizer": model, "max_length": 128},
        "pack": {"length": 128},
        "write": {"trainer": "torch"},
    }
    out = build(tmp_path, **own)
    taken = train(out, tmp_path / "taken", model, epochs=0.3)
    assert not taken.log[0]["packs_made"]
    assert not (tmp_path / "taken" / "packs").exists()
    for other in ({"length": 256}, {"template": "alpaca"}, {"packing": False}, {"validation_rows": 3}):
        made = train(out, tmp_path / "made", model, epochs=0.3, restart=True, **other)
        assert made.log[0]["packs_made"], other
    (one,), (other,) = (
        [line["splits"]["train"] for line in done.log if line["kind"] == "start"]
        for done in (taken, train(build(tmp_path / "plain"), tmp_path / "again", model, epochs=0.3))
    )
    assert one == other, "but for their order"


def test_rows_of_their_own_are_not_packed(built: Path, model: str, tmp_path: Path) -> None:
    done = train(built, tmp_path / "run", model, "flacuna", length=512, epochs=0.5, micro_batch=2, seed=1)
    split = done.log[0]["splits"]["train"]
    assert split["packs"] == split["documents"] == 108
    assert done.log[0]["rows_per_step"] == 4
    assert done.log[0]["steps_per_epoch"] == 27
    assert not [name for name in done.log[0]["splits"]["train"]["left"] if name == "too_long"], "they are cut"


def test_documents_too_long_are_told(built: Path, model: str, tmp_path: Path) -> None:
    done = train(built, tmp_path / "run", model, length=40, epochs=0.3)
    left = done.log[0]["splits"]["train"]["left"]
    assert left["too_long"] > 0
    assert left["too_long"] + done.log[0]["splits"]["train"]["documents"] == 108
    with pytest.raises(cf.DataError, match=r"no row to learn from \(too_long: 108\)\nhint: "):
        train(built, tmp_path / "none", model, length=8)


def test_without_a_validation_split_the_last_is_the_best(model: str, tmp_path: Path) -> None:
    out = build(tmp_path, rows=20, validation_fraction=0.0)
    done = train(out, tmp_path / "run", model, epochs=2)
    assert done.best_step == done.steps
    assert done.best_eval_loss is None
    assert not [line for line in done.log if line["kind"] == "eval"]


def test_refusals(built: Path, model: str, tmp_path: Path) -> None:
    with pytest.raises(cf.DataError, match="no finished build\nhint: "):
        train(tmp_path, tmp_path / "run", model)
    with pytest.raises(cf.DataError, match=r"cannot be loaded: .*\nhint: |no config.json\nhint: "):
        train(built, tmp_path / "run", str(tmp_path))
    with pytest.raises(cf.DataError, match="holds a mixture\nhint: "):
        train(built, built, model)
    with pytest.raises(cf.RecipeError, match="hours: 0\nhint: "):
        train(built, tmp_path / "run", model, hours=0)
    for tokens in ("0", 0, "50 Mi", "1e6", "many"):
        with pytest.raises(cf.RecipeError, match=r"^tokens: .*\nhint: --tokens 50M"):
            train(built, tmp_path / "run", model, tokens=tokens)
    with pytest.raises(cf.RecipeError, match="transformers refuses the options"):
        train(built, tmp_path / "run", model, optimizer="adam_of_mine")
    with pytest.raises(cf.RecipeError, match="unknown key `learning_rat`"):
        train(built, tmp_path / "run", model, learning_rat=1)
    with pytest.raises(cf.RecipeError, match=r"length: 513, and .* has 512 positions\nhint: "):
        train(built, tmp_path / "long", model, length=513)
    assert not (tmp_path / "long").exists()
    bare = shutil.copytree(model, tmp_path / "bare")
    for path in bare.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(cf.DataError, match="has no tokenizer\nhint: "):
        train(built, tmp_path / "bare-run", str(bare))
    smaller = transformers.AutoModelForCausalLM.from_pretrained(model)
    smaller.resize_token_embeddings(50)
    smaller.save_pretrained(shutil.copytree(model, tmp_path / "smaller"))
    with pytest.raises(cf.DataError, match=r"the packs hold token \d+, and .* has embeddings of \d+\nhint: "):
        train(built, tmp_path / "other", str(tmp_path / "smaller"))
    (tmp_path / "strange").mkdir()
    (tmp_path / "strange" / "log.jsonl").write_text("mine")
    with pytest.raises(cf.DataError, match=r"log\.jsonl would be replaced or removed, but Chaffinch has no record"):
        train(built, tmp_path / "strange", model)


def test_a_loss_that_is_no_number_ends_it(built: Path, model: str, tmp_path: Path) -> None:
    with pytest.raises(cf.DataError, match=r"loss of step .* is not a number\nhint: "):
        train(built, tmp_path / "run", model, learning_rate=1e30, max_grad_norm=1e30, warmup_steps=1)
    assert json.loads((tmp_path / "run" / "log.jsonl").read_text().splitlines()[-1])["loss"] is None


def test_one_run_at_a_time(built: Path, model: str, tmp_path: Path) -> None:
    folder = Folder(tmp_path / "run")
    with folder.locked(), pytest.raises(cf.DataError, match="another run is writing"):
        train(built, tmp_path / "run", model)
