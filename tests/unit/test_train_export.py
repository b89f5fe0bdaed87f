import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from chaffinch.errors import DataError
from chaffinch.packing import PLACES
from chaffinch.store import hash_file
from chaffinch.train import export
from tests.score.tiny import save_tiny_model
from tests.unit.finished import finished_build, kept_id, kept_row
from tests.unit.test_report import HOSTILE
from tests.unit.test_train_report import START, evaluated, run_folder, step

# peft 0.21 asks transformers 5.23 by an old name.
pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing. is deprecated:FutureWarning")

END = {"kind": "end", "reason": "done", "best_step": 2, "best_eval_loss": 1.5}


def mixture(out: Path, **manifest: Any) -> Path:
    rows = [kept_row(kept_id(number), licence="CC-BY-4.0") for number in range(3)]
    rows += [kept_row(kept_id(number, "b"), prompt="one two", response="three") for number in range(2)]
    return finished_build(out, rows, **manifest)


def run_of(folder: Path, out: Path, model: str = "maker/base-7b", **options: Any) -> Path:
    lines = [START, step(1), step(2), evaluated(2, 1.5), step(3), evaluated(3, 1.7), END]
    own = {"model": model, "revision": None, "template": "birbal", "load_in_4bit": True, "lora_rank": 8} | options
    return run_folder(folder, lines, options=own, mixture={"out": str(out)})


def written(folder: Path) -> tuple[dict[str, Any], str]:
    adapter = folder / "adapter"
    adapter.mkdir(exist_ok=True)
    export.card(folder, adapter)
    _, front, body = (adapter / "README.md").read_text("utf-8").split("---\n", 2)
    return yaml.safe_load(front), body


def test_the_card_tells_what_the_adapter_is_of(tmp_path: Path) -> None:
    out = mixture(tmp_path / "out", warnings=["source c gave no row"])
    front, body = written(run_of(tmp_path / "run", out))
    assert front == {
        "base_model": "maker/base-7b",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
        "tags": ["chaffinch", "instruction-tuning", "qlora"],
    }
    for line in (
        "| a | CC-BY-4.0 | 3 | 15 |",
        "| b | not stated | 2 | 6 |",
        f"| hash of its manifest | {hash_file(out / 'manifest.json')} |",
        "| best validation loss | 1.5000 at step 2: these weights |",
        "| last training loss | 1.9850 |",
        "| options.lora\\_rank | 8 |",
        "| steps | 3 of 200 |",
        "- source c gave no row",
        "AutoModelForCausalLM.from_pretrained('maker/base-7b', dtype=\"auto\")",
        "compared its rows with no evaluation set",
        "name: small",
        "- text: '### Response:",
    ):
        assert line in body, line


def test_tokens_by_source_come_from_the_packs(tmp_path: Path) -> None:
    out = mixture(tmp_path / "out")
    places = [("train", kept_id(0), 5), ("train", kept_id(1), 7), ("train", kept_id(0, "b"), 100)]
    places += [("validation", kept_id(2), 1_000)]
    rows = [
        {"split": split, "pack": 0, "row_id": name, "part": 0, "offset": 0, "tokens": tokens}
        for split, name, tokens in places
    ]
    pq.write_table(pa.Table.from_pylist(rows, PLACES), out / "packs.parquet", use_dictionary=["split"])
    _, body = written(run_of(tmp_path / "run", out))
    assert "| a | CC-BY-4.0 | 3 | 15 | 12 |" in body
    assert "| b | not stated | 2 | 6 | 100 |" in body


def test_contamination_is_told(tmp_path: Path) -> None:
    recipe = {"name": "small", "decontaminate": {"against": [{"name": "gsm8k/test"}, {"name": "mmlu/test"}]}}
    out = mixture(tmp_path / "out", recipe=recipe)
    found = [
        {"row_id": kept_id(0), "evaluation_set": "gsm8k/test", "item": "gsm8k/test/7", "removed": False},
        {"row_id": kept_id(1), "evaluation_set": "own/test.jsonl", "item": "1", "removed": True},
    ]
    pq.write_table(pa.Table.from_pylist(found), out / "contamination.parquet")
    _, body = written(run_of(tmp_path / "run", out))
    assert "| gsm8k/test | contaminated | 1 |" in body
    assert "| mmlu/test | clean | 0 |" in body
    assert "| own/test.jsonl | clean | 0 |" in body


def test_a_run_whose_mixture_is_gone_has_no_card(tmp_path: Path) -> None:
    folder = run_of(tmp_path / "run", tmp_path / "gone")
    with pytest.raises(DataError, match="holds no finished build"):
        written(folder)
    assert not list((folder / "adapter").iterdir())


