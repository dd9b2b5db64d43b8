"""Private functions of PyTorch, each behind one guarded function with a public way out.

A version of PyTorch without one of them makes this library slower and nothing else: questions about
the running call are then answered so that PyTorch's own layers are used, and operators are replaced
by compositions of public ones. An operator is tried once on a tiny input before it is trusted.
"""

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.nn.functional import conv2d, linear

__all__ = [
    "batch_norm",
    "batch_norm_gradients",
    "convolution_gradients",
    "engine_will_execute",
    "gelu_gradient",
    "has_batch_norm",
    "has_onednn_product",
    "is_batched",
    "is_plain_eager",
    "onednn_product",
    "saved_tensors_are_kept",
]

Wanted = Sequence[bool]
ThreeGradients = tuple[Tensor | None, Tensor | None, Tensor | None]
_MISSING = (AttributeError, TypeError, RuntimeError, NotImplementedError)


def is_plain_eager() -> bool:
    """Return whether operations run at once, unobserved: no transform, mode or dual number.

    Transforms are those of ``torch.func``; modes see every operation (``FlopCounterMode``, fake
    tensors, selective checkpointing). ``with torch.device(...)`` is a mode too, and changes
    nothing here.
    """
    try:
        return (
            not torch._C._are_functorch_transforms_active()
            and torch._C._len_torch_dispatch_stack() == 0
            and forward_ad._current_level < 0
            and (torch._C._len_torch_function_stack() == 0 or _only_devices_are_set())
        )
    except AttributeError:
        return False


def is_batched(tensor: Tensor) -> bool:
    """Return whether ``is_grads_batched=True`` or ``vectorize=True`` put a batch into the tensor.

    Those use an older kind of ``vmap``, which is no transform of ``torch.func``.
    """
    try:
        return torch._C._functorch.is_legacy_batchedtensor(tensor)
    except AttributeError:
        return True


def _only_devices_are_set() -> bool:
    from torch.overrides import _get_current_function_mode_stack
    from torch.utils._device import DeviceContext

    stack: Sequence[object] = _get_current_function_mode_stack()  # type: ignore[no-untyped-call] # torch leaves it untyped
    return all(isinstance(mode, DeviceContext) for mode in stack)


def engine_will_execute(node: Any) -> bool:
    """Return whether the running backward pass needs what autograd's ``node`` computes.

    True as well where PyTorch does not answer: for a leaf that was handed to ``autograd.grad``.
    """
    try:
        return bool(torch._C._will_engine_execute_node(node))
    except (AttributeError, RuntimeError):
        return True


def saved_tensors_are_kept() -> bool:
    """Return whether autograd keeps a saved tensor itself, instead of handing it to a hook.

    Hooks are set by ``torch.autograd.graph.saved_tensors_hooks`` and by checkpointing.
    """
    try:
        return torch._C._autograd._top_saved_tensors_default_hooks(True) is None
    except (AttributeError, TypeError):
        return False


def convolution_gradients(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    wanted: Wanted,
) -> ThreeGradients:
    """Return the wanted gradients of x, W and a bias from g, that of ``conv2d``; else None."""
    if not _has_convolution_gradients():
        return _composed_convolution_gradients(
            g, x, weight, stride, padding, dilation, groups, wanted
        )
    outputs = (len(weight),)
    found: ThreeGradients = torch.ops.aten.convolution_backward(
        g, x, weight, outputs, stride, padding, dilation, False, (0, 0), groups, wanted
    )
    return found


def _composed_convolution_gradients(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
    groups: int,
    wanted: Wanted,
) -> ThreeGradients:
    def convolve(x: Tensor, weight: Tensor) -> Tensor:
        return conv2d(x, weight, None, stride, padding, dilation, groups)

    gx, gw = torch.func.vjp(convolve, x, weight)[1](g) if any(wanted[:2]) else (None, None)
    gb = g.sum(dim=(0, 2, 3)) if wanted[2] else None
    return gx if wanted[0] else None, gw if wanted[1] else None, gb


@cache
def _has_convolution_gradients() -> bool:
    settings = ((1, 1), (0, 0), (1, 1), 1, (True, True, True))

    def run(g: Tensor, x: Tensor, weight: Tensor) -> Sequence[Tensor | None]:
        steps, padding, dilation, groups, wanted = settings
        found: ThreeGradients = torch.ops.aten.convolution_backward(
            g, x, weight, (1,), steps, padding, dilation, False, (0, 0), groups, wanted
        )
        return found

    x, weight = _tiny(1, 1, 3, 3), _tiny(1, 1, 2, 2)
    g = _tiny(1, 1, 2, 2)
    return _agree(run, _composed_convolution_gradients, (g, x, weight), settings)


