"""Packs and documents through the loaders of axolotl and LLaMA-Factory: what they train on is what was written.

Neither is installed with the other packages, for both pin versions that exclude those; what is missing skips. All of it
runs with torch, transformers, trl and datasets at hand after

    pip install --no-deps axolotl==0.19.0 llamafactory==0.9.5 numba llvmlite addict antlr4-python3-runtime \\
        backoff colorama distro omegaconf posthog sentencepiece tyro
"""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from chaffinch.handover.forms import finish, write_documents, write_packs
from tests.packed import alone, documents, found, model, packs, tokenizer

torch = pytest.importorskip("torch")
datasets = pytest.importorskip("datasets")

pytestmark = pytest.mark.filterwarnings("ignore")


def losses(network: Any, batch: dict[str, Any], starts: list[int]) -> list[float]:
    """By document, its loss summed over its labels, as the batch goes through the model."""
    labels = batch.pop("labels")[0]
    with torch.no_grad():
        logits = network(**batch, use_cache=False).logits[0]
    each = torch.nn.functional.cross_entropy(logits[:-1].float(), labels[1:], ignore_index=-100, reduction="none")
    return [float(part.sum()) for part in torch.tensor_split(torch.cat([each.new_zeros(1), each]), starts)]


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_llama_factory(attention: str, tmp_path: Path) -> None:
    pytest.importorskip("llamafactory")
    # Its audio plug-in imports it; there is no build of it for every torch.
    sys.modules.setdefault("torchaudio", ModuleType("torchaudio"))
    loader = pytest.importorskip("llamafactory.data.loader", exc_type=ImportError)
    from llamafactory.data.collator import SFTDataCollatorWith4DAttentionMask
    from llamafactory.data.template import TEMPLATES

    made = documents()
    folder = tmp_path / "tokenized"
    finish("llama-factory", folder, write_packs("llama-factory", folder, "train", packs(made), 128))
    arguments = SimpleNamespace(tokenized_path=str(folder), streaming=False)
    rows = loader.get_dataset(None, None, arguments, None, "sft", None)["train_dataset"]
    network = model(attention)
    network.config.sliding_window = None  # its 4-D mask knows no window
    collate = SFTDataCollatorWith4DAttentionMask(
        template=TEMPLATES["mistral"],
        model=network,
        tokenizer=tokenizer(),
        pad_to_multiple_of=8,
        block_diag_attn=True,
        neat_packing=True,
        attn_implementation=attention,
    )
    by_ids, seen = dict(made), 0
    for row in rows:
        batch = dict(collate([dict(row), dict(row)]))
        assert batch["input_ids"].shape == (2, 128)
        batch = {name: values[:1] for name, values in batch.items()}
        segments = np.array(row["attention_mask"])
        starts = (np.flatnonzero(np.diff(segments)) + 1).tolist()
        parts = np.split(np.array(row["input_ids"]), starts)
        for ids, loss, segment in zip(parts, losses(network, batch, starts), segments[[0, *starts]], strict=True):
            if segment:
                key = tuple(ids.tolist())
                assert loss == pytest.approx(float(alone(network, (key, by_ids[key])).detach()), abs=1e-4)
                seen += 1
    assert seen == len(made)


def test_axolotl(tmp_path: Path) -> None:
    trainer = pytest.importorskip("axolotl.utils.trainer", exc_type=ImportError)
    from axolotl.utils.collators.batching import V2BatchSamplerDataCollatorForSeq2Seq
    from axolotl.utils.dict import DictDefault
    from axolotl.utils.samplers import MultipackBatchSampler, get_dataset_lengths

    made = documents()
    files = write_documents(tmp_path, "train", found(made), np.arange(len(made)))
    rows = datasets.Dataset.from_parquet(str(tmp_path / files[0].file), cache_dir=str(tmp_path / "cache"))
    config = DictDefault(sample_packing=True, model_config_type="mistral", dataset_num_proc=1, is_preprocess=True)
    rows, _ = trainer.process_datasets_for_packing(config, rows, None)
    assert len(rows) == len(made)
    sampler = MultipackBatchSampler(
        range(len(rows)),
        batch_size=1,
        batch_max_len=128,
        lengths=get_dataset_lengths(rows),
        bin_size=200,
        drop_last=False,
        num_processes=1,
    )
    collate = V2BatchSamplerDataCollatorForSeq2Seq(tokenizer=tokenizer())
    network, by_ids, seen = model("sdpa"), dict(made), 0
    for batches in sampler:
        batch = dict(collate([[rows[number] for number in numbers] for numbers in batches]))
        batch.pop("attention_mask")  # axolotl's kernels go by the positions
        positions = batch["position_ids"][0]
        starts = (positions == 0).nonzero().flatten().tolist()[1:]
        parts = torch.tensor_split(batch["input_ids"][0], starts)
        for ids, loss in zip(parts, losses(network, batch, starts), strict=True):
            key = tuple(ids.tolist())
            assert loss == pytest.approx(float(alone(network, (key, by_ids[key])).detach()), abs=1e-4)
            seen += 1
    assert seen == len(made)
