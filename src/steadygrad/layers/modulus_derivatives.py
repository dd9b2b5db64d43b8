"""The summed modulus and its derivatives: the elementwise work of a complex convolution.

    z (n, 2, G, C, P)   real and imaginary parts, summed groups, channels, pixels
    y = sum_G |z|       (n, C, P), as are g, the gradient of y, and h, that of a first pass

Nothing here needs autograd; each function overwrites its own temporaries, as large as z, only.
"""

import torch
from torch import Tensor

from steadygrad.layers.elementwise_fusion import fusible
from steadygrad.layers.modulus import least_square

__all__ = [
    "modulus_curvature",
    "modulus_gradient",
    "modulus_gradient_pair",
    "modulus_motion",
    "summed_modulus",
]


@fusible
def summed_modulus(z: Tensor, smoothing: float) -> Tensor:
    """Return ``sum_G |z|``."""
    return _summed(_squared(z, smoothing).sqrt_())


@fusible
def modulus_gradient(z: Tensor, g: Tensor, smoothing: float) -> Tensor:
    """Return the gradient of z: ``g z / |z|``."""
    return z * _inverse(z, smoothing).mul_(g[:, None])[:, None]


@fusible
def modulus_gradient_pair(
    z: Tensor, h: Tensor, g: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Return ``h z / |z|`` and ``g z / |z|``."""
    inverse = _inverse(z, smoothing)
    first = z * (inverse * h[:, None])[:, None]
    return first, z * inverse.mul_(g[:, None])[:, None]


@fusible
def modulus_motion(z: Tensor, a: Tensor, smoothing: float) -> Tensor:
    """Return how y moves when z moves along a: ``sum_G (a . z) / |z|``."""
    return _summed(_dot(a, z).mul_(_inverse(z, smoothing)))


@fusible
def modulus_curvature(
    z: Tensor, a: Tensor, h: Tensor, g: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Return ``h z / |z|`` and the gradient of z that a second pass brings.

    The first is the first pass' own gradient of z; along a, it moves by the modulus' second
    derivative, ``h (a - z (a . z) / |z|^2) / |z|``. The second result is that plus ``g z / |z|``.
    """
    inverse = _inverse(z, smoothing)
    scale = inverse * h[:, None]
    first = z * scale[:, None]
    radial = _dot(a, first).mul_(inverse)
    along_z = (g[:, None] - radial).mul_(inverse)
    return first, (a * scale[:, None]).addcmul_(z, along_z[:, None])


def _inverse(z: Tensor, smoothing: float) -> Tensor:
    return _squared(z, smoothing).rsqrt_()


def _squared(z: Tensor, smoothing: float) -> Tensor:
    least = torch.full((), least_square(smoothing, z.dtype), dtype=z.dtype, device=z.device)
    return torch.addcmul(least, z[:, 0], z[:, 0]).addcmul_(z[:, 1], z[:, 1])


def _dot(a: Tensor, z: Tensor) -> Tensor:
    return torch.mul(a[:, 0], z[:, 0]).addcmul_(a[:, 1], z[:, 1])


def _summed(magnitude: Tensor) -> Tensor:
    return magnitude.sum(dim=1) if magnitude.shape[1] > 1 else magnitude[:, 0]
