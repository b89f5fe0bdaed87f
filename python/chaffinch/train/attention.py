"""Attention over packs, document by document, for any transformers model: no mask, and no work between documents.

`register()` makes it known to transformers as `chaffinch`; then `attn_implementation="chaffinch"` uses it. Documents
begin where `position_ids` restart (or where `cu_seq_lens_q` says), so a batch needs no attention mask. On CUDA it is
`torch.nn.attention.varlen.varlen_attn` (torch >= 2.11), elsewhere one `scaled_dot_product_attention` per document.
"""

from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

NAME = "chaffinch"


def register() -> str:
    """Makes the attention known to transformers, and gives the name to ask for it by."""
    from transformers import AttentionInterface

    AttentionInterface.register(NAME, packed_attention)
    return NAME


def document_starts(position_ids: torch.Tensor) -> torch.Tensor:
    """Where documents begin in the flattened batch, and behind the last one its length.

    Args:
        position_ids: (batch, length), whole numbers; a document begins with each row and wherever the number does not
            go up by one.

    Returns:
        int32 (documents + 1), increasing from 0 to batch * length.
    """
    begins = torch.ones_like(position_ids, dtype=torch.bool)
    begins[:, 1:] = position_ids.diff(dim=1) != 1
    starts = begins.flatten().nonzero().flatten()
    return torch.cat([starts, starts.new_tensor([begins.numel()])]).to(torch.int32)


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    position_ids: torch.Tensor | None = None,
    cu_seq_lens_q: torch.Tensor | None = None,
    max_length_q: int | None = None,
    **_: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each document, as transformers calls an attention function.

    Args:
        module: the layer; its `is_causal` must not be false.
        query: (batch, heads, length, head size).
        key: (batch, key heads, length, head size); heads is a multiple of key heads.
        value: as `key`.
        attention_mask: must be None.
        scaling: of the scores; default 1 / sqrt(head size).
        dropout: of the weights.
        sliding_window: tokens that a token sees, itself included; None: all before it.
        position_ids: (batch or 1, length), restarting with every document.
        cu_seq_lens_q: int32 (documents + 1), where documents begin in the flattened batch; over `position_ids`.
        max_length_q: tokens of the longest document, with `cu_seq_lens_q`.

    Returns:
        (batch, length, heads, head size), and None for the weights.

    Raises:
        ValueError: a mask, a key/value cache, dropout on CUDA, a layer that looks ahead, or nothing that tells where
            documents begin.
    """
    batch, heads, length, size = query.shape
    _refuse(module, attention_mask, key.shape[2] != length, dropout, query.is_cuda)
    if cu_seq_lens_q is None:
        if position_ids is None:
            raise ValueError("nothing tells where documents begin\nhint: give position_ids that restart with each")
        cu_seq_lens_q = document_starts(position_ids.expand(batch, length))
        max_length_q = None
    if key.shape[1] != heads:
        key, value = (one.repeat_interleave(heads // key.shape[1], dim=1) for one in (key, value))
    flat = [one.transpose(1, 2).reshape(batch * length, heads, size) for one in (query, key, value)]
    if query.is_cuda:
        longest = int(cu_seq_lens_q.diff().max()) if max_length_q is None else max_length_q
        out = _on_cuda(flat, cu_seq_lens_q.to(torch.int32), longest, scaling, sliding_window)
    else:
        out = _by_document(flat, cu_seq_lens_q.diff().tolist(), scaling, sliding_window, dropout)
    return out.reshape(batch, length, heads, size), None


def _refuse(module: torch.nn.Module, mask: torch.Tensor | None, cached: bool, dropout: float, cuda: bool) -> None:
    if mask is not None:
        raise ValueError("packs have no attention mask\nhint: leave attention_mask out of the batch")
    if cached:
        raise ValueError("keys of earlier tokens are in a cache\nhint: use_cache=False; this attention is for training")
    if not getattr(module, "is_causal", True):
        raise ValueError(f"{type(module).__name__} looks ahead\nhint: packs are for causal language models")
    if dropout and cuda:
        raise ValueError("varlen_attn has no dropout\nhint: set the model's attention_dropout to 0")


def _on_cuda(
    flat: list[torch.Tensor], starts: torch.Tensor, longest: int, scaling: float | None, window: int | None
) -> torch.Tensor:
    from torch.nn.attention.varlen import varlen_attn

    before = -1 if window is None else window - 1
    out: torch.Tensor = varlen_attn(*flat, starts, starts, longest, longest, scale=scaling, window_size=(before, 0))
    return out


def _by_document(
    flat: list[torch.Tensor], lengths: list[int], scaling: float | None, window: int | None, dropout: float
) -> torch.Tensor:
    parts = []
    for query, key, value in zip(*(one.split(lengths) for one in flat), strict=True):
        mask = None
        if window is not None and len(query) > window:
            seen = torch.ones(len(query), len(query), dtype=torch.bool, device=query.device)
            mask = seen.tril() & seen.triu(1 - window)
        query, key, value = (one.transpose(0, 1)[None] for one in (query, key, value))
        out = scaled_dot_product_attention(
            query, key, value, attn_mask=mask, dropout_p=dropout, is_causal=mask is None, scale=scaling
        )
        parts.append(out[0].transpose(0, 1))
    return torch.cat(parts)
