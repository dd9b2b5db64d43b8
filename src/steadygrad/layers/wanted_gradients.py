"""What a running backward pass is after: PyTorch does not tell autograd nodes written in Python."""

from typing import Any

import torch

__all__ = ["is_wanted", "leads_to_a_wanted_leaf"]


def is_wanted(ctx: Any, index: int) -> bool:
    """Tell whether the running pass needs the gradient of the node's input ``index``.

    ``ctx.needs_input_grad`` is fixed when the graph is built: it says yes for every weight even
    while ``torch.autograd.grad(loss, images)`` asks for the images' gradient alone.
    """
    if not ctx.needs_input_grad[index]:
        return False
    try:
        return bool(torch._C._will_engine_execute_node(ctx.next_functions[index][0]))
    except RuntimeError:  # a leaf handed to autograd.grad, for which the engine has no answer
        return True


def leads_to_a_wanted_leaf(ctx: Any, index: int) -> bool:
    """Tell whether a leaf behind the node's input ``index`` still requires a gradient.

    A penalty differentiates with respect to its own copy of the images, then sets that copy's
    ``requires_grad`` to False: from there on its gradient would be computed for nobody.
    """
    pending, seen = [ctx.next_functions[index][0]], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            if node.variable.requires_grad:
                return True
        else:
            pending.extend(parent for parent, _ in node.next_functions)
    return False
