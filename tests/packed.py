"""Documents, a tiny model and its tokenizer, for tests of packs; needs torch and transformers."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from chaffinch.handover.documents import Documents
from chaffinch.handover.packs import Packs
from chaffinch.recipe.pack import Pack
from tests.made_tokenizers import llama2, save

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

WORDS = 96
LENGTH = 128
Document = tuple[tuple[int, ...], tuple[int, ...]]


def documents(count: int = 40, seed: int = 0) -> list[Document]:
    """Ids and labels, the labels of a prompt of 1 to 5 tokens -100."""
    generator = np.random.default_rng(seed)
    made = []
    for length in generator.integers(3, 60, count).tolist():
        ids = tuple(generator.integers(3, WORDS, length).tolist())
        prompt = int(generator.integers(1, min(6, length)))
        made.append((ids, (-100,) * prompt + ids[prompt:]))
    return made


def found(made: list[Document]) -> Documents:
    """The documents as a table's."""
    table = pa.table({"input_ids": [list(ids) for ids, _ in made], "labels": [list(labels) for _, labels in made]})
    return Documents(table)


def packs(made: list[Document], length: int = LENGTH, **spec: Any) -> Packs:
    """Packs of all of them."""
    return Packs(found(made), np.arange(len(made), dtype=np.uint32), Pack(length=length, **spec), 7)


def model(attention: str) -> Any:
    from chaffinch.train.attention import register

    register()
    torch.manual_seed(0)
    config = transformers.MistralConfig(
        vocab_size=WORDS,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=256,
        sliding_window=40,
        initializer_range=0.3,
    )
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation=attention)


def tokenizer() -> Any:
    from tokenizers import Tokenizer, models

    words = {f"w{number}": number for number in range(WORDS)}
    fast = Tokenizer(models.WordLevel(words, unk_token="w0"))
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=fast, unk_token="w0", pad_token="w1", bos_token="w2", eos_token="w2"
    )


def save_model(folder: Path) -> None:
    """A tiny random Mistral and its tokenizer, as a folder that `from_pretrained` reads."""
    fast = llama2()
    save(folder, fast)
    special = {"unk_token": "<unk>", "bos_token": "<s>", "eos_token": "</s>"}
    transformers.PreTrainedTokenizerFast(tokenizer_object=fast, **special).save_pretrained(folder)
    config = transformers.MistralConfig(
        vocab_size=fast.get_vocab_size(),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(folder)


def alone(network: Any, document: Document) -> Any:
    """The document's loss, summed over its labels, when nothing else is in the batch."""
    ids, labels = (torch.tensor([values]) for values in document)
    logits = network(input_ids=ids, use_cache=False).logits[0, :-1]
    return torch.nn.functional.cross_entropy(logits.float(), labels[0, 1:], ignore_index=-100, reduction="sum")
