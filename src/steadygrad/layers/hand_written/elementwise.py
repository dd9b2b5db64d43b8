"""The elementwise work of hand-written derivatives, and how much of it is done at a time.

    u = exp(ix)         phasors (N, 2 I, H, W): cosines before sines
    z (n, 2, G, C, P)   real and imaginary parts, summed groups, channels, pixels
    y = sum_G |z|       (n, C, P), as are g, the gradient of y, and h, that of a first pass

Nothing here needs autograd. Tensors as large as z are overwritten where their values are not needed
any more: cache that is not touched twice is worth more than the arithmetic.
"""

import math

import torch
from torch import Tensor

from steadygrad.layers.complex_numbers import least_square

__all__ = [
    "gelu_curvature",
    "modulus_curvature",
    "modulus_gradient",
    "modulus_gradient_pair",
    "modulus_motion",
    "phase_gradient",
    "phase_motion",
    "summed_modulus",
    "works_in_pieces",
]

DEVICES_IN_PIECES = ("cpu",)
"""Where work is cut into pieces that stay in the cache. A GPU is fastest with all of it at once."""

GELU_PIECE = 1 << 16
"""Elements whose temporaries stay in a core's own cache."""

_DENSITY_AT_ZERO = 1 / math.sqrt(2 * math.pi)


def works_in_pieces(device: torch.device) -> bool:
    """Return whether large work is cut into cache-sized pieces on this device."""
    return device.type in DEVICES_IN_PIECES


def summed_modulus(z: Tensor, smoothing: float) -> Tensor:
    """Return ``sum_G |z|``."""
    return _summed(_squared(z, smoothing).sqrt_())


def modulus_gradient(z: Tensor, g: Tensor, smoothing: float, *, in_place: bool = False) -> Tensor:
    """Return the gradient of z, ``g z / |z|``, in z's memory if ``in_place``."""
    scale = _inverse(z, smoothing).mul_(g[:, None])[:, None]
    return z.mul_(scale) if in_place else z * scale


def modulus_gradient_pair(
    z: Tensor, h: Tensor, g: Tensor, smoothing: float
) -> tuple[Tensor, Tensor]:
    """Return ``h z / |z|`` and ``g z / |z|``."""
    inverse = _inverse(z, smoothing)
    first = z * (inverse * h[:, None])[:, None]
    return first, z * inverse.mul_(g[:, None])[:, None]


def modulus_motion(z: Tensor, a: Tensor, smoothing: float) -> Tensor:
    """Return how y moves when z moves along a, ``sum_G (a . z) / |z|``; overwrites a."""
    along = a[:, 0].mul_(z[:, 0]).addcmul_(a[:, 1], z[:, 1])
    return _summed(along.mul_(_inverse(z, smoothing)))


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


def phase_gradient(u: Tensor, gu: Tensor) -> Tensor:
    """Return the gradient of x from that of u = (cos x, sin x)."""
    cos, sin = u.chunk(2, dim=1)
    g_cos, g_sin = gu.chunk(2, dim=1)
    return torch.mul(cos, g_sin).addcmul_(sin, g_cos, value=-1)


def phase_motion(u: Tensor, a: Tensor) -> Tensor:
    """Return how u moves when x moves along a: the transpose of ``phase_gradient``."""
    cos, sin = u.chunk(2, dim=1)
    moved = torch.empty_like(u)
    moved_cos, moved_sin = moved.chunk(2, dim=1)
    torch.mul(sin, a, out=moved_cos).neg_()
    torch.mul(cos, a, out=moved_sin)
    return moved


def gelu_curvature(x: Tensor, g: Tensor, gg: Tensor) -> Tensor:
    """Return ``g gg gelu''(x)``, elementwise, with ``gelu''(x) = phi(x) (2 - x^2)``.

    phi is the normal density. Autograd can differentiate it further; without a graph, and where
    that is faster, it is worked out in pieces.
    """
    if torch.is_grad_enabled() or not works_in_pieces(x.device):
        square = x.square()
        return g * gg * (2 - square) * (square * -0.5).exp() * _DENSITY_AT_ZERO
    x, g, gg = x.contiguous(), g.contiguous(), gg.contiguous()
    result = torch.empty_like(x)
    parts = (torch.split(tensor.view(-1), GELU_PIECE) for tensor in (x, g, gg, result))
    for x_part, g_part, gg_part, out in zip(*parts, strict=True):
        square = torch.mul(x_part, x_part)
        density = torch.mul(square, -0.5).exp_().mul_(_DENSITY_AT_ZERO)
        torch.mul(g_part, gg_part, out=out).mul_(square.neg_().add_(2)).mul_(density)
    return result
