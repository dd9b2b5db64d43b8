"""Average pooling over 2x2 windows that does not slow a penalty down."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function

from steadygrad.layers.hand_written import may_be_hand_written

__all__ = ["AvgPool2x2"]


class AvgPool2x2(nn.AvgPool2d):
    """Average non-overlapping 2x2 windows: ``nn.AvgPool2d(2)``, three to four times faster.

    Shapes: x ``(..., C, H, W)``; returns ``(..., C, H // 2, W // 2)``: an odd last row or column is
    left out, as there.

    PyTorch's CPU kernel adds up one window after another, and a penalty on the input gradient runs
    it and its derivative twice a step. Here rows are added in pairs, then columns, for float32 and
    float64 images on the CPU with even sides; whatever else goes to PyTorch.
    """

    def __init__(self) -> None:
        super().__init__(2)

    def forward(self, x: Tensor) -> Tensor:
        if _is_for_us(x):
            pooled: Tensor = _Pool.apply(x)  # type: ignore[no-untyped-call] # torch leaves it untyped
            return pooled
        return super().forward(x)

    def extra_repr(self) -> str:
        return ""


def _is_for_us(x: Tensor) -> bool:
    return (
        may_be_hand_written(x)
        and x.dtype in (torch.float32, torch.float64)
        and x.ndim >= 3
        and x.is_contiguous()
        and x.shape[-1] % 2 == 0
        and x.shape[-2] % 2 == 0
    )


class _Pool(Function):
    """Linear, hence its derivative is ``_Spread`` at any place, and the other way round."""

    @staticmethod
    def forward(_: Any, x: Tensor) -> Tensor:
        *rest, height, width = x.shape
        rows = x.reshape(-1, 2, width)
        added = rows[:, 0] + rows[:, 1]
        averages = torch.add(added[:, 0::2], added[:, 1::2]).mul_(0.25)
        return averages.view(*rest, height // 2, width // 2)

    @staticmethod
    def backward(_: Any, g: Tensor) -> Any:
        return _Spread.apply(g)  # type: ignore[no-untyped-call] # torch leaves it untyped


class _Spread(Function):
    @staticmethod
    def forward(_: Any, g: Tensor) -> Tensor:
        *rest, height, width = g.shape
        quarter = g.reshape(-1, 1, width) * 0.25
        pairs = torch.complex(quarter, quarter)  # the fastest way of writing each value twice
        return torch.view_as_real(torch.cat((pairs, pairs), 1)).view(*rest, 2 * height, 2 * width)

    @staticmethod
    def backward(_: Any, gg: Tensor) -> Any:
        return _Pool.apply(gg)  # type: ignore[no-untyped-call] # torch leaves it untyped
