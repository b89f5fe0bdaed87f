"""From rows to scores: a mixture is built and packed, a tiny model trained on it and asked real evaluation sets."""

from pathlib import Path

import pytest

import chaffinch as cf
from chaffinch.synth import synthesise
from tests.score.tiny import save_tiny_model

pytest.importorskip("peft")
pytestmark = [
    pytest.mark.real,
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
]

SETS = ("mmlu", "bbh", "gsm8k", "human-eval")
STEPS = 30


def test_build_pack_train_evaluate(real: Path, tmp_path: Path) -> None:
    model = save_tiny_model(tmp_path / "model")
    synthesise(tmp_path / "demo", 2000)
    recipe = {
        "name": "small",
        "base": "demo",
        "tokenize": {"tokenizer": str(model), "max_length": 1024},
        "pack": {"length": 1024},
        "write": {"trainer": "torch"},
    }
    built = cf.build(recipe, data=tmp_path / "demo", out=tmp_path / "out")
    packs = built.summary["pack"]["splits"]["train"]["packs"]
    assert packs >= STEPS
    done = cf.train(
        built.out, "birbal", model=str(model), template="alpaca", length=1024, load_in_4bit=False, dtype="float32",
        double_quantisation=False, optimizer="adamw_torch", micro_batch=1, gradient_accumulation=1, lora_rank=16,
        lora_alpha=32, learning_rate=3e-2, warmup_steps=3, eval_steps=10, save_steps=10, epochs=STEPS / packs,
    )  # fmt: skip
    assert done.steps == STEPS
    assert not done.log[0]["packs_made"], "the build's own packs are taken"
    losses = [line["loss"] for line in done.log if line["kind"] == "step"]
    assert sum(losses[-5:]) < 0.9 * sum(losses[:5])

    data = tmp_path / "data"
    (data / "drop").mkdir(parents=True)
    for name in SETS:
        (data / f"eval-{name}").symlink_to(real / f"eval-{name}")
    (data / "drop" / "fixture_dev.json").write_bytes((real / "allennlp-fixtures/rc/drop.json").read_bytes())
    suite = "mmlu,bbh,drop,gsm8k,humaneval"
    asked = {"suite": suite, "data": data, "limit": 1, "allow_code": True, "mixture": built.out, "shots": 0}
    found = {
        name: cf.evaluate(folder, out=tmp_path / name, **asked)
        for name, folder in (("base", model), ("trained", done.adapter))
    }
    sets = ["bbh/test", "drop/validation", "gsm8k/test", "humaneval/test", "mmlu/test"]
    models = set()
    for one in found.values():
        assert sorted(line["set"] for line in one.results) == sets
        assert all(0 <= line["score"] <= 1 and line["standing"] for line in one.results)
        models |= {line["model"] for line in one.results}
    assert len(models) == 2
    table = cf.compare({name: one.path for name, one in found.items()})
    assert {(line["set"], line["model"]) for line in table.to_pylist()} == {
        (name, who) for name in sets for who in ("base", "trained")
    }
    assert "validation loss" in done.report.read_text().lower()
    assert str(model) in (done.adapter / "README.md").read_text()
