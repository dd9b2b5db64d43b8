"""A small network with everything that training mode changes, for images of any shape."""

import torch
from torch import nn

__all__ = ["conv_network"]


def conv_network(
    image_shape: tuple[int, int, int], classes: int, dropout: float = 0.5
) -> nn.Sequential:
    """Convolution, batch norm, GELU, dropout and a linear layer, in training mode."""
    channels, height, width = image_shape
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(4 * height * width, classes),
        )
