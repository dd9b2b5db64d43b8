"""What both complex layers share: parameters as real pairs, their first values, checks."""

import math
from typing import Literal, TypeAlias, get_args

import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError

__all__ = ["SecondOrder", "check_second_order", "draw_uniform_phases", "empty_pair"]

SecondOrder: TypeAlias = Literal["exact", "frozen_phase"]


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
