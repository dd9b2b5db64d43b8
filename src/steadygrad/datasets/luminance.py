"""SVHN as Yeats, Chen & Li prepare it: the centre of each photograph as stretched luminance."""

import torch
from torch import Tensor

__all__ = ["STORED_SHAPE", "centre_luminance"]

STORED_SHAPE = (3, 32, 32)
"""One image of SVHN's cropped digits as it is stored."""
WEIGHTS = (0.2989, 0.5870, 0.1140)
SIDE = 28


def centre_luminance(pixels: Tensor) -> Tensor:
    """Crop the centre, take ``0.2989 R + 0.5870 G + 0.1140 B`` and stretch each image to [0, 1].

    Shapes: pixels ``(N, 3, 32, 32)`` uint8; returns ``(N, 1, 28, 28)`` float32.
    An image of a single shade has nothing to stretch and becomes 0 everywhere.
    Source: Yeats, Chen & Li, ICML 2021 (PMLR v139), their SVHN experiments.
    """
    top, left = ((side - SIDE) // 2 for side in pixels.shape[-2:])
    centre = pixels[:, :, top : top + SIDE, left : left + SIDE].float() / 255
    luminance = torch.einsum("nchw,c->nhw", centre, torch.tensor(WEIGHTS)).unsqueeze(1)
    lowest = luminance.amin(dim=(1, 2, 3), keepdim=True)
    highest = luminance.amax(dim=(1, 2, 3), keepdim=True)
    # One step of 8 bits is 0.0004 or more in luminance: anything below is rounding, not contrast.
    spread = highest - lowest
    return torch.where(spread > 1e-5, (luminance - lowest) / spread.clamp_min(1e-5), 0.0)