def gelu_gradient(g: Tensor, x: Tensor) -> Tensor:
    """Return ``g gelu'(x)``."""
    if not _has_gelu_gradient():
        return _composed_gelu_gradient(g, x)
    gradient: Tensor = torch.ops.aten.gelu_backward(g, x)
    return gradient


def _composed_gelu_gradient(g: Tensor, x: Tensor) -> Tensor:
    below = 0.5 * torch.erfc(-x * 0.5**0.5)
    gradient: Tensor = g * (below + x * (x.square() * -0.5).exp() * (0.5 / torch.pi) ** 0.5)
    return gradient


@cache
def _has_gelu_gradient() -> bool:
    def run(g: Tensor, x: Tensor) -> Sequence[Tensor]:
        return (torch.ops.aten.gelu_backward(g, x),)

    return _agree(run, lambda g, x: (_composed_gelu_gradient(g, x),), (_tiny(3), _tiny(3)))


def batch_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    factor: float,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return ``x`` normalised by its own statistics, their mean and ``1 / sqrt(var + eps)``.

    The running statistics move towards them by ``factor``. Only where ``has_batch_norm()``.
    """
    return torch.native_batch_norm(x, weight, bias, running_mean, running_var, True, factor, eps)


def batch_norm_gradients(
    g: Tensor,
    x: Tensor,
    weight: Tensor,
    mean: Tensor,
    scale: Tensor,
    eps: float,
    wanted: Wanted,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return gx, ``sum(g s)`` and ``sum(g)``, those that are wanted; see ``batch_norm``."""
    gradients: tuple[Tensor, Tensor, Tensor] = torch.ops.aten.native_batch_norm_backward(
        g, x, weight, None, None, mean, scale, True, eps, wanted
    )
    return gradients


@cache
def has_batch_norm() -> bool:
    """Return whether this PyTorch has the two functions above."""

    def run(x: Tensor, weight: Tensor) -> Sequence[Tensor]:
        y, mean, scale = batch_norm(x, weight, weight, None, None, 0.0, 0.5)
        gx, _, sum_g = batch_norm_gradients(y, x, weight, mean, scale, 0.5, (True, True, True))
        return y, gx, sum_g

    def composed(x: Tensor, weight: Tensor) -> Sequence[Tensor]:
        centred = x - x.mean(dim=(0, 2, 3), keepdim=True)
        scale = (centred.square().mean(dim=(0, 2, 3), keepdim=True) + 0.5).rsqrt()
        s = centred * scale
        y = s * weight[:, None, None] + weight[:, None, None]
        moved = y - y.mean(dim=(0, 2, 3), keepdim=True)
        moved = moved - s * (y * s).mean(dim=(0, 2, 3), keepdim=True)
        return y, weight[:, None, None] * scale * moved, y.sum(dim=(0, 2, 3))

    return _agree(run, composed, (_tiny(2, 2, 1, 2), _tiny(2)))


def onednn_product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a b'`` for float32 matrices on the CPU, by oneDNN where there is one."""
    if not has_onednn_product():
        return linear(a, b)
    product: Tensor = torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return product


def has_onednn_product() -> bool:
    """Return whether oneDNN is there, turned on and reached by its operator."""
    return bool(torch.backends.mkldnn.enabled) and _onednn_multiplies()


@cache
def _onednn_multiplies() -> bool:
    def run(a: Tensor, b: Tensor) -> Sequence[Tensor]:
        return (torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], ""),)

    matrices = _tiny(4, 3).float(), _tiny(2, 3).float()
    return bool(torch.backends.mkldnn.is_available()) and _agree(  # type: ignore[no-untyped-call] # torch leaves it untyped
        run, lambda a, b: (a @ b.t(),), matrices
    )


def _tiny(*shape: int) -> Tensor:
    count = torch.Size(shape).numel()
    return torch.arange(1, count + 1, dtype=torch.float64, device="cpu").reshape(shape).sin()


@torch.no_grad()
def _agree(
    private: Callable[..., Sequence[Tensor | None]],
    public: Callable[..., Sequence[Tensor | None]],
    inputs: tuple[Tensor, ...],
    settings: tuple[Any, ...] = (),
) -> bool:
    """Return whether a private operator exists and computes what public ones do."""
    try:
        pairs = zip(private(*inputs), public(*inputs, *settings), strict=True)
        return all(
            mine is not None and other is not None and torch.allclose(mine, other, atol=1e-5)
            for mine, other in pairs
        )
    except (*_MISSING, ValueError):
        return False
