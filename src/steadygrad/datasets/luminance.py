"""Grey images of a smaller size from colour ones, as the SVHN experiments of Yeats et al. do."""

import torch
from torch import Tensor

__all__ = ["LUMINANCE_SIDE", "centre_luminance"]

LUMINANCE_WEIGHTS = (0.2989, 0.5870, 0.1140)
LUMINANCE_SIDE = 28


def centre_luminance(pixels: Tensor) -> Tensor:
    """Crop the centre, take ``0.2989 R + 0.5870 G + 0.1140 B`` and stretch each image to [0, 1].

    An image of a single shade has nothing to stretch and becomes 0 everywhere.

    Args:
        pixels: shape (N, 3, 32, 32), uint8.

    Returns:
        Shape (N, 1, 28, 28), float32.

    Source: Yeats, Chen & Li, ICML 2021 (PMLR v139), their SVHN experiments.
    """
    top, left = ((side - LUMINANCE_SIDE) // 2 for side in pixels.shape[-2:])
    centre = pixels[:, :, top : top + LUMINANCE_SIDE, left : left + LUMINANCE_SIDE]
    weights = torch.tensor(LUMINANCE_WEIGHTS, dtype=torch.float32, device=pixels.device)
    luminance = torch.einsum("nchw,c->nhw", centre.to(torch.float32) / 255, weights).unsqueeze(1)
    lowest = luminance.amin(dim=(1, 2, 3), keepdim=True)
    highest = luminance.amax(dim=(1, 2, 3), keepdim=True)
    # One step of 8 bits is 0.0004 or more in luminance: anything below is rounding, not contrast.
    spread = highest - lowest
    return torch.where(spread > 1e-5, (luminance - lowest) / spread.clamp_min(1e-5), 0.0)
