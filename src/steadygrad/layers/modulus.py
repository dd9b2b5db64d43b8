"""The one place that decides what happens at |z| = 0."""

import math

import torch
from torch import Tensor

from steadygrad.errors import HyperparameterError

__all__ = ["DEFAULT_SMOOTHING", "check_smoothing", "least_square", "modulus"]

DEFAULT_SMOOTHING = 1e-6
"""Far below any magnitude that matters, yet its cube, in the second derivative, fits float32."""


def modulus(z_real: Tensor, z_imag: Tensor, smoothing: float = DEFAULT_SMOOTHING) -> Tensor:
    """Return ``sqrt(z_real**2 + z_imag**2 + smoothing**2)``, elementwise, > 0.

    The plain modulus has no derivative at 0: autograd returns NaN there, and the second derivative
    1/|z| grows without bound. With ``smoothing`` both stay finite and no value moves by more. Where
    the dtype cannot hold its square (float16), the smallest normal number stands in for it.
    """
    return (z_real.square() + z_imag.square() + least_square(smoothing, z_real.dtype)).sqrt()


def least_square(smoothing: float, dtype: torch.dtype) -> float:
    """Return what stands in for |z|^2 at z = 0."""
    return max(smoothing**2, torch.finfo(dtype).tiny)


def check_smoothing(smoothing: float) -> None:
    """Refuse a smoothing that is not positive and finite.

    Raises: HyperparameterError.
    """
    if not (smoothing > 0 and math.isfinite(smoothing)):
        raise HyperparameterError(f"expected smoothing > 0 and finite, got {smoothing}")
