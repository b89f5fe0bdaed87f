"""The loss of a batch of packs, without the logits of all its tokens in memory at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.nn.functional import cross_entropy
from torch.utils.checkpoint import checkpoint

UNTRAINED = -100


@contextmanager
def evaluating(model: Any) -> Iterator[None]:
    """Without noise and dropout.

    On a CPU bitsandbytes lays out anew the weights of a layer that is put into evaluation, and gradients do not go
    through what they are then: such layers, which do the same in both, stay as they are.
    """
    was, _ = model.training, model.eval()
    for layer in model.modules():
        if type(layer).__name__ == "Linear4bit":
            layer.training = True
    try:
        with torch.no_grad():
            yield
    finally:
        model.train(was)


def hidden_states(network: Any, input_ids: torch.Tensor, position_ids: torch.Tensor, noise: Any = None) -> torch.Tensor:
    """What a causal language model makes of packs before its last layer: (batch, tokens, hidden).

    There is no attention mask and no cache, so that transformers keeps the documents apart.

    Args:
        network: a `PreTrainedModel` with a head.
        input_ids: (batch, tokens).
        position_ids: (batch, tokens), restarting with each document.
        noise: added to the embeddings.
    """
    embedded = network.get_input_embeddings()(input_ids)
    if noise is not None:
        embedded = noise(embedded, position_ids)
    found = network.get_decoder()(inputs_embeds=embedded, position_ids=position_ids, use_cache=False)
    states: torch.Tensor = found.last_hidden_state
    return states


def summed_loss(head: Callable[[Any], Any], states: torch.Tensor, labels: torch.Tensor, chunk: int) -> torch.Tensor:
    """The cross entropy of all labels but -100, summed, as float32.

    8,192 tokens of a vocabulary of 32,000 have a gigabyte of logits in float32, and as much again for their gradients
    and for each of their copies. Here only those of `chunk` labels are there at a time, and of prompts none at all;
    on the way back they are computed again.

    Args:
        head: the model's last layer.
        states: (batch, tokens, hidden).
        labels: (batch, tokens); each is predicted from the token before it.
        chunk: labels at a time.
    """
    wanted = labels[:, 1:] != UNTRAINED
    states, labels = states[:, :-1][wanted], labels[:, 1:][wanted]

    def part(some: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        return cross_entropy(head(some).float(), right, reduction="sum")

    total = states.new_zeros((), dtype=torch.float32)
    # At least once, so that a batch without labels has a gradient of zeros.
    for start in range(0, max(1, len(labels)), chunk):
        some = slice(start, start + chunk)
        total = total + checkpoint(part, states[some], labels[some], use_reentrant=False)
    return total


def learn_packs(model: Any, noise: Any, chunk: int) -> None:
    """Makes `model(input_ids, position_ids, labels)` give the loss of packs as here, and nothing else.

    `num_items_in_batch` is what the sum is divided by; without it, the batch's own labels are counted.

    Args:
        model: a `PeftModel`, or a model that is trained as a whole.
        noise: added to the embeddings while it learns; or None.
        chunk: as in `summed_loss`.
    """
    network = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = network.get_output_embeddings()

    def forward(
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        labels: torch.Tensor,
        num_items_in_batch: torch.Tensor | int | None = None,
    ) -> dict[str, torch.Tensor]:
        states = hidden_states(network, input_ids, position_ids, noise if model.training else None)
        items = (labels[:, 1:] != UNTRAINED).sum().clamp(min=1) if num_items_in_batch is None else num_items_in_batch
        return {"loss": summed_loss(head, states, labels, chunk) / items}

    # Wrappers for several GPUs and mixed precision call the instance's own.
    model.forward = forward
