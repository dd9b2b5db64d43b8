"""Where derivatives written by hand stand in for PyTorch's own."""

import torch
from torch import Tensor
from torch.autograd import forward_ad

__all__ = ["may_be_hand_written"]


def may_be_hand_written(x: Tensor) -> bool:
    """Tell whether a call is reverse-mode autograd on the CPU and nothing besides.

    Autograd nodes written in Python know no mixed precision, compilation, tracing, transforms of
    ``torch.func`` or forward-mode derivatives; there, layers compose PyTorch's operations.
    """
    return (
        x.device.type == "cpu"
        and x.numel() > 0
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and torch._C._get_tracing_state() is None
        and not torch._C._are_functorch_transforms_active()
        and forward_ad._current_level < 0
    )
