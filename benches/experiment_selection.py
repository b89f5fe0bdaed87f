"""Does a selection beat as many random tokens? A small real experiment, from nothing to a table, whatever it says.

A Llama with random weights learns P3, which makes it the base. Of Natural Instructions a recipe like Birbal's selects
rows that the nearest case answers badly (or the base itself: --answerer base); `cf.controls` draws as many random
tokens and as many of the longest responses. Each trains an adapter of the base with the same budget, and all are asked
for their loss on held-out responses: none of these rows' inputs is in any mixture, and P3's parts of the same data
sets are not in the base. On a GPU the model is larger, with three seeds; nothing else differs.

    .venv/bin/python benches/experiment_selection.py --data ../shared/data
"""

import argparse
import gzip
import hashlib
import json
import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import header
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

import chaffinch as cf
from chaffinch.evaluation.intervals import bootstrap

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
# In tokens: `length` of a pack, `base` of the base's training, `tokens` of each mixture.
SIZE = {"layers": 6, "hidden": 192, "vocabulary": 4096, "length": 512, "base": 250_000, "tokens": 60_000, "seeds": 1}
if CUDA:
    SIZE |= {"layers": 12, "hidden": 768, "vocabulary": 16384, "length": 1024}
    SIZE |= {"base": 10**7, "tokens": 10**6, "seeds": 3}
# Tasks of Natural Instructions are made of these, too (SST-2 is of Rotten Tomatoes).
SAME_DATA = ["quoref", "cosmos_qa", "xsum", "commonsense_qa", "sciq", "rotten_tomatoes"]
P3 = {
    "name": "p3",
    "files": "p3-t0-50k/data_per_template/*",
    "exclude": [f"p3-t0-50k/data_per_template/{name}*" for name in SAME_DATA],
    "fields": {"instruction": "prompt", "output": "completion"},
    "edits": [{"name": "strip-suffix", "values": ["<|endoftext|>"]}],
}
# Over the preset's: what a model of this size needs, and nothing that asks for a GPU.
TRAINING: dict[str, Any] = {
    "load_in_4bit": False, "dtype": "bfloat16" if CUDA else "float32", "optimizer": "adamw_torch",
    "lora_rank": 16, "lora_alpha": 32, "lora_dropout": 0, "neftune_alpha": None, "activation_checkpointing": False,
    "epochs": 1, "micro_batch": 4 if CUDA else 2, "gradient_accumulation": 1, "learning_rate": 1e-3,
    "warmup_ratio": 0.05, "max_grad_norm": 1.0, "eval_steps": 10_000, "save_steps": 10_000,
}  # fmt: skip
CAVEAT = """\
Intervals are over held-out rows alone, not over bases, draws or orders. Categories of fewer than ten rows are in `all`
alone. The selection takes a most of each task and random rows do not: a gain may be that balance and nothing else. So
small a model learns the form of answers and little of what they say: this tells nothing of models of billions."""


def hold_out(data: Path, to: Path, share: int = 10) -> None:
    """Every task's instances in two files: those of a tenth of the inputs, whatever their task, are held out."""
    for path in sorted((data / "natural-instructions").glob("tasks*/*.json*")):
        task = json.loads(gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes())
        if len(task["Instances"]) < 100:
            continue
        parts: dict[str, list[Any]] = {"candidates": [], "held-out": []}
        for one in task["Instances"]:
            digest = hashlib.blake2b(one["input"].strip().encode(), digest_size=8).digest()
            parts["candidates" if int.from_bytes(digest) % share else "held-out"].append(one)
        for part, instances in parts.items():
            (to / part).mkdir(parents=True, exist_ok=True)
            (to / part / path.name.removesuffix(".gz")).write_text(json.dumps(task | {"Instances": instances}))


def new_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    plain = Tokenizer(models.BPE())
    plain.pre_tokenizer, plain.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    letters, marks = pre_tokenizers.ByteLevel.alphabet(), ["<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=vocabulary, special_tokens=marks, initial_alphabet=letters)
    plain.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=plain, bos_token="<s>", eos_token="</s>", pad_token="</s>")


def new_model(layers: int, hidden: int, vocabulary: int) -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        num_hidden_layers=layers, hidden_size=hidden, intermediate_size=hidden * 8 // 3, vocab_size=vocabulary,
        num_attention_heads=hidden // 64, max_position_embeddings=2048, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=1, pad_token_id=1,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(DEVICE)


