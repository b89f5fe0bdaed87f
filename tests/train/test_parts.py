"""Loss, noise, adapter and self-test, each against what it should be."""

import math
from collections.abc import Callable
from typing import Any

import pytest

import chaffinch as cf
from tests import packed

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
pytest.importorskip("peft")

from chaffinch.train import model, selftest  # noqa: E402
from chaffinch.train.loss import hidden_states, summed_loss  # noqa: E402
from chaffinch.train.neftune import Neftune  # noqa: E402
from chaffinch.train.options import resolve  # noqa: E402


def batch(lengths: tuple[int, ...] = (9, 1, 30, 24)) -> dict[str, Any]:
    """Random documents in one row, their first tokens without labels."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(3, packed.WORDS, (1, sum(lengths)), generator=generator)
    labels = ids.clone()
    starts = [sum(lengths[:at]) for at in range(len(lengths))]
    for start in starts:
        labels[0, start : start + 3] = -100
    positions = torch.cat([torch.arange(length) for length in lengths])[None]
    return {"input_ids": ids, "labels": labels, "position_ids": positions}


@pytest.mark.parametrize("chunk", [1, 7, 1024])
def test_loss_in_parts_is_the_loss(chunk: int) -> None:
    network, rows = packed.model("chaffinch"), batch()
    gradients = []
    for plain in (True, False):
        network.zero_grad()
        if plain:
            logits = network(input_ids=rows["input_ids"], position_ids=rows["position_ids"], use_cache=False).logits
            loss = torch.nn.functional.cross_entropy(logits[0, :-1], rows["labels"][0, 1:], reduction="sum")
        else:
            states = hidden_states(network, rows["input_ids"], rows["position_ids"])
            loss = summed_loss(network.get_output_embeddings(), states, rows["labels"], chunk)
        loss.backward()
        gradients.append([float(loss.detach()), *(weights.grad.clone() for weights in network.parameters())])
    (one, *ones), (other, *others) = gradients
    assert one == pytest.approx(other, rel=1e-6)
    for mine, right in zip(others, ones, strict=True):
        torch.testing.assert_close(mine, right, rtol=1e-4, atol=1e-5)


def test_few_logits_are_there_at_a_time() -> None:
    sizes, head = [], torch.nn.Linear(4, 7)

    def watched(states: Any) -> Any:
        sizes.append(len(states))
        return head(states)

    labels = torch.arange(100)[None] % 7
    labels[:, :40] = -100
    summed_loss(watched, torch.randn(1, 100, 4, requires_grad=True), labels, 16).backward()
    assert sizes == [16, 16, 16, 12, 12, 16, 16, 16], "there, and back"


def test_a_batch_without_labels_has_a_gradient_of_zeros() -> None:
    states = torch.randn(1, 5, 4, requires_grad=True)
    loss = summed_loss(torch.nn.Linear(4, 7), states, torch.full((1, 5), -100), 3)
    loss.backward()
    assert float(loss.detach()) == 0
    assert not states.grad.any()


@pytest.mark.parametrize(("length", "expected"), [(8192, [8192] * 4), (None, [9, 1, 30, 24])])
def test_noise_is_the_formulas(length: int | None, expected: list[int]) -> None:
    torch.manual_seed(0)
    positions, size = batch()["position_ids"], 4096
    noise = Neftune(5.0, length)(torch.zeros(1, 64, size), positions)[0]
    start = 0
    for tokens, used in zip((9, 1, 30, 24), expected, strict=True):
        mine = noise[start : start + tokens]
        most = 5.0 / math.sqrt(used * size)
        assert float(mine.abs().max()) <= most
        assert float(mine.abs().max()) > 0.99 * most
        assert float(mine.std()) == pytest.approx(most / math.sqrt(3), rel=0.05)
        start += tokens


def test_noise_of_a_document_alone_is_transformers_own() -> None:
    """In bfloat16, too, the scale is the same; the numbers drawn are others."""
    from transformers.integrations.neftune import neftune_post_forward_hook

    embedded = torch.zeros(1, 50, 512)
    layer = torch.nn.Embedding(1, 1)
    layer.neftune_noise_alpha = torch.tensor(5.0)
    theirs = neftune_post_forward_hook(layer, None, embedded)
    ours = Neftune(5.0, None)(embedded, torch.arange(50)[None])
    assert float(ours.abs().max()) == pytest.approx(float(theirs.abs().max()), rel=1e-3)


def lora_parameters(rank: int, shapes: list[tuple[int, int]], layers: int) -> int:
    return layers * sum(rank * (inner + outer) for inner, outer in shapes)


COUNTS = [
    # 40 layers, hidden size 5,120.
    (
        "flacuna",
        "LlamaConfig",
        {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40},
        lora_parameters(8, [(5120, 5120)] * 2, 40),
        6_553_600,
    ),
    # 32 layers, hidden size 4,096, keys and values of 8 heads of 128.
    (
        "birbal",
        "MistralConfig",
        {},
        lora_parameters(
            128, [(4096, 4096)] * 2 + [(4096, 1024)] * 2 + [(4096, 14336)] * 2 + [(14336, 4096)], 32
        ),
        335_544_320,
    ),
]  # fmt: skip


@pytest.mark.parametrize(("preset", "config", "sizes", "computed", "told"), COUNTS)
def test_trainable_parameters(preset: str, config: str, sizes: dict[str, int], computed: int, told: int) -> None:
    with torch.device("meta"):
        base = transformers.AutoModelForCausalLM.from_config(getattr(transformers, config)(**sizes))
        base.requires_grad_(False)
        everything = sum(weights.numel() for weights in base.parameters())
        adapted = model.with_adapter(base, resolve(preset))
    assert model.count_parameters(adapted) == (told, everything + told)
    assert computed == told
    assert {weights.dtype for weights in adapted.parameters() if weights.requires_grad} == {torch.float32}


def test_a_target_that_is_not_there() -> None:
    with pytest.raises(cf.RecipeError, match=r"no layer c_attn\nhint: it has .*q_proj"):
        model.with_adapter(packed.model("sdpa"), resolve("birbal", {"lora_targets": ["c_attn"]}))


@pytest.mark.parametrize("attention", ["chaffinch", "sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_documents_that_are_kept_apart_pass(attention: str, dtype: Any) -> None:
    network = packed.model(attention).to(dtype).train()
    assert selftest.check(network, batch()) <= selftest.TOLERANCE[dtype] / 10
    assert network.training


def ones(**given: Any) -> dict[str, Any]:
    return {"attention_mask": torch.ones(given["position_ids"].shape, dtype=torch.int64)}


BROKEN: dict[str, Callable[..., dict[str, Any]]] = {
    "cache": lambda **_: {"use_cache": True},
    "mask": ones,
    "positions": lambda **_: {"position_ids": None},
}


@pytest.mark.parametrize("broken", BROKEN)
@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_documents_that_see_each_other_are_found(broken: str, attention: str, dtype: Any) -> None:
    network = packed.model(attention).to(dtype)
    decoder, plain = network.get_decoder(), network.get_decoder().forward
    decoder.forward = lambda **given: plain(**{**given, **BROKEN[broken](**given)})
    with pytest.raises(cf.DataError, match=r"see each other: with attention '\w+'.*\nhint: "):
        selftest.check(network, batch())


def test_logits_that_are_changed_behind_the_last_layer_are_found() -> None:
    network = packed.model("chaffinch")
    plain = network.forward

    def capped(**given: Any) -> Any:
        found = plain(**given)
        found.logits = torch.tanh(found.logits)
        return found

    network.forward = capped
    with pytest.raises(cf.DataError, match="is not that of its last layer"):
        selftest.check(network, batch())


def test_first_documents_are_some_and_whole() -> None:
    rows = batch((9, 1, 30, 24))
    for tokens, expected in [(5, 10), (10, 10), (39, 10), (40, 40), (1000, 64)]:
        found = selftest.first_documents(rows, tokens)
        assert {name: values.shape[1] for name, values in found.items()} == dict.fromkeys(rows, expected)
    assert selftest.first_documents(batch((5,)), 2)["labels"].shape == (1, 5)
