"""What the complex layers share: parameters as real pairs, the modulus at 0, frozen phases."""

import math
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError

__all__ = [
    "DEFAULT_SMOOTHING",
    "SecondOrder",
    "check_second_order",
    "check_smoothing",
    "draw_uniform_phases",
    "empty_pair",
    "frozen_cos_sin",
    "frozen_modulus",
    "least_square",
    "modulus",
]

SecondOrder: TypeAlias = Literal["exact", "frozen_phase"]
"""How the derivative of a complex layer is itself differentiated, see ``ComplexLinear``."""

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


def frozen_cos_sin(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return cos x and sin x whose derivatives, -sin x and cos x, count as constants."""
    cos, sin = x.detach().cos(), x.detach().sin()
    shift = x - x.detach()
    return cos - sin * shift, sin + cos * shift


def frozen_modulus(z_real: Tensor, z_imag: Tensor, smoothing: float) -> Tensor:
    """Return the modulus whose derivative, the unit phase z / |z|, counts as a constant."""
    magnitude = modulus(z_real.detach(), z_imag.detach(), smoothing)
    shift_real = (z_real - z_real.detach()) * (z_real.detach() / magnitude)
    shift_imag = (z_imag - z_imag.detach()) * (z_imag.detach() / magnitude)
    return magnitude + shift_real + shift_imag


def empty_pair(
    shape: tuple[int, ...], device: torch.device | str | None, dtype: torch.dtype | None
) -> tuple[nn.Parameter, nn.Parameter]:
    """Return the uninitialised real and imaginary part of one complex parameter.

    Raises: HyperparameterError, if ``dtype`` is not a real floating point type.
    """
    if dtype is not None and not dtype.is_floating_point:
        raise HyperparameterError(f"expected a real floating point dtype, got {dtype}")
    real, imag = (nn.Parameter(torch.empty(shape, device=device, dtype=dtype)) for _ in range(2))
    return real, imag


@torch.no_grad()
def draw_uniform_phases(real: Tensor, imag: Tensor, fan_in: int) -> None:
    """Fill a pair with complex numbers of magnitude ``1 / sqrt(fan_in)`` and uniform angle.

    Source: Yeats, Chen & Li, ICML 2021; weights and biases alike.
    """
    angle = torch.empty_like(real).uniform_(-math.pi, math.pi)
    real.copy_(angle.cos()).div_(math.sqrt(fan_in))
    imag.copy_(angle.sin()).div_(math.sqrt(fan_in))


def check_second_order(second_order: str) -> None:
    """Refuse any name but those of ``SecondOrder``.

    Raises: HyperparameterError.
    """
    allowed = get_args(SecondOrder)
    if second_order not in allowed:
        raise HyperparameterError(
            f"expected second_order to be one of {', '.join(map(repr, allowed))}, "
            f"got {second_order!r}"
        )


def check_smoothing(smoothing: float) -> None:
    """Refuse a smoothing that is not positive and finite.

    Raises: HyperparameterError.
    """
    if not (smoothing > 0 and math.isfinite(smoothing)):
        raise HyperparameterError(f"expected smoothing > 0 and finite, got {smoothing}")
