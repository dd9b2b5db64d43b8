"""Pixels read as phases: the map from [0, 1] to half a turn."""

import math

from torch import Tensor, nn

__all__ = ["PhaseEncoding"]


class PhaseEncoding(nn.Module):
    """Return ``pi * x``: black is phase 0, white is phase pi, so no two pixel values share a phase.

    Shapes: x of any shape, pixels in [0, 1]; returns radians of the same shape.
    Source: Yeats, Chen & Li, ICML 2021. Only the network's input is encoded: inside the network a
        layer's output, a magnitude, is the next layer's phase in radians as it stands.
    """

    def forward(self, x: Tensor) -> Tensor:
        return math.pi * x