def pretrain(model: LlamaForCausalLM, documents: list[list[int]], length: int, rows: int = 8) -> tuple[float, float]:
    """One pass over all tokens in windows; the mean loss of the first and the last ten steps."""
    stream = torch.tensor([token for document in documents for token in document])
    windows = stream[: len(stream) // (rows * length) * rows * length].view(-1, rows, length).to(DEVICE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4 if CUDA else 2e-3, weight_decay=0.1)

    def rate(step: int) -> float:
        return min((step + 1) / 20, 0.5 + 0.5 * math.cos(math.pi * step / len(windows)))

    shape, losses = torch.optim.lr_scheduler.LambdaLR(optimizer, rate), []
    for window in windows:
        with torch.autocast(DEVICE, torch.bfloat16, enabled=CUDA):
            loss = model(input_ids=window, labels=window).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        shape.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return float(np.mean(losses[:10])), float(np.mean(losses[-10:]))


@torch.inference_mode()
def response_losses(folder: Path, rows: list[dict[str, Any]]) -> np.ndarray:
    """Each row's mean loss over the tokens of its response, one row at a time: no padding, no neighbours."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).to(DEVICE).eval()
    found = []
    for row in rows:
        ids, labels = (torch.tensor([row[name]], device=DEVICE) for name in ("input_ids", "labels"))
        found.append(model(input_ids=ids, labels=labels).loss.item())
    return np.array(found)


def print_losses(losses: dict[str, np.ndarray], rows: list[dict[str, Any]]) -> None:
    """Means over tasks by category, and what the selection has more or less than each other, with intervals."""
    others = [name for name in losses if name != "selection"]
    print(
        "\nHeld-out loss on responses (nats a token, mean over tasks), then selection minus each other: less is better"
    )
    print(f"{'':<24}{'rows':>5}" + "".join(f"{n:>11}" for n in losses) + "".join(f"{'- ' + n:>27}" for n in others))
    groups = {"all": np.ones(len(rows), bool)}
    for name in sorted({row["category"] for row in rows}):
        groups[name] = np.array([row["category"] == name for row in rows])
    groups = {name: chosen for name, chosen in groups.items() if chosen.sum() >= 10}
    for name, chosen in groups.items():
        tasks = [row["task"] for row, one in zip(rows, chosen, strict=True) if one]

        def mean(values: np.ndarray, tasks: list[str] = tasks) -> float:
            return float(np.mean([values[np.array(tasks) == task].mean() for task in sorted(set(tasks))]))

        line = f"{name[:23]:<24}{len(tasks):>5}" + "".join(f"{mean(own[chosen]):>11.3f}" for own in losses.values())
        for other in others:
            apart = (losses["selection"] - losses[other])[chosen]
            low, high = bootstrap(apart.tolist(), tasks, "groups", name=name)
            line += f"{f'{mean(apart):+.3f} [{low:+.3f}, {high:+.3f}]':>27}"
        print(line)


def selection_recipe(shared: dict[str, Any], answerer: Any, tokens: int) -> dict[str, Any]:
    """Birbal's, small: of each task more rows where answers are wrong."""
    deciles = {f"decile {n}": rows for n, rows in enumerate([350, 350, 300, 300, 250, 250, 200, 150, 100, 50, 50])}
    edges = [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8]
    shares = {"[0, 0.2)": 0.8} | {f"[{low}, {high})": 0.2 for low, high in pairwise(edges[1:])}
    pool = {"per": ["task"], "by": ["bucket"]}
    exact = pool | {"where": {"label": "exact_match"}, "rows": deciles, "shortfall": "accept"}
    generated = pool | {"where": {"label": "generation"}, "fraction": shares}
    return shared | {
        "name": "selection",
        "sources": [{"name": "ni", "files": "candidates/*.json", "format": "natural-instructions"}],
        "dedup": {"exact": [{"on": ["prompt", "response"]}]},
        "label": {"sources": ["ni"]},
        "score": {"sources": ["ni"], "answerer": answerer, "max_new_tokens": 32},
        "bucket": {"exact_match": {"only_wrong": True}, "generation": {"edges": edges}},
        "sample": [exact, generated, {"tokens": tokens, "method": "proportional", "shortfall": "accept"}],
    }


def main() -> None:
    asked = argparse.ArgumentParser(description="selection against its controls, on a small model of its own")
    asked.add_argument("--data", type=Path, default=Path("../shared/data"))
    asked.add_argument("--work", type=Path, default=Path("benches/data/experiment"), help="a new folder")
    asked.add_argument("--answerer", choices=["nearest", "base"], default="nearest")
    args = asked.parse_args()
    work, size, started = args.work, SIZE, time.perf_counter()

    def seconds() -> int:
        return round(time.perf_counter() - started)

    work.mkdir(parents=True)
    disable_progress_bar()
    base, split, cache = (work / "base").resolve(), work / "split", work / "cache"
    hold_out(args.data, split)

    plain = cf.build({"name": "p3", "sources": [P3]}, data=args.data, out=work / "p3", cache=cache).table
    texts = [text for column in ("prompt", "response") for text in plain[column].to_pylist()[:20_000]]
    new_tokenizer(texts, size["vocabulary"]).save_pretrained(base)
    words = {"tokenizer": str(base), "max_length": size["length"]}
    shared = {"seed": 1, "format": {"template": "birbal"}, "tokenize": words}
    draw: dict[str, Any] = {"tokens": size["base"], "method": "proportional", "shortfall": "accept"}
    recipe = shared | {"name": "base", "sources": [P3], "sample": draw}
    learned = cf.build(recipe, data=args.data, out=work / "p3-base", cache=cache).table["input_ids"].to_pylist()
    model = new_model(size["layers"], size["hidden"], size["vocabulary"])
    parameters = sum(one.numel() for one in model.parameters())
    device = torch.cuda.get_device_name() if CUDA else f"CPU, {torch.get_num_threads()} threads"
    header("experiment_selection", ["torch", "transformers", "peft"], device=device, parameters=parameters, **size)
    first, last = pretrain(model, learned, size["length"])
    model.save_pretrained(base)
    print(f"base: {sum(map(len, learned)):,} tokens of P3, loss {first:.2f} -> {last:.2f}, {seconds()} s")

    answerer = {"model": str(base)} if args.answerer == "base" else "nearest"
    recipe = selection_recipe(shared, answerer, size["tokens"])
    mixtures = {"selection": cf.build(recipe, data=split, out=work / "selection", cache=cache)}
    mixtures |= cf.controls(work / "selection", data=split, to=work / "controls", by="tokens", cache=cache)
    counted = {name: sum(map(len, mixture.table["input_ids"].to_pylist())) for name, mixture in mixtures.items()}
    for name, mixture in mixtures.items():
        print(f"{name}: {mixture.summary['kept']:,} rows, {counted[name]:,} tokens")

    source = {"name": "ni", "files": "held-out/*.json", "format": "natural-instructions"}
    draw = {"by": ["task"], "rows_each": 16, "shortfall": "accept"}
    recipe = shared | {"name": "held-out", "sources": [source], "sample": draw}
    rows = cf.build(recipe, data=split, out=work / "held-out", cache=cache).table.to_pylist()
    losses, evaluated = {"base": response_losses(base, rows)}, {"base": base}
    for name, mixture in mixtures.items():
        runs = []
        for seed in range(size["seeds"]):
            to, tokens = work / "runs" / f"{name}-{seed}", min(counted.values())
            options = TRAINING | {"model": str(base), "length": size["length"], "seed": seed}
            run = cf.train(mixture.out, "birbal", to=to, tokens=tokens, **options)
            runs.append(response_losses(run.adapter, rows))
            print(f"{name}, seed {seed}: {run.steps} steps, {run.tokens:,} tokens, {seconds()} s")
        losses[name], evaluated[name] = np.mean(runs, axis=0), run.adapter
    print_losses(losses, rows)

    for name, folder in evaluated.items():
        cf.evaluate(folder, suite="ethics", data=args.data, out=work / "eval" / name, limit=100)
    table = cf.compare({name: work / "eval" / name for name in evaluated}, against="random")
    print("\ncf.compare against random, ETHICS, the first 100 questions of each part")
    for line in table.to_pylist():
        apart = "{difference:+.3f} [{low:+.3f}, {high:+.3f}]".format(**line) if line["model"] != "random" else ""
        print(f"  {line['model']:<10} {line['metric']} {line['score']:.3f} of {line['items']:,}   {apart}")
    print(f"\n{parameters / 1e6:.1f} million parameters, {size['seeds']} seed(s), {seconds()} s.")
    print(CAVEAT)


if __name__ == "__main__":
    main()
