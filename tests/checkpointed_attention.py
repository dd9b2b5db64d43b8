"""A network whose attention torch.utils.checkpoint computes anew in a backward pass."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

__all__ = ["Attending"]


class Attending(nn.Module):
    """Self-attention over the rows of a square image, and a layer that reads it.

    side: of the images, of 1 channel; recomputes: whether attention is checkpointed.
    """

    def __init__(self, side: int, classes: int, *, recomputes: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.key, self.head, self.recomputes = (
            nn.Linear(side, 16),
            nn.Linear(16, classes),
            recomputes,
        )

    def attend(self, rows: Tensor) -> Tensor:
        """Return (batch, 16) of (batch, rows, columns)."""
        heads = self.key(rows).unflatten(2, (2, 8)).transpose(1, 2)
        attended = nn.functional.scaled_dot_product_attention(heads, heads, heads)
        return attended.mean(dim=2).flatten(1)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits."""
        rows = images.squeeze(1)
        if not self.recomputes:
            return self.head(self.attend(rows))
        return self.head(checkpoint(self.attend, rows, use_reentrant=False))
