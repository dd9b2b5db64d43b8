"""Whether derivatives written by hand apply to a call: the question that is asked first.

Autograd nodes written in Python know no compilation, export, tracing, scripting, transforms of
``torch.func``, forward-mode derivatives, tensor subclasses or operator modes. In all of these,
layers run PyTorch's own code, forwards and backwards; under autocast some do (``autocast_dtype``).
"""

from collections.abc import Sequence
from types import FunctionType
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Proxy

from steadygrad.layers.hand_written.torch_internals import is_batched, is_plain_eager

__all__ = [
    "DTYPES",
    "HandWrittenLayer",
    "applies",
    "as_one_node",
    "autocast_dtype",
    "dtypes_on",
    "forward_of",
    "is_autocast",
    "is_symbolic",
]

DTYPES = (torch.float32, torch.float64)
HALVES = (torch.bfloat16, torch.float16)

DEVICES_OF_HALVES = ("cuda",)
"""Where layers that know half precision compute in it. On a CPU they leave it to PyTorch: ours
would save 5 % in bfloat16, and float16 has no arithmetic there."""

_PLAIN_TYPES = (Tensor, nn.Parameter)
_is_scripting = torch.jit.is_scripting  # type: ignore[attr-defined] # torch leaves it so


def applies(*tensors: Tensor | None, dtypes: Sequence[torch.dtype] = DTYPES) -> bool:
    """Return whether hand-written derivatives apply to an operation on these tensors.

    That is so in plain reverse-mode autograd, on plain dense tensors, none of them empty, all of
    the same device (a CPU or CUDA) and dtype. Nodes ask again in each of their backward passes,
    which may run in other circumstances than the forward pass.

    Args:
        tensors: every operand; None stands for one that is left out, as a bias.
        dtypes: those that the derivatives are written for.
    """
    # First what reads no tensor: a tracer would record the reading and specialise to its result.
    if torch.compiler.is_compiling() or _is_tracing() or not is_plain_eager():
        return False
    first: Tensor | None = None
    for tensor in tensors:  # a plain loop: this is asked some thirty times a step
        if tensor is None:
            continue
        if (
            type(tensor) not in _PLAIN_TYPES
            or not (tensor.is_cpu or tensor.is_cuda)
            or tensor.dtype not in dtypes
            or tensor.layout != torch.strided
            or tensor.is_nested
            or tensor.numel() == 0
            or is_batched(tensor)
        ):
            return False
        if first is None:
            first = tensor
        elif tensor.dtype != first.dtype or tensor.get_device() != first.get_device():
            return False
    return first is not None and not torch.is_autocast_enabled("cpu" if first.is_cpu else "cuda")


def is_autocast(device: torch.device) -> bool:
    """Return whether autocast is on for a device, of whatever kind."""
    return torch.amp.is_autocast_available(device.type) and torch.is_autocast_enabled(device.type)


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return the half precision that autocast wants a layer of ours to compute in.

    None where there is no autocast, or where it is left to PyTorch.
    """
    if device.type in DEVICES_OF_HALVES and torch.is_autocast_enabled(device.type):
        return torch.get_autocast_dtype(device.type)
    return None


def dtypes_on(device: torch.device) -> Sequence[torch.dtype]:
    """Return the dtypes that a layer which knows half precision computes in."""
    return (*DTYPES, *HALVES) if device.type in DEVICES_OF_HALVES else DTYPES


def _is_tracing() -> bool:
    return bool(torch.jit.is_tracing())  # type: ignore[no-untyped-call, attr-defined] # torch leaves it so


class HandWrittenLayer(nn.Module):
    """A layer with two ways to compute the same: derivatives by hand, or PyTorch's own code.

    A subclass that replaces a layer of PyTorch names this class first and that layer second. It
    defines ``_by_hand`` and takes over the forward method with ``_by_pytorch = forward_of(...)``.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 # PyTorch's layers call it so
        # No comment on types in here: TorchScript would read it.
        if not _is_scripting():
            if is_symbolic(input):
                return as_one_node(self, input)
            dtype = autocast_dtype(input.device)
            if dtype is None:
                y = self._by_hand(input)
            else:
                with torch.autocast(input.device.type, enabled=False):
                    y = self._by_hand_in(dtype, input)
            if y is not None:
                return y
        return self._by_pytorch(input)

    def _by_hand(self, input: Tensor) -> Tensor | None:  # noqa: A002 # as above
        """Return the output of the hand-written nodes, or None where they do not apply."""
        raise NotImplementedError

    def _by_hand_in(self, _: torch.dtype, input: Tensor) -> Tensor | None:  # noqa: A002 # as above
        """Return the same under autocast to a half precision, which is turned off meanwhile.

        Like most of PyTorch's, a layer keeps the dtype of its input unless it says otherwise here.
        """
        return self._by_hand(input)

    def _by_pytorch(self, input: Tensor) -> Tensor:  # noqa: A002 # as above
        raise NotImplementedError


def forward_of(layer: type[nn.Module]) -> Any:
    """Return the forward method of a layer of PyTorch as a method called ``_by_pytorch``.

    TorchScript does not know ``super()``, and compiles a method under the function's own name: that
    of the method itself would collide with our ``forward``.
    """
    original: Any = layer.forward
    renamed = FunctionType(original.__code__, original.__globals__, "_by_pytorch")
    renamed.__annotations__ = dict(original.__annotations__)
    return renamed


def is_symbolic(x: object) -> bool:
    """Return whether a tensor is a placeholder of ``torch.fx.symbolic_trace``."""
    return isinstance(x, Proxy)


def as_one_node(layer: nn.Module, x: Tensor) -> Tensor:
    """Record a call of the layer on a symbolic x as one node, as of PyTorch's own layers.

    ``torch.fx`` looks into every module that is not defined in ``torch.nn``, and a decision that
    depends on a tensor, even on its number of axes, ends its trace.
    """
    placeholder: Any = x
    path = placeholder.tracer.path_of_module(layer)
    node: Tensor = placeholder.tracer.create_proxy("call_module", path, (x,), {})
    return node
