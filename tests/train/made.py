"""Tiny models and a small build to train on."""

from pathlib import Path
from typing import Any

import chaffinch as cf
from tests.conftest import write_jsonl
from tests.made_tokenizers import llama2, save

QUESTIONS = ["How many birds sit on the bridge?", "Where does the river run?", "Who counts the birds?"]
ANSWERS = ["Nobody counts the birds.", "Through the old stone bridge.", "The answer is four, and they'd say so."]
TINY: dict[str, Any] = {
    "length": 128,
    "load_in_4bit": False,
    "double_quantisation": False,
    "dtype": "float32",
    "lora_rank": 8,
    "lora_alpha": 16,
    "learning_rate": 1e-2,
    "optimizer": "adamw_torch",
    "gradient_accumulation": 2,
    "warmup_steps": 3,
    "eval_steps": 8,
    "save_steps": 4,
    "epochs": 5,
}


def save_model(folder: Path, kind: str = "mistral", seed: int = 0, hidden: int = 32) -> Path:
    """A random Mistral or Llama of a few thousand weights, with a tokenizer, as `from_pretrained` reads it."""
    import torch
    import transformers

    fast = llama2()
    save(folder, fast)
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **special).save_pretrained(folder)
    torch.manual_seed(seed)
    config = {"mistral": transformers.MistralConfig, "llama": transformers.LlamaConfig}[kind](
        vocab_size=fast.get_vocab_size(),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        initializer_range=0.2,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)
    return folder


def build(folder: Path, rows: int = 120, **more: Any) -> Path:
    """A mixture of short questions and answers; a tenth is held out."""
    made = [
        {"instruction": f"{QUESTIONS[at % 3]} {at}", "input": "", "output": " ".join(ANSWERS[at % 3 :][: 1 + at % 2])}
        for at in range(rows)
    ]
    write_jsonl(folder / "data" / "rows.jsonl", made)
    recipe = {
        "name": "x",
        "sources": [{"name": "a", "files": "rows.jsonl"}],
        "validation_fraction": 0.1,
        "format": {"template": "birbal"},
        **more,
    }
    cf.build(recipe, data=folder / "data", out=folder / "out")
    return folder / "out"


def train(built: Path, to: Path, model: str, preset: str = "birbal", **options: Any) -> Any:
    """A short run."""
    return cf.train(built, preset, to=to, model=model, **{**TINY, **options})


def steps(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The lines of steps and evaluations, without what a clock says."""
    clock = ("seconds", "tokens_per_second", "peak_memory")
    return [
        {name: value for name, value in line.items() if name not in clock}
        for line in log
        if line["kind"] in ("step", "eval")
    ]
