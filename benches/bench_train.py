"""Tokens a second and memory of training by Birbal's configuration: attention by attention, packed and padded.

A 7B Mistral from its config with random weights, in NF4, with the preset's adapter, noise, optimizer and checkpointing,
on documents of log-normal lengths. What is counted are real tokens: padding is none. The packs are the same for every
attention, and their losses are held against each other before the clock starts. Padded rows come as trainers without
packs take them: `micro_batch` rows a pass, and as many as fill the tokens of the packs. Without a GPU a tiny model
shows that all of it runs, and nothing of speed: python benches/bench_train.py
"""

import argparse
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from itertools import islice
from typing import Any

import numpy as np
import torch
import transformers
from common import header

from chaffinch.stages.pack import pack
from chaffinch.train import loss, model
from chaffinch.train.attention import register
from chaffinch.train.neftune import Neftune
from chaffinch.train.options import resolve

Batch = dict[str, torch.Tensor]
SIZES: dict[str, dict[str, int]] = {
    "7b": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32},
    "tiny": {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 1, "num_attention_heads": 8},
}
# flex_attention has no way back on a CPU.
PACKED = ("chaffinch", "flex_attention", "sdpa") if torch.cuda.is_available() else ("chaffinch", "sdpa")
MOST_MEMORY, TOKENS_A_SECOND, OVER_PADDED = 24e9, 8000, 3.0
DIFFERENCE = {torch.float32: 1e-4, torch.bfloat16: 2e-2}


def network_of(size: str, length: int, device: str, dtype: torch.dtype) -> Any:
    """A Mistral with random weights, its projections in NF4 with double quantisation."""
    import bitsandbytes as bnb

    heads = {"num_key_value_heads": SIZES[size]["num_attention_heads"] // 4}
    config = transformers.MistralConfig(
        vocab_size=32000, max_position_embeddings=length, sliding_window=None, **SIZES[size], **heads
    )
    with torch.device(device):
        network = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    for name, layer in list(network.named_modules()):
        if not isinstance(layer, torch.nn.Linear) or name == "lm_head":
            continue
        sides = (layer.in_features, layer.out_features)
        packed = bnb.nn.Linear4bit(*sides, bias=False, compute_dtype=dtype, quant_type="nf4", device="meta")
        weights = layer.weight.data.cpu()
        packed.weight = bnb.nn.Params4bit(weights, requires_grad=False, quant_type="nf4").to(device)
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, packed)
    network.is_loaded_in_4bit = True
    network.config.use_cache = False
    return network.requires_grad_(False)


def documents(count: int, most: int) -> list[torch.Tensor]:
    """Token ids; the lengths' median is 300, as of instructions with their answers."""
    generator = np.random.default_rng(7)
    lengths = np.clip(generator.lognormal(np.log(300), 0.9, count), 16, most).astype(int)
    return [torch.from_numpy(generator.integers(3, 32000, length)) for length in lengths]


