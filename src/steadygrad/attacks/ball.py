"""The set of images an attack may choose from: an L-infinity ball cut off at black and white."""

from typing import Literal, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.draws import uniform

__all__ = ["AnyNorm", "Norm", "PerturbationBall"]

Norm: TypeAlias = Literal["linf", "l2"]
"""In which most attacks measure the size of a perturbation."""

AnyNorm: TypeAlias = Literal["linf", "l2", "l1"]
"""In which some attack does."""


class PerturbationBall:
    """All x with ``|x - images| <= eps`` in every pixel and x in [0, 1].

    images: the centres, (batch, channels, height, width), pixels in [0, 1].
    eps: radius in [0, 1], in units of the pixel range.

    Both bounds are computed once; a projection is one clamp. A point on the boundary differs from
    its centre by ``eps`` up to one rounding of the images' dtype.
    """

    def __init__(self, images: Images, eps: float) -> None:
        self.images, self.eps = images.detach(), eps
        self.lower = (self.images - eps).clamp_(min=0)
        self.upper = (self.images + eps).clamp_(max=1)

    def at(self, rows: Tensor) -> "PerturbationBall":
        """Return the balls of the examples at ``rows``, int64 indices into the batch."""
        return PerturbationBall(self.images[rows], self.eps)

    def project(self, images: Images) -> Images:
        """Return the nearest point of the ball, in any norm."""
        return torch.clamp(images, self.lower, self.upper)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the direction of size 1 in which the gradient rises most: its sign.

        A pixel whose gradient is exactly zero stays.
        """
        return gradient.sign()

    def draw_uniform(self, generator: torch.Generator | None) -> Images:
        """Draw from ``images + U(-eps, eps)``, then project (the usual random start of PGD)."""
        noise = self._unit_noise(generator)
        return self.project(self.images + self.eps * (2 * noise - 1))

    def draw_sign(self, generator: torch.Generator | None) -> Images:
        """Draw a corner ``images ± eps``, each sign with probability one half, then project."""
        signs = torch.where(self._unit_noise(generator) < 0.5, -1.0, 1.0).to(self.images.dtype)
        return self.project(self.images + self.eps * signs)

    draw_surface = draw_sign
    """Random points as far from the images as the ball allows: its corners."""

    def _unit_noise(self, generator: torch.Generator | None) -> Tensor:
        images = self.images
        return uniform(images.shape, generator, dtype=images.dtype, device=images.device)
