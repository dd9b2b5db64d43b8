"""Convolution that reads real feature maps as phases and returns magnitudes."""

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
)
from steadygrad.layers.hand_written.applicability import (
    applies,
    as_one_node,
    is_autocast,
    is_symbolic,
)
from steadygrad.layers.hand_written.complex_convolution import hand_written_convolution
from steadygrad.layers.hand_written.packed_convolution import (
    ConvolutionSettings,
    composed_convolution,
)
from steadygrad.layers.hand_written.sliding_window import same_padding

__all__ = ["ComplexConv2d"]


class ComplexConv2d(nn.Module):
    """Compute ``y = |W * exp(ix) + b|`` for complex filters ``W`` and a complex bias ``b``.

    Shapes: x ``(N, in_channels, H, W)``, real, radians; returns
        ``(N, out_channels / sum_groups, H', W')``, > 0, with H' and W' as in ``torch.nn.Conv2d``.
    kernel_size, stride, padding, dilation: one integer or two; padding also "valid" or "same".
        Zeros are padded after cosine and sine: the complex number 0, not the phase 0.
    groups: blocks of channels that see each other only, as in ``torch.nn.Conv2d``.
    sum_groups: blocks of output channels that are added up, as by ``ChannelGroupSum``; here the
        magnitudes of all ``out_channels`` need not be written to memory.
    bias, second_order, smoothing: as in ``ComplexLinear``.
    Raises: HyperparameterError, if an argument is out of range; ShapeError, if ``x`` does not have
        ``in_channels`` channels or is smaller than the kernel.
    Source: Yeats, Chen & Li, ICML 2021, Eq. 5; the initialisation is that of the public code.

    Parameters are real pairs, ``weight_real``, ``weight_imag``
    ``(out_channels, in_channels / groups, height, width)`` and ``bias_real``, ``bias_imag``
    ``(out_channels,)``. Derivatives are hand-written wherever ``applies`` says so; elsewhere, as
    under torch.func and torch.compile, and with ``groups``, they are autograd's. Under autocast the
    layer computes in the dtype of its parameters, see ``ComplexLinear``.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str = 0,
        dilation: int | tuple[int, int] = 1,
        groups: int = 1,
        bias: bool = True,
        *,
        sum_groups: int = 1,
        second_order: SecondOrder = "exact",
        smoothing: float = DEFAULT_SMOOTHING,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        for name, value in (
            ("in_channels", in_channels),
            ("out_channels", out_channels),
            ("groups", groups),
            ("sum_groups", sum_groups),
        ):
            if not isinstance(value, int) or value < 1:
                raise HyperparameterError(f"expected {name} to be an integer >= 1, got {value!r}")
        if in_channels % groups or out_channels % groups:
            raise HyperparameterError(
                "expected groups to divide in_channels and out_channels, "
                f"got groups={groups}, in_channels={in_channels}, out_channels={out_channels}"
            )
        if out_channels % sum_groups:
            raise HyperparameterError(
                "expected sum_groups to divide out_channels, "
                f"got sum_groups={sum_groups}, out_channels={out_channels}"
            )
        check_second_order(second_order)
        check_smoothing(smoothing)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size = _pair("kernel_size", kernel_size, least=1)
        self.stride = _pair("stride", stride, least=1)
        self.dilation = _pair("dilation", dilation, least=1)
        self.padding = self._padding(padding)
        self.groups, self.sum_groups = groups, sum_groups
        self.second_order, self.smoothing = second_order, smoothing
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight_real, self.weight_imag = empty_pair(shape, device, dtype)
        if bias:
            self.bias_real, self.bias_imag = empty_pair((out_channels,), device, dtype)
        else:
            self.register_parameter("bias_real", None)
            self.register_parameter("bias_imag", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw magnitude ``1 / sqrt(fan_in)`` and uniform angle for every weight and bias."""
        fan_in = self.weight_real[0].numel()
        draw_uniform_phases(self.weight_real, self.weight_imag, fan_in)
        if self.bias_real is not None and self.bias_imag is not None:
            draw_uniform_phases(self.bias_real, self.bias_imag, fan_in)

    def forward(self, x: Tensor) -> Tensor:
        if is_symbolic(x):
            return as_one_node(self, x)
        if is_autocast(x.device):
            with torch.autocast(x.device.type, enabled=False):
                return self.forward(x.to(self.weight_real.dtype))
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            raise ShapeError(
                f"expected x of shape (N, {self.in_channels}, H, W), got {tuple(x.shape)}"
            )
        settings = self.settings
        if min(settings.output_size(x.shape[2:], self.kernel_size)) < 1:
            raise ShapeError(
                f"expected x at least as large as the kernel, got {tuple(x.shape)} with "
                f"kernel_size={self.kernel_size}, padding={self.padding}, dilation={self.dilation}"
            )
        parameters = (self.weight_real, self.weight_imag, self.bias_real, self.bias_imag)
        is_by_hand = applies(x, *parameters) and self.groups == 1
        convolution = hand_written_convolution if is_by_hand else composed_convolution
        return convolution(x, *parameters, settings)

    @property
    def settings(self) -> ConvolutionSettings:
        """Everything but the parameters."""
        return ConvolutionSettings(
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            sum_groups=self.sum_groups,
            smoothing=self.smoothing,
            second_order=self.second_order,
        )

    def _padding(self, padding: int | tuple[int, int] | str) -> tuple[int, int]:
        """Resolve "valid" and "same" to numbers, so that they are one case for everything else."""
        if not isinstance(padding, str):
            return _pair("padding", padding, least=0)
        if padding == "valid":
            return (0, 0)
        if padding != "same":
            raise HyperparameterError(
                f"expected padding as one or two integers, 'same' or 'valid', got {padding!r}"
            )
        same = same_padding(self.kernel_size, self.dilation)
        if same is None or self.stride != (1, 1):
            raise HyperparameterError(
                "expected stride 1 and an odd kernel for padding='same', "
                f"got stride={self.stride} and kernel_size={self.kernel_size}"
            )
        return same

    def extra_repr(self) -> str:
        return (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, dilation={self.dilation}, "
            f"groups={self.groups}, bias={self.bias_real is not None}, "
            f"sum_groups={self.sum_groups}, second_order={self.second_order!r}"
        )


def _pair(name: str, value: int | tuple[int, int], least: int) -> tuple[int, int]:
    """Return one integer, or two, as two.

    Raises: HyperparameterError, if there are not one or two integers >= ``least``.
    """
    pair = (value, value) if isinstance(value, int) else tuple(value)
    if len(pair) != 2 or not all(isinstance(entry, int) and entry >= least for entry in pair):
        raise HyperparameterError(
            f"expected {name} as one or two integers >= {least}, got {value!r}"
        )
    return pair[0], pair[1]
