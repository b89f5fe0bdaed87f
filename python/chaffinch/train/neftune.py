"""NEFTune: noise on the embeddings while a model learns (Jain et al., 2023)."""

import torch

from chaffinch.train.attention import document_starts


class Neftune:
    """Adds noise drawn evenly from [-1, 1], times alpha / sqrt(L * d), to embeddings of d numbers.

    L is the length of a row in the paper. Where rows are packs, that makes the noise of a document depend on how many
    others share its row: 8,192 tokens a row give a document of 300 a fifth of what it would get alone. Hence a choice.

    Args:
        alpha: the paper's.
        length: L for every token, as of rows padded to it; None: the tokens of the token's own document.
    """

    def __init__(self, alpha: float, length: int | None) -> None:
        self.alpha, self.length = alpha, length

    def __call__(self, embedded: torch.Tensor, position_ids: torch.Tensor) -> torch.Tensor:
        """The embeddings (batch, tokens, d) with noise; `position_ids` (batch, tokens) restart with each document."""
        scale = self.alpha / (self.lengths(position_ids) * embedded.shape[-1]).sqrt()
        noise = torch.empty_like(embedded).uniform_(-1, 1)
        return embedded + noise * scale[..., None].to(embedded.dtype)

    def lengths(self, position_ids: torch.Tensor) -> torch.Tensor:
        """L of every token: float32 (batch, tokens)."""
        if self.length is not None:
            return torch.full_like(position_ids, self.length, dtype=torch.float32)
        lengths = document_starts(position_ids).diff()
        return lengths.repeat_interleave(lengths).reshape(position_ids.shape).float()