def labels_of(document: torch.Tensor) -> torch.Tensor:
    """Two thirds are prompt."""
    labels = document.clone()
    labels[: 2 * len(document) // 3] = loss.UNTRAINED
    return labels


def packed_batches(some: list[torch.Tensor], length: int, rows: int) -> Iterator[Batch]:
    """`rows` packs a batch, one behind the other, as `PackedDataset` gives them."""
    table, _ = pack(np.array([len(one) for one in some]), length, seed=0)
    number, row = table["pack"].to_numpy(), table["row"].to_numpy()
    for start in range(0, int(number.max()) + 1 - rows + 1, rows):
        here = [some[at] for at in row[(number >= start) & (number < start + rows)]]
        positions = [torch.arange(len(one)) for one in here]
        yield {
            "input_ids": torch.cat(here)[None],
            "position_ids": torch.cat(positions)[None],
            "labels": torch.cat([labels_of(one) for one in here])[None],
        }


def padded_batches(some: list[torch.Tensor], rows: int | None, tokens: int) -> Iterator[Batch]:
    """`rows` documents a batch, or as many of the next ones as padded have at most so many tokens."""
    at = 0
    while at < len(some):
        end = at + 1
        while end < len(some) and (
            end - at < rows if rows else max(map(len, some[at : end + 1])) * (end + 1 - at) <= tokens
        ):
            end += 1
        here, at = some[at:end], end
        pad = torch.nn.utils.rnn.pad_sequence
        yield {
            "input_ids": pad(here, batch_first=True),
            "labels": pad([labels_of(one) for one in here], batch_first=True, padding_value=loss.UNTRAINED),
            "attention_mask": pad([torch.ones_like(one) for one in here], batch_first=True),
        }


def real_tokens(batch: Batch) -> int:
    return int(batch["attention_mask"].sum()) if "attention_mask" in batch else batch["input_ids"].numel()


def one_pass(adapted: Any, batch: Batch, *, noise: Neftune | None, chunk: int) -> torch.Tensor:
    """The mean loss; of packs as a run computes it, of padded rows with their mask."""
    network = adapted.get_base_model()
    ids, labels = batch["input_ids"], batch["labels"]
    if "attention_mask" not in batch:
        states = loss.hidden_states(network, ids, batch["position_ids"], noise)
    else:
        embedded = network.get_input_embeddings()(ids)
        if noise is not None:
            embedded = noise(embedded, torch.arange(ids.shape[1], device=ids.device).expand(ids.shape))
        mask = batch["attention_mask"]
        states = network.get_decoder()(inputs_embeds=embedded, attention_mask=mask, use_cache=False).last_hidden_state
    return loss.summed_loss(network.get_output_embeddings(), states, labels, chunk) / (labels != loss.UNTRAINED).sum()


def measured(run: Callable[[Batch], torch.Tensor], batches: list[Batch], step: Callable[[], None]) -> tuple[float, int]:
    """Real tokens a second over the batches behind the first two, and the peak of memory in bytes."""
    cuda = torch.cuda.is_available()
    started = tokens = 0.0
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for number, batch in enumerate(batches):
        if number == 2:
            if cuda:
                torch.cuda.synchronize()
            started, tokens = time.perf_counter(), 0.0
        run(batch).backward()
        tokens += real_tokens(batch)
        step()
    if cuda:
        torch.cuda.synchronize()
    return tokens / (time.perf_counter() - started), torch.cuda.max_memory_allocated() if cuda else 0


def main() -> None:
    cuda = torch.cuda.is_available()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="7b" if cuda else "tiny")
    parser.add_argument("--length", type=int, default=8192 if cuda else 256)
    parser.add_argument("--passes", type=int, default=10, help="behind two that are not counted")
    chosen = parser.parse_args()
    device, dtype = ("cuda", torch.bfloat16) if cuda else ("cpu", torch.float32)
    options = resolve("birbal", {"length": chosen.length, "dtype": "bfloat16" if cuda else "float32"})
    torch.manual_seed(0)
    register()
    network = network_of(chosen.size, chosen.length, device, dtype)
    adapted = model.with_adapter(network, options)
    adapted.get_base_model().activation_checkpointing_enable({"use_reentrant": False})
    trained, parameters = model.count_parameters(adapted)
    header(
        "train",
        ["torch", "transformers", "peft", "bitsandbytes"],
        device=torch.cuda.get_device_name() if cuda else f"cpu, {torch.get_num_threads()} threads",
        parameters=parameters,
        trained=trained,
        length=chosen.length,
        rows=options.micro_batch,
        passes=chosen.passes,
    )
    tokens, wanted = chosen.length * options.micro_batch, chosen.passes + 2
    some = documents(max(64, wanted * tokens // 250), chosen.length)
    packs = list(islice(packed_batches(some, chosen.length, options.micro_batch), wanted))
    works: dict[str, tuple[str, list[Batch]]] = {f"packed, {name}": (name, packs) for name in PACKED}
    for title, rows in ((f"{options.micro_batch} rows", options.micro_batch), ("filled", None)):
        works[f"padded, sdpa, {title}"] = ("sdpa", list(islice(padded_batches(some, rows, tokens), wanted)))
    works = {
        name: (attention, [{key: values.to(device) for key, values in batch.items()} for batch in batches])
        for name, (attention, batches) in works.items()
    }
    noise = Neftune(options.neftune_alpha or 0.0, chosen.length)
    first: float | None = None
    for name in PACKED:
        adapted.get_base_model().set_attn_implementation(name)
        with loss.evaluating(adapted):
            found = float(one_pass(adapted, works[f"packed, {name}"][1][0], noise=None, chunk=options.loss_chunk))
        first = found if first is None else first
        assert abs(found - first) <= DIFFERENCE[dtype] * first, f"{name}: a loss of {found}, not {first}"
    speeds: dict[str, float] = {}
    for name, (attention, batches) in works.items():
        adapted.get_base_model().set_attn_implementation(attention)
        adapted.train()
        optimizer = optimizer_of(adapted, options.optimizer)
        run = partial(one_pass, adapted, noise=noise, chunk=options.loss_chunk)
        speeds[name], peak = measured(run, batches, partial(stepped, optimizer))
        print(f"  {name:<28} {speeds[name]:10,.0f} tokens/s   peak {peak / 1e9:5.1f} GB")
        if cuda and name == "packed, chaffinch":
            print(f"  {'':<28} bar {MOST_MEMORY / 1e9:g} GB: {'met' if peak <= MOST_MEMORY else 'MISSED'}")
    best = max((name for name in speeds if name.startswith("packed")), key=speeds.__getitem__)
    print(f"  best: {best}" + (f", bar {TOKENS_A_SECOND:,} tokens/s on an H100" if cuda else ""))
    for name in speeds:
        if name.startswith("padded"):
            ratio = speeds[best] / speeds[name]
            verdict = f"   bar {OVER_PADDED:g}x: {'met' if ratio >= OVER_PADDED else 'MISSED'}" if cuda else ""
            print(f"  {best} over {name}: {ratio:.2f}x{verdict}")
    if not cuda:
        print(f"  no GPU: a tiny model on a CPU, with torch {version('torch')}; nothing here is a speed to expect")


def optimizer_of(adapted: Any, name: str) -> Any:
    """The preset's own, made by transformers' Trainer for the weights that are trained."""
    from bitsandbytes.optim import PagedAdamW32bit

    assert name == "paged_adamw_32bit"
    return PagedAdamW32bit([weights for weights in adapted.parameters() if weights.requires_grad], lr=2e-5)


def stepped(optimizer: Any) -> None:
    optimizer.step()
    optimizer.zero_grad()


if __name__ == "__main__":
    main()
