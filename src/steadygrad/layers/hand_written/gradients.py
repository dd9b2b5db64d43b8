"""What hand-written backward passes share: which gradients are wanted, and PyTorch's own."""

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeAlias, TypeVar

import torch
from torch import Tensor
from torch.autograd.function import BackwardCFunction

from steadygrad.layers.hand_written.applicability import is_autocast
from steadygrad.layers.hand_written.torch_internals import engine_will_execute
from steadygrad.unread_leaf import is_unread

__all__ = ["Inputs", "as_precise_as_forwards", "is_read", "is_wanted", "pulled_back"]

Inputs: TypeAlias = tuple[Tensor | None, ...]
Gradients = TypeVar("Gradients")


def as_precise_as_forwards(backward: Callable[..., Gradients]) -> Callable[..., Gradients]:
    """Decorate a node's backward pass: autocast, if somebody calls it there, is off meanwhile.

    Forward passes of nodes run without autocast and in a dtype that they chose.
    """

    @wraps(backward)
    def run(ctx: Any, *gradients: Tensor | None) -> Gradients:
        for gradient in gradients:
            if gradient is not None and is_autocast(gradient.device):
                with torch.autocast(gradient.device.type, enabled=False):
                    return backward(ctx, *gradients)
        return backward(ctx, *gradients)

    return run


def is_wanted(ctx: Any, index: int) -> bool:
    """Return whether the running pass needs the gradient of the node's input ``index``.

    ``ctx.needs_input_grad`` is fixed when the graph is built: it says yes for every weight even
    while ``torch.autograd.grad(loss, images)`` asks for the images' gradient alone.
    """
    return ctx.needs_input_grad[index] and engine_will_execute(ctx.next_functions[index][0])


def is_read(ctx: Any, index: int, x: Tensor) -> bool:
    """Return whether anybody can read the gradient of x, the node's input ``index``.

    A penalty differentiates with respect to its own copy of the images, then marks that copy
    (``steadygrad.unread_leaf``): from there on its gradient would be computed for nobody. The
    answer is no only if that is certain: x is such a leaf, or one operation of PyTorch away from
    it, and neither x nor the leaf has a hook, retains its gradient or was asked for by name.
    Further away there may be activations with hooks that we do not see.

    Args:
        ctx: the node's context; its forward pass must have set ``ctx.is_x_kept`` to
            ``saved_tensors_are_kept()``, else x may be a copy that does not show its hooks.
        index: which input of the node x is.
        x: the input itself, from ``ctx.saved_tensors``.
    """
    node = ctx.next_functions[index][0]
    if node is None:
        return False
    if not ctx.is_x_kept or x._backward_hooks or x.retains_grad:
        return True
    if hasattr(node, "variable"):
        return _is_leaf_read(node)
    # Modules' backward hooks are nodes written in Python between x and its operation.
    if isinstance(node, BackwardCFunction):
        return True
    return any(_is_leaf_read(parent) for parent, _ in node.next_functions if parent is not None)


def _is_leaf_read(node: Any) -> bool:
    leaf = getattr(node, "variable", None)
    if leaf is None or leaf._backward_hooks or (leaf.requires_grad and not is_unread(leaf)):
        return True
    # A pass that was asked for single gradients does not end here: someone named x itself.
    return not engine_will_execute(node)


def pulled_back(
    function: Callable[..., Tensor], inputs: Inputs, gradient: Tensor, wanted: Sequence[bool]
) -> tuple[Tensor | None, ...]:
    """Return the wanted gradients of the inputs, from that of the function's value; else None.

    They have a graph of their own, and they are partial derivatives: one input may itself depend on
    another.
    """
    chosen = [index for index, is_chosen in enumerate(wanted) if is_chosen]

    def of_chosen(*values: Tensor) -> Tensor:
        arguments = list(inputs)
        for index, value in zip(chosen, values, strict=True):
            arguments[index] = value
        return function(*arguments)

    pull_back = torch.func.vjp(of_chosen, *(inputs[index] for index in chosen))[1]
    found = dict(zip(chosen, pull_back(gradient), strict=True))
    return tuple(found.get(index) for index in range(len(inputs)))
