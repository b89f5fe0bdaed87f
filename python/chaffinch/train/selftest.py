"""Whether a model keeps the documents of a pack apart: looked at before it is trained, not believed."""

from itertools import pairwise
from typing import Any

import torch

from chaffinch.errors import DataError
from chaffinch.train.attention import document_starts
from chaffinch.train.loss import UNTRAINED, evaluating, hidden_states, summed_loss

# The share by which a document's hidden states may differ when others share its row. Rounding alone makes about 1e-6 of
# it in float32 and 1e-2 in bfloat16 over 32 layers; documents that see each other differ by 0.3 and more.
TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
# Enough for several documents, and quick on any device.
TOKENS = 2048


def first_documents(batch: dict[str, torch.Tensor], tokens: int = TOKENS) -> dict[str, torch.Tensor]:
    """The first documents of a batch (1, tokens): at least two where there are so many, else up to `tokens`."""
    starts = document_starts(batch["position_ids"])[1:].tolist()
    end = max([starts[min(1, len(starts) - 1)], *(start for start in starts if start <= tokens)])
    return {name: values[:, :end] for name, values in batch.items()}


def check(network: Any, batch: dict[str, torch.Tensor], chunk: int = 1024) -> float:
    """Compares a pack with its documents alone, and the loss in parts with the model's own.

    Args:
        network: a causal language model, without noise and dropout: it is put into evaluation.
        batch: input_ids, labels and position_ids, each (1, tokens), of at least one document.
        chunk: as in `summed_loss`.

    Returns:
        The largest share by which a document's hidden states differ.

    Raises:
        DataError: documents see each other, or the loss is not the model's.
    """
    with evaluating(network):
        device = next(network.parameters()).device
        ids, labels, positions = (batch[name].to(device) for name in ("input_ids", "labels", "position_ids"))
        together = hidden_states(network, ids, positions)
        starts = document_starts(positions).tolist()
        worst = 0.0
        for start, end in pairwise(starts):
            alone = hidden_states(network, ids[:, start:end], positions[:, start:end])
            error = (together[:, start:end].float() - alone.float()).norm() / alone.float().norm().clamp(min=1e-12)
            worst = max(worst, float(error))
        if not worst <= TOLERANCE[together.dtype]:
            attention = getattr(network.config, "_attn_implementation", None)
            raise DataError(
                f"documents of a pack see each other: with attention {attention!r} the hidden states of one differ by "
                f"{worst:.1%} from those that it has alone\n"
                "hint: --set attention=chaffinch; if it is that already, this kind of model cannot be trained on packs"
            )
        found = float(summed_loss(network.get_output_embeddings(), together, labels, chunk))
        own = network(input_ids=ids, position_ids=positions, use_cache=False).logits[:, :-1][labels[:, 1:] != UNTRAINED]
        right = labels[:, 1:][labels[:, 1:] != UNTRAINED]
        expected = float(torch.nn.functional.cross_entropy(own.float(), right, reduction="sum"))
        if not abs(found - expected) <= TOLERANCE[together.dtype] * max(1.0, abs(expected)):
            raise DataError(
                f"the loss of {type(network).__name__} is not that of its last layer: {expected:.4f}, not {found:.4f}\n"
                "hint: its logits are changed behind the last layer, which training here does not know"
            )
    return worst
