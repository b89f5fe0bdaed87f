"""Presets are the papers' numbers, and what is overridden is checked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import chaffinch as cf
from chaffinch.cli.train import _written
from chaffinch.train.budget import Mixture, steps_for_seconds, steps_for_tokens
from chaffinch.train.options import Options, presets, resolve
from chaffinch.train.run import _fits
from chaffinch.train.trainer import rate

# As the papers' pages of facts have them.
BIRBAL = {
    "model": "mistralai/Mistral-7B-v0.1", "load_in_4bit": True, "double_quantisation": True, "dtype": "bfloat16",
    "lora_rank": 128, "lora_alpha": 256, "lora_dropout": 0.05, "neftune_alpha": 5, "neftune_length": "packed",
    "lora_targets": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
    "optimizer": "paged_adamw_32bit", "schedule": "cosine", "learning_rate": 2e-5, "weight_decay": 0.01,
    "warmup_steps": 100, "max_grad_norm": 0.3, "micro_batch": 2, "gradient_accumulation": 4, "length": 8192,
    "packing": True, "train_on": "responses", "activation_checkpointing": True, "eval_steps": 64, "save_steps": 64,
    "keep_checkpoints": 10, "epochs": 3, "validation_rows": 2000, "template": "birbal",
}  # fmt: skip
FLACUNA = {
    "lora_rank": 8, "lora_alpha": 16, "lora_dropout": 0.05, "lora_targets": ["q_proj", "v_proj"], "length": 1280,
    "dtype": "bfloat16", "load_in_4bit": False, "micro_batch": 2, "gradient_accumulation": 16, "epochs": 1,
    "learning_rate": 2e-5, "schedule": "cosine", "warmup_steps": 3000, "warmup_ratio": None, "template": "vicuna",
    "neftune_alpha": None, "packing": False,
}  # fmt: skip


@pytest.mark.parametrize(("preset", "numbers"), [("birbal", BIRBAL), ("flacuna", FLACUNA)])
def test_presets_are_the_papers(preset: str, numbers: dict[str, Any]) -> None:
    values = resolve(preset).model_dump()
    assert {name: values[name] for name in numbers} == numbers


def test_modes_are_what_paper_and_code_have_apart() -> None:
    apart = {
        preset: {
            name
            for name, value in resolve(preset, {"mode": "paper"}).model_dump().items()
            if value != resolve(preset, {"mode": "code"}).model_dump()[name]
        }
        for preset in presets()
    }
    assert apart == {
        "birbal": {"mode", "gradient_accumulation"},
        "flacuna": {"mode", "warmup_steps", "warmup_ratio"},
    }
    assert resolve("birbal", {"mode": "paper"}).gradient_accumulation == 3
    code = resolve("flacuna", {"mode": "code"})
    assert (code.warmup_ratio, code.warmup(10_000), code.warmup(10_001)) == (0.0001, 1, 2)


def test_every_preset_says_everything_that_has_no_default() -> None:
    for name, path in presets().items():
        written = path.read_text()
        for key, field in Options.model_fields.items():
            if field.is_required():
                assert f"{key}:" in written, f"{name}: {key}"


def test_overrides() -> None:
    assert resolve("birbal", {"warmup_ratio": 0.1}).warmup_steps is None
    assert resolve("birbal", {"neftune_alpha": None, "lora_targets": ["q_proj"]}).lora_targets == ["q_proj"]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("birbel", {}, "no preset 'birbel'\nhint: did you mean birbal?"),
    ("vicuna.yaml", {}, "no preset 'vicuna.yaml'\nhint: there are birbal, flacuna"),
    ("birbal", {"mode": "both"}, "mode is 'both'\nhint: this preset has code or paper"),
    ("birbal", {"learning_rat": 1}, "unknown key `learning_rat`\nhint: did you mean `learning_rate`?"),
    ("birbal", {"lora_rank": "many"}, "birbal: lora_rank: .*: 'many'\nhint: birbal has lora_rank=128"),
    ("birbal", {"lora_rank": 0}, "birbal: lora_rank: "),
    ("birbal", {"eval_steps": 65}, "eval_steps 65: not every .*\nhint: a multiple of save_steps, 64"),
    ("birbal", {"warmup_steps": None}, "give warmup_steps or warmup_ratio"),
]


@pytest.mark.parametrize(("preset", "changes", "message"), WRONG)
def test_wrong_ones_are_refused(preset: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(cf.RecipeError, match=message.replace("?", r"\?")):
        resolve(preset, changes)


def test_a_preset_of_ones_own(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(presets()["birbal"].read_text().replace("lora_rank: 128", "lora_rank: 64"))
    assert resolve(str(mine)).lora_rank == 64
    mine.write_text("- 1")
    with pytest.raises(cf.RecipeError, match="a preset is a mapping"):
        resolve(str(mine))
    mine.write_text("a: [")
    with pytest.raises(cf.RecipeError, match=r"is not YAML.*\nhint: "):
        resolve(str(mine))


def test_memory_that_is_too_small_is_told() -> None:
    message = "memory: CUDA is full\nhint: micro_batch=1 and gradient_accumulation=8 .*; a smaller model"
    with pytest.raises(cf.DataError, match=message), _fits(resolve("birbal")):
        raise torch.OutOfMemoryError("CUDA is full. Tried to get 2 GiB.")


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_rates_are_transformers_own(schedule: str) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    for steps, warmup in [(50, 7), (10, 0), (5, 9)]:
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
        name = "constant_with_warmup" if schedule == "constant" else schedule
        scheduler = transformers.get_scheduler(name, optimizer, num_warmup_steps=warmup, num_training_steps=steps)
        for step in range(steps):
            assert rate(schedule, step, steps, warmup) == pytest.approx(scheduler.get_last_lr()[0], abs=1e-12)
            optimizer.step()
            scheduler.step()


def test_steps_of_a_budget() -> None:
    mixture = Mixture(steps=100, tokens=100_000, validation_tokens=30_000)
    uneven = np.repeat([1500, 500], 50)
    assert steps_for_tokens(1_500, mixture, lambda _: uneven) == 1
    assert steps_for_tokens(76_499, mixture, lambda _: uneven) == 52
    assert steps_for_tokens(100_000, mixture, lambda _: uneven) == 100
    assert steps_for_tokens(301_500, mixture, lambda epoch: uneven if epoch == 3 else uneven[::-1]) == 301
    with pytest.raises(cf.RecipeError, match=r"^tokens: 1,499, and the first step alone has 1,500\nhint: "):
        steps_for_tokens(1_499, mixture, lambda _: uneven)
    asked = {"done": 10, "taken": 25.0, "step": 2.0, "mixture": mixture, "eval_steps": 20, "most": 10**6}
    # An evaluation takes 20 seconds, so that a step with its share of them takes 3.
    assert steps_for_seconds(25 + 20 + 90 * 3, **asked) == 100
    assert steps_for_seconds(25, **asked) == 10, "never fewer than are done"
    assert steps_for_seconds(1e9, **{**asked, "most": 300}) == 300


def test_the_page_has_every_option_and_its_values() -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    shown = [resolve(preset).model_dump() for preset in ("birbal", "flacuna")]
    for name, field in Options.model_fields.items():
        cells = [_written(values[name]) for values in shown]
        assert f"| `{name}` | {' | '.join(cells)} | {field.description or ''} |" in page, name
