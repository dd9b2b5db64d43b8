"""Where diagnostics measure, and along which random directions."""

import torch
from torch import Tensor

from steadygrad._typing import Images

__all__ = ["random_signs", "within_range"]


def within_range(images: Images, generator: torch.Generator) -> Images:
    """Draw pixels into [0.01, 0.99], each shifted by up to 0.05 at random.

    Small steps in both directions then stay in [0, 1], where a model may clamp, and pixels do not
    rest just where one that rounds would change its mind, as the greys of a data set may.
    """
    noise = torch.rand(images.shape, generator=generator, dtype=torch.float64).to(images)
    return 0.06 + 0.88 * images + 0.05 * (2 * noise - 1)


def random_signs(images: Images, generator: torch.Generator) -> Tensor:
    """Return -1 or 1 for each pixel, with equal probability."""
    noise = torch.rand(images.shape, generator=generator, dtype=torch.float64)
    return torch.where(noise < 0.5, -1.0, 1.0).to(images)