def test_text_from_data_stays_text(tmp_path: Path) -> None:
    rows = [kept_row(f"{'a'}/t/{n:016x}", licence=text, source=text) for n, text in enumerate(HOSTILE)]
    fence = "```\n# not the recipe\n```"
    out = finished_build(
        tmp_path / "out", rows, warnings=[*HOSTILE, "two\nlines | and a pipe"], recipe={"name": HOSTILE[0], "x": fence}
    )
    front, body = written(run_of(tmp_path / "run", out, model=HOSTILE[1]))
    assert front["base_model"] == HOSTILE[1]
    outside, parts = [], body.split("````")
    assert len(parts) == 3  # the recipe alone needs a longer fence
    for part in (parts[0], parts[2]):
        outside += part.split("```")[::2]
    shown = "".join(outside)
    assert "<script>" not in shown.replace("\\<script\\>", "")
    assert "<img" not in shown.replace("\\<img", "")
    assert "\n# not the recipe" not in shown
    assert "two␊lines \\| and a pipe" in shown
    hidden = {character for character in shown if not character.isprintable() and character != "\n"}
    assert not hidden


def with_adapter(folder: Path, base: Path) -> Any:
    """A run with an adapter of random weights, as training leaves it; gives the adapted model."""
    import peft
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    spec = peft.LoraConfig(r=4, lora_alpha=8, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    adapted = peft.get_peft_model(model, spec)
    torch.manual_seed(1)
    for name, weights in adapted.named_parameters():
        if "lora_" in name:
            weights.data = torch.randn_like(weights) * 0.1
    adapted.save_pretrained(folder / "adapter")
    return adapted.eval()


def tame(base: Path) -> Path:
    """Makes the tiny model's logits as small as a trained one's, for a bound that is no share of them."""
    import torch
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(base, dtype="auto")
    with torch.no_grad():
        model.lm_head.weight *= 0.1
    model.save_pretrained(base)
    return base


def logits(model: Any) -> Any:
    import torch

    with torch.no_grad():
        return model(torch.arange(3, 40)[None], use_cache=False).logits


def test_the_merged_model_answers_as_the_adapter_does(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    base = tame(save_tiny_model(tmp_path / "base"))
    # As some bases have it: transformers reads it, and refuses to write it.
    (base / "generation_config.json").write_text(json.dumps({"temperature": 0.9, "top_p": 0.6}))
    folder = run_of(tmp_path / "run", mixture(tmp_path / "out"), model=str(base))
    adapted = with_adapter(folder, base)
    for _ in range(2):  # the second replaces the first
        merged = export.merge(folder)
    assert merged == folder / "merged"
    plain = logits(AutoModelForCausalLM.from_pretrained(base, dtype="auto"))
    found = logits(AutoModelForCausalLM.from_pretrained(merged, dtype="auto"))
    assert (found - plain).abs().max() > 0.1
    torch.testing.assert_close(found, logits(adapted), atol=1e-4, rtol=0)
    ids = AutoTokenizer.from_pretrained(merged)("a response of two")["input_ids"]
    assert ids == AutoTokenizer.from_pretrained(base)("a response of two")["input_ids"]
    assert "library_name: transformers" in (merged / "README.md").read_text()
    names = {path.name for path in folder.iterdir()}
    # The record of what runs wrote is one of a run's files; nothing that was only staged is left.
    assert names == {"adapter", "merged", "log.jsonl", "options.json", ".published.json"}
    assert not [path for path in merged.iterdir() if path.suffix in {".bin", ".pt", ".py"}]
    assert len({path.stat().st_mode for path in merged.iterdir()}) == 1


def test_a_base_in_half_precision_stays_so(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM

    base = save_tiny_model(tmp_path / "base")
    AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16).save_pretrained(base)
    folder = run_of(tmp_path / "run", mixture(tmp_path / "out"), model=str(base))
    with_adapter(folder, base)
    model = AutoModelForCausalLM.from_pretrained(export.merge(folder), dtype="auto")
    assert {weights.dtype for weights in model.parameters()} == {torch.bfloat16}


def test_what_cannot_be_merged_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    base = save_tiny_model(tmp_path / "base")
    folder = run_of(tmp_path / "run", mixture(tmp_path / "out"), model=str(base))
    with pytest.raises(DataError, match="no finished adapter"):
        export.merge(folder)
    with_adapter(folder, base)
    config = json.loads((base / "config.json").read_text())
    for changed, said in (
        ({"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}}, "^[^ ]+ is quantised"),
        ({"hidden_size": 32}, "cannot be merged"),
        ({"model_type": "nothing"}, "cannot be merged"),
        ({"auto_map": {"AutoConfig": "code.Evil"}, "model_type": "evil"}, "cannot be merged"),
    ):
        (base / "config.json").write_text(json.dumps(config | changed))
        (base / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
        with pytest.raises(DataError, match=said):
            export.merge(folder)
    assert not (tmp_path / "ran").exists()
    assert {path.name for path in folder.iterdir()} == {"adapter", "log.jsonl", "options.json"}
