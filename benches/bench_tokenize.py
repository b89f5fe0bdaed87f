"""tokenize: rows to ids and labels against `datasets.map` with the fast tokenizer in two processes.

Rows are real instructions, no two alike: those of `quickstart`'s sources, in the order of their hashes; behind the
last the first ones come again. Two peers: the batched function that a careful user writes (a format string, the
tokenizer with offsets, the mask from the offsets) and `apply_chat_template` with its mask.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow as pa
from common import byte_level_bpe, header, report, timed
from transformers import PreTrainedTokenizerFast

import chaffinch as cf
from chaffinch.readers import read_source
from chaffinch.recipe.load import load_recipe

REAL = Path(__file__).parents[2] / "shared" / "data"
SPECIALS = ["<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}{% else %}{{ m['content'] }}<|im_end|>{% endif %}"
    "{{ '\n' }}{% endfor %}"
)


def conversations(cache: Path) -> list[list[dict[str, str]]]:
    """The different rows of one turn."""
    found = {}
    for source in load_recipe("quickstart", {}).sources:
        for shard in read_source(source, REAL, cache):
            table = pa.ipc.open_file(pa.memory_map(str(shard.path))).read_all()
            columns = (table[name].to_pylist() for name in ("content_hash", "instruction", "input", "references"))
            for content_hash, instruction, text, references in zip(*columns, strict=True):
                if references:
                    asked = "\n\n".join(part for part in (instruction, text) if part.strip())
                    found[content_hash] = [
                        {"role": "user", "content": asked},
                        {"role": "assistant", "content": references[0]},
                    ]
    return [found[content_hash] for content_hash in sorted(found)]


def trained(talks: list[list[dict[str, str]]]) -> PreTrainedTokenizerFast:
    made = byte_level_bpe(turn["content"] for talk in talks[:12_000] for turn in talk)
    made.add_special_tokens(SPECIALS)
    return PreTrainedTokenizerFast(tokenizer_object=made, chat_template=TEMPLATE, eos_token="<|im_end|>")


def by_offsets(batch: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    texts, starts = [], []
    for user, assistant in batch["messages"]:
        head = f"<|im_start|>user\n{user['content']}<|im_end|>\n<|im_start|>assistant\n"
        texts.append(f"{head}{assistant['content']}<|im_end|>\n")
        starts.append(len(head))
    encoded = tokenizer(texts, add_special_tokens=False, return_offsets_mapping=True)
    labels = []
    for ids, offsets, start, text in zip(encoded["input_ids"], encoded["offset_mapping"], starts, texts, strict=True):
        end = len(text) - 1
        labels.append([token if b > start and a < end else -100 for token, (a, b) in zip(ids, offsets, strict=True)])
    return {"input_ids": encoded["input_ids"], "labels": labels}


def by_template(batch: dict[str, Any], tokenizer: PreTrainedTokenizerFast) -> dict[str, Any]:
    made = tokenizer.apply_chat_template(
        batch["messages"], tokenize=True, return_assistant_tokens_mask=True, return_dict=True
    )
    pairs = zip(made["input_ids"], made["assistant_masks"], strict=True)
    labels = [[token if learned else -100 for token, learned in zip(*pair, strict=True)] for pair in pairs]
    return {"input_ids": made["input_ids"], "labels": labels}


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--repeats", type=int, default=2)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as cache:
        different = conversations(Path(cache))
    talks = [different[at % len(different)] for at in range(asked.rows)]
    tokenizer = trained(talks)
    data = datasets.Dataset.from_dict({"messages": talks})
    datasets.disable_caching()
    datasets.disable_progress_bars()
    peers = ["datasets", "tokenizers", "transformers"]
    size = sum(len(turn["content"].encode()) for talk in talks for turn in talk)
    header("tokenize", peers, rows=asked.rows, different=len(different), bytes=size)
    with tempfile.TemporaryDirectory() as folder:

        def mapped(work: Any, rows: datasets.Dataset) -> datasets.Dataset:
            return rows.map(
                work,
                batched=True,
                num_proc=2,
                fn_kwargs={"tokenizer": tokenizer},
                remove_columns=["messages"],
                cache_file_name=str(Path(folder) / "mapped.arrow"),
            )

        table = data.data.table
        ours = cf.tokenize(table.slice(0, 20_000), tokenizer, template="chatml", max_length=100_000).table
        few = data.select(range(len(ours)))
        for peer in (by_offsets, by_template):
            theirs = mapped(peer, few).with_format("arrow")[:]
            for name in ("input_ids", "labels"):
                mine, other = (np.concatenate([c.flatten().to_numpy() for c in t[name].chunks]) for t in (ours, theirs))
                assert np.array_equal(mine, other), f"{name} of {peer.__name__}"
        times = {
            "chaffinch": timed(
                lambda: cf.tokenize(table, tokenizer, template="chatml", max_length=100_000), asked.repeats
            )[0],
            "chaffinch, one thread": timed(
                lambda: cf.tokenize(table, tokenizer, template="chatml", max_length=100_000, threads=1), asked.repeats
            )[0],
            "datasets.map by offsets, 2 processes": timed(lambda: mapped(by_offsets, data), asked.repeats)[0],
            "datasets.map apply_chat_template, 2 processes": timed(lambda: mapped(by_template, data), 1)[0],
        }
    report(times, "chaffinch", {"datasets.map by offsets, 2 processes": 2.0})


if __name__ == "__main__":
    main()
