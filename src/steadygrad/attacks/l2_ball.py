"""The set of images an L2 attack may choose from: a round ball cut off at black and white."""

import torch
from torch import Tensor

from steadygrad import draws
from steadygrad._typing import Images
from steadygrad.attacks.ball import Norm, PerturbationBall

__all__ = ["L2Ball", "ball_of_norm"]


class L2Ball:
    """All x with ``|x - images|_2 <= eps`` for each image and x in [0, 1].

    images: the centres, (batch, channels, height, width), pixels in [0, 1].
    eps: radius, at least 0, in units of the pixel range; from black to white it is the square
        root of the number of pixel values.

    Lengths are computed in float32 or wider. A point on the boundary is ``eps`` from its centre
    up to the rounding of its pixels.
    """

    def __init__(self, images: Images, eps: float) -> None:
        self.images, self.eps = images.detach(), eps

    def at(self, rows: Tensor) -> "L2Ball":
        """Return the balls of the examples at ``rows``, int64 indices into the batch."""
        return L2Ball(self.images[rows], self.eps)

    def project(self, images: Images) -> Images:
        """Shorten each change to ``eps`` if it is longer, then clamp the pixels to [0, 1].

        The clamp moves no pixel further from its centre, so that the result is in the ball and in
        the pixel range. It is not the nearest such point: what the clamp cuts off is not handed
        to other pixels.
        """
        change = images - self.images
        length = _length(change)
        factor = torch.where(length > self.eps, self.eps / length, 1.0)
        return torch.addcmul(self.images, change, factor.to(change.dtype)).clamp_(0, 1)

    def steepest(self, gradient: Tensor) -> Tensor:
        """Return the direction of length 1 in which the gradient rises most: ``g / |g|_2``.

        An image whose gradient is zero in every pixel stays.
        """
        # Scaled by the largest entry first: the squares of a vanishing gradient would underflow.
        largest = gradient.abs().flatten(start_dim=1).amax(dim=1).view(-1, 1, 1, 1)
        scaled = torch.where(largest > 0, gradient / largest, 0.0)
        return torch.where(largest > 0, scaled / _length(scaled).to(scaled.dtype), 0.0)

    def draw_uniform(self, generator: torch.Generator | None) -> Images:
        """Draw from the round ball, every point of it equally likely, then clamp to [0, 1]."""
        direction = self._direction(generator)
        # The share of a ball's volume within radius r is (r / eps)^d.
        share = draws.uniform(
            (len(direction), 1, 1, 1), generator, dtype=direction.dtype, device=direction.device
        )
        return self._moved(direction, self.eps * share ** (1 / direction[0].numel()))

    def draw_surface(self, generator: torch.Generator | None) -> Images:
        """Draw from the round ball's surface, then clamp to [0, 1]."""
        return self._moved(self._direction(generator), self.eps)

    def _direction(self, generator: torch.Generator | None) -> Tensor:
        dtype = torch.promote_types(self.images.dtype, torch.float32)
        shape, device = self.images.shape, self.images.device
        return draws.normal(shape, generator, dtype=dtype, device=device)

    def _moved(self, direction: Tensor, radius: Tensor | float) -> Images:
        change = (direction * (radius / _length(direction))).to(self.images)
        return (self.images + change).clamp_(0, 1)


def ball_of_norm(images: Images, eps: float, norm: Norm) -> PerturbationBall | L2Ball:
    """Return the ball of that radius and norm around each image."""
    return L2Ball(images, eps) if norm == "l2" else PerturbationBall(images, eps)


def _length(change: Tensor) -> Tensor:
    """Return each image's L2 norm, (batch, 1, 1, 1), in float32 or wider."""
    wide = torch.promote_types(change.dtype, torch.float32)
    length: Tensor = torch.linalg.vector_norm(change, dim=(1, 2, 3), keepdim=True, dtype=wide)
    return length
