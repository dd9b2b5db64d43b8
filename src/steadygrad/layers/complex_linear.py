"""Fully connected layer that reads real inputs as phases and returns magnitudes."""

import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.layers.complex_numbers import (
    DEFAULT_SMOOTHING,
    SecondOrder,
    check_second_order,
    check_smoothing,
    draw_uniform_phases,
    empty_pair,
    frozen_cos_sin,
    frozen_modulus,
    modulus,
)
from steadygrad.layers.hand_written.applicability import as_one_node, is_autocast, is_symbolic
from steadygrad.layers.linear import linear

__all__ = ["ComplexLinear"]


class ComplexLinear(nn.Module):
    """Compute ``y = |W exp(ix) + b|`` for a complex weight ``W`` and bias ``b``.

    Shapes: x ``(..., in_features)``, real, radians; returns ``(..., out_features)``, > 0.
    bias: whether there is a ``b``.
    second_order: how the *derivative* of this layer is differentiated, by a penalty on the input
        gradient. "exact": as calculus has it. "frozen_phase": Eqs. 9 and 10 of the source, where
        cos x, sin x and the unit phase z / |z| count as constants in the layer's derivative, and
        only the weights and the incoming gradient move. The first derivative is exact either way.
    smoothing: keeps the modulus differentiable at 0, see ``modulus``.
    Raises: HyperparameterError, if an argument is out of range; ShapeError, if the last axis of
        ``x`` is not ``in_features``.
    Source: Yeats, Chen & Li, ICML 2021, Eq. 5; the initialisation is that of the public code.

    Parameters are real pairs, ``weight_real``, ``weight_imag`` ``(out_features, in_features)`` and
    ``bias_real``, ``bias_imag`` ``(out_features,)``: optimizers, DDP and checkpoints see real
    tensors, and real products are faster than complex64.

    Under autocast the layer computes, and returns, in the dtype of its parameters: the second
    derivative of ``|z|`` is ``1 / |z|``, so that rounding a small z to half precision ruins a
    penalty's gradient (a quarter of its length on a network for digits, and training diverged).
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        *,
        second_order: SecondOrder = "exact",
        smoothing: float = DEFAULT_SMOOTHING,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if not isinstance(value, int) or value < 1:
                raise HyperparameterError(f"expected {name} to be an integer >= 1, got {value!r}")
        check_second_order(second_order)
        check_smoothing(smoothing)
        self.in_features, self.out_features = in_features, out_features
        self.second_order, self.smoothing = second_order, smoothing
        self.weight_real, self.weight_imag = empty_pair((out_features, in_features), device, dtype)
        if bias:
            self.bias_real, self.bias_imag = empty_pair((out_features,), device, dtype)
        else:
            self.register_parameter("bias_real", None)
            self.register_parameter("bias_imag", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw magnitude ``1 / sqrt(in_features)`` and uniform angle for every weight and bias."""
        draw_uniform_phases(self.weight_real, self.weight_imag, self.in_features)
        if self.bias_real is not None and self.bias_imag is not None:
            draw_uniform_phases(self.bias_real, self.bias_imag, self.in_features)

    def forward(self, x: Tensor) -> Tensor:
        if is_symbolic(x):
            return as_one_node(self, x)
        if is_autocast(x.device):
            with torch.autocast(x.device.type, enabled=False):
                return self.forward(x.to(self.weight_real.dtype))
        if x.ndim < 1 or x.shape[-1] != self.in_features:
            raise ShapeError(f"expected x of shape (..., {self.in_features}), got {tuple(x.shape)}")
        frozen = self.second_order == "frozen_phase"
        cos, sin = frozen_cos_sin(x) if frozen else (x.cos(), x.sin())
        z_real = linear(cos, self.weight_real, self.bias_real) - linear(sin, self.weight_imag)
        z_imag = linear(sin, self.weight_real, self.bias_imag) + linear(cos, self.weight_imag)
        return (frozen_modulus if frozen else modulus)(z_real, z_imag, self.smoothing)

    def extra_repr(self) -> str:
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, "
            f"bias={self.bias_real is not None}, second_order={self.second_order!r}"
        )
