"""The summed modulus and its derivatives: the elementwise work of a complex convolution.

    z (n, 2, G, C, P)   real and imaginary parts, summed groups, channels, pixels
    y = sum_G |z|       (n, C, P), as are g, the gradient of y, and h, that of a first pass

Nothing here needs autograd. Tensors as large as z are overwritten where their values are not needed
any more: cache that is not touched twice is worth more than the arithmetic.
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
def modulus_gradient(z: Tensor, g: Tensor, smoothing: float, *, in_place: bool = False) -> Tensor:
    """Return the gradient of z, ``g z / |z|``, in z's memory if ``in_place``."""
    scale = _inverse(z, smoothing).mul_(g[:, None])[:, None]
    return z.mul_(scale) if in_place else z * scale


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
    """Return how y moves when z moves along a, ``sum_G (a . z) / |z|``; overwrites a."""
    along = a[:, 0].mul_(z[:, 0]).addcmul_(a[:, 1], z[:, 1])
    return _summed(along.mul_(_inverse(z, smoothing)))


@fusible
def modulus_curvature(
    z: Tensor, a: Tensor, h: Tensor, g: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Return ``h z / |z|`` and the gradient of z that a second pass brings.

    The first is the first pass' own gradient of z; along a, it moves by the modulus' second
    derivative, ``h (a - z (a . z) / |z|^2) / |z|``. The second result is that plus ``g z / |z|``;
    it overwrites a.
    """
    inverse = _inverse(z, smoothing)
    scale = inverse * h[:, None]
    first = z * scale[:, None]
    along = torch.mul(a[:, 0], first[:, 0]).addcmul_(a[:, 1], first[:, 1]).mul_(inverse)
    along_z = torch.sub(g[:, None], along, out=along).mul_(inverse)
    return first, a.mul_(scale[:, None]).addcmul_(z, along_z[:, None])


def _inverse(z: Tensor, smoothing: float) -> Tensor:
    return _squared(z, smoothing).rsqrt_()


def _squared(z: Tensor, smoothing: float) -> Tensor:
    least = torch.full((), least_square(smoothing, z.dtype), dtype=z.dtype, device=z.device)
    return torch.addcmul(least, z[:, 0], z[:, 0]).addcmul_(z[:, 1], z[:, 1])


def _summed(magnitude: Tensor) -> Tensor:
    return magnitude.sum(dim=1) if magnitude.shape[1] > 1 else magnitude[:, 0]
