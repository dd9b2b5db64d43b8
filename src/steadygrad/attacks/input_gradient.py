"""The gradient of one value per example with respect to the images, and nothing else."""

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.errors import ModelError

__all__ = ["input_gradient"]


def input_gradient(values: Tensor, images: Images, *, keep_graph: bool = False) -> Images:
    """Return the gradient of ``values`` (batch,), each with respect to its own image.

    Only the images' gradient is built: nothing is computed for, or left on, a model's parameters.

    Args:
        values: one per example, computed from ``images`` with a graph.
        images: that they were computed from, requiring a gradient.
        keep_graph: whether the graph is needed once more.

    Returns:
        the gradient, shaped like the images.

    Raises:
        ModelError: the values do not depend on the images, or not differentiably.
    """
    if not values.requires_grad:
        raise ModelError("expected logits differentiable in the images, got constants")
    # A vector of ones instead of a sum: no overflow in half precision.
    (gradient,) = torch.autograd.grad(
        values, images, torch.ones_like(values), retain_graph=keep_graph, allow_unused=True
    )
    if gradient is None:
        raise ModelError("expected logits that depend on the images, got constants")
    found: Tensor = gradient
    return found
