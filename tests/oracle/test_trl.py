"""Packs in TRL's own trainer: the loss is that of the single documents, and none sees another."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import chaffinch as cf
from chaffinch.handover.forms import write_packs
from tests.packed import LENGTH, WORDS, Document, alone, documents, model, packs, tokenizer

torch = pytest.importorskip("torch")
trl = pytest.importorskip("trl")
datasets = pytest.importorskip("datasets")

pytestmark = pytest.mark.filterwarnings("ignore:`gradient_checkpointing` is deprecated:FutureWarning")

ATTENTIONS = ["eager", "sdpa", "chaffinch"]


def dataset(made: list[Document], folder: Path, **spec: Any) -> Any:
    """The packs as a `datasets.Dataset`, by way of the files."""
    files = write_packs("trl", folder, "train", packs(made, **spec), LENGTH)
    return datasets.Dataset.from_parquet([str(folder / file.file) for file in files], cache_dir=str(folder / "cache"))


def split(row: dict[str, Any]) -> list[tuple[int, ...]]:
    ends = np.cumsum(row["seq_lengths"])[:-1]
    return [tuple(part.tolist()) for part in np.split(np.array(row["input_ids"]), ends)]


def trainer(attention: str, rows: Any, folder: Path, *, kind: Any = None, **settings: Any) -> Any:
    config = cf.trl_config(
        folder / "run", use_cpu=True, bf16=False, report_to=[], save_strategy="no", disable_tqdm=True, **settings
    )
    return (kind or trl.SFTTrainer)(
        model=model(attention), args=config, train_dataset=rows, processing_class=tokenizer()
    )


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_loss_is_that_of_the_single_documents(attention: str, tmp_path: Path) -> None:
    made = documents()
    by_ids = dict(made)
    seen: list[tuple[int, ...]] = []
    differences = []

    class Watched(trl.SFTTrainer):
        def compute_loss(self, network: Any, inputs: Any, *more: Any, **named: Any) -> Any:
            starts = (inputs["position_ids"][0] == 0).nonzero().flatten().tolist()[1:]
            found = [tuple(part.tolist()) for part in torch.tensor_split(inputs["input_ids"][0], starts)]
            seen.extend(found)
            labels = sum(label != -100 for ids in found for label in by_ids[ids])
            with torch.no_grad():
                expected = sum(alone(network, (ids, by_ids[ids])) for ids in found) / labels
            loss = super().compute_loss(network, inputs, *more, **named)
            differences.append(abs(float(loss.detach()) - float(expected)))
            return loss

    rows = dataset(made, tmp_path)
    run = trainer(
        attention, rows, tmp_path, kind=Watched, per_device_train_batch_size=2, max_steps=3, learning_rate=1e-2
    )
    before = next(run.model.parameters()).detach().clone()
    run.train()
    assert len(differences) == 3
    assert max(differences) < 1e-5
    assert not torch.equal(before, next(run.model.parameters()).detach().cpu()), "it learns"
    assert set(seen) <= set(by_ids)
    assert len(set(seen)) == len(seen)


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("multiple", [1, 64])
def test_no_document_sees_another(attention: str, multiple: int, tmp_path: Path) -> None:
    made = documents(20)
    network = model(attention)

    def losses(rows: Any) -> dict[tuple[int, ...], float]:
        collate = trainer(attention, rows, tmp_path, per_device_train_batch_size=1).data_collator
        found = {}
        for row in rows:
            inputs = collate([{name: row[name] for name in ("input_ids", "labels", "seq_lengths")}])
            with torch.no_grad():
                labels = inputs.pop("labels")[0]
                logits = network(**inputs, use_cache=False).logits[0]
            each = torch.nn.functional.cross_entropy(
                logits[:-1].float(), labels[1:], ignore_index=-100, reduction="none"
            )
            ends = np.cumsum(row["seq_lengths"])
            for ids, start, end in zip(split(row), [0, *ends[:-1]], ends, strict=True):
                found[ids] = float(each[start : end - 1].sum())
        return found

    before = losses(dataset(made, tmp_path / "before", pad_to_multiple_of=multiple))
    ids, labels = made[3]
    changed = tuple((number - 3 + 17) % (WORDS - 3) + 3 for number in ids)
    other = [*made[:3], (changed, (-100, *changed[1:])), *made[4:]]
    after = losses(dataset(other, tmp_path / "after", pad_to_multiple_of=multiple))
    assert set(before) - set(after) == {ids}
    assert abs(before[ids] - after[changed]) > 1e-2
    assert max(abs(before[one] - after[one]) for one in before if one != ids) < 1e-5
    for one, labels in made:
        with torch.no_grad():
            assert abs(float(alone(network, (one, labels))) - before[one]) < 1e-4


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"packing": True}, "packing"),
    ({"padding_free": False}, "padding_free"),
    ({"eval_packing": True}, "eval_packing"),
    ({"max_length": 1024}, "max_length"),
    ({"use_cache": True}, "use_cache"),
    ({"model_init_kwargs": {"use_cache": True}}, "use_cache"),
    ({"dataset_kwargs": {"skip_prepare_dataset": False}}, "skip_prepare_dataset"),
    ({"assistant_only_loss": True}, "assistant_only_loss"),
    ({"completion_only_loss": True}, "completion_only_loss"),
]


@pytest.mark.parametrize(("settings", "named"), WRONG)
def test_wrong_settings_are_refused(settings: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=named) as refused:
        cf.trl_config(tmp_path, **settings)
    assert "\nhint: " in str(refused.value)


def test_wrong_columns_are_refused(tmp_path: Path) -> None:
    rows = dataset(documents(5), tmp_path)
    assert cf.trl_config(tmp_path, dataset=rows, use_cpu=True, bf16=False).padding_free
    for wrong in (rows.remove_columns("seq_lengths"), rows.add_column("attention_mask", [[1]] * len(rows))):
        with pytest.raises(ValueError, match="see each other\nhint: "):
            cf.trl_config(tmp_path, dataset=wrong)


def test_the_refused_settings_are_wrong(tmp_path: Path) -> None:
    """What the helper refuses does let documents see each other: TRL says nothing."""
    made = documents(20)
    rows = dataset(made, tmp_path)
    network = model("sdpa")

    def error(*, padding_free: bool) -> float:
        run = trainer("sdpa", rows, tmp_path, per_device_train_batch_size=1)
        run.data_collator.padding_free = padding_free
        inputs = run.data_collator([{name: rows[0][name] for name in ("input_ids", "labels", "seq_lengths")}])
        inputs.pop("labels")
        with torch.no_grad():
            together = network(**inputs, use_cache=False).logits[0]
            single = torch.cat(
                [network(input_ids=torch.tensor([ids]), use_cache=False).logits[0] for ids in split(rows[0])]
            )
        return float((together - single).abs().max())

    assert error(padding_free=True) < 1e-4
    assert error(padding_free=False) > 1e-1
