"""A network whose gradients are known in closed form."""

import torch
from torch import Tensor, nn

__all__ = ["Zeros"]


class Zeros(nn.Module):
    """Softmax regression that starts at zero."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(10, 64))

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(start_dim=1) @ self.weight.T
