"""Images of 3x3 pixels, a smooth classifier of them, and random numbers for each."""

import torch
from torch import Tensor

WEIGHT = torch.randn(4, 9, generator=torch.Generator().manual_seed(3), dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def streams(n: int) -> list[torch.Generator]:
    return [generator(100 + example) for example in range(n)]


def batch(n: int = 6) -> tuple[Tensor, Tensor]:
    # Some pixels at the ends of the range, where the ball is cut off.
    uniform = torch.rand(n, 1, 3, 3, generator=generator(1), dtype=torch.float64)
    images = (1.4 * uniform - 0.2).clamp(0, 1)
    return images, torch.arange(n) % 4


def network(images: Tensor) -> Tensor:
    """A small smooth classifier of 3x3 images in 4 classes."""
    return 3 * (images.flatten(1) @ WEIGHT.T).tanh()
