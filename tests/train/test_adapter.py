"""What a run leaves is evaluated as any model is."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

import chaffinch as cf
from chaffinch.evaluation.answering import Answerer, Until
from chaffinch.progress import NoProgress
from chaffinch.recipe.score import Transformers
from tests.train.made import train

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")


@pytest.fixture(scope="module")
def trained(built: Path, model: str, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return train(built, tmp_path_factory.mktemp("trained"), model, epochs=1)


def answerer(folder: Path | str, cache: Path) -> Answerer:
    return Answerer(Transformers(model=str(folder), device="cpu"), cache, NoProgress())


def test_an_adapter_answers_as_peft_has_it(trained: Any, model: str, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    mine, tokenizer = answerer(trained.adapter, tmp_path).parts()
    base = AutoModelForCausalLM.from_pretrained(model)
    ids = torch.tensor([tokenizer("### Input:\nWho counts the birds?")["input_ids"]])
    with torch.no_grad():
        plain = base(ids).logits
        theirs = PeftModel.from_pretrained(base, trained.adapter).eval()(ids).logits
        found = mine(ids).logits
    torch.testing.assert_close(found, theirs, rtol=1e-4, atol=1e-5)
    assert float((found - plain).abs().max()) > 0.1


def test_base_and_adapter_are_the_models_identity(trained: Any, model: str, tmp_path: Path) -> None:
    plain, adapted = (answerer(folder, tmp_path).identity(Until(1)) for folder in (model, trained.adapter))
    assert adapted["base"]["files"] == plain["files"]
    other = shutil.copytree(trained.adapter, tmp_path / "other")
    weights = other / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\0")
    assert len({answerer(folder, tmp_path).hash() for folder in (model, trained.adapter, other)}) == 3


def test_adapters_without_their_base_are_refused(trained: Any, tmp_path: Path) -> None:
    alone = shutil.copytree(trained.adapter, tmp_path / "alone")
    config = json.loads((alone / "adapter_config.json").read_text())
    (alone / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": None}))
    with pytest.raises(cf.DataError, match="names no base model\nhint: "):
        answerer(alone, tmp_path).hash()
    (alone / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(tmp_path)}))
    with pytest.raises(cf.DataError, match=r"is an adapter, and its base model is not there: .* has no config.json"):
        answerer(alone, tmp_path).hash()
