"""The one place that decides what happens at |z| = 0."""

import torch
from torch import Tensor

from steadygrad.errors import HyperparameterError

__all__ = ["DEFAULT_SMOOTHING", "check_smoothing", "modulus"]

DEFAULT_SMOOTHING = 1e-6
"""Far below any magnitude that matters, far above the square root of the smallest float32."""


def modulus(z_real: Tensor, z_imag: Tensor, smoothing: float = DEFAULT_SMOOTHING) -> Tensor:
    """Return ``sqrt(z_real**2 + z_imag**2 + smoothing**2)``, elementwise, > 0.

    The plain modulus has no derivative at 0: autograd returns NaN there, and the second derivative
    1/|z| grows without bound. With ``smoothing`` both stay finite and no value moves by more.
    """
    return torch.sqrt(z_real.square() + z_imag.square() + smoothing**2)


def check_smoothing(smoothing: float) -> None:
    """Refuse a smoothing that is not positive or whose square float32 cannot hold.

    Raises: HyperparameterError.
    """
    if not 1e-18 <= smoothing < float("inf"):
        raise HyperparameterError(f"expected smoothing >= 1e-18 and finite, got {smoothing}")
