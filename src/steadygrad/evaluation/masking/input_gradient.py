"""Input gradients for diagnostics: of any function of the logits, zero where a model has none."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.checks import check_logits

__all__ = ["cross_entropies", "input_gradient", "is_differentiable", "margins"]


def cross_entropies(logits: Logits, labels: Labels) -> Tensor:
    """Return the cross-entropy of each example, (batch,)."""
    return cross_entropy(logits, labels, reduction="none")


def margins(logits: Logits, labels: Labels) -> Tensor:
    """Return the label's logit minus the highest other one, (batch,); above 0 where right."""
    own = logits.gather(1, labels.unsqueeze(1)).squeeze(1)
    others = logits.scatter(1, labels.unsqueeze(1), -torch.inf)
    return own - others.amax(dim=1)


def input_gradient(
    model: Classifier,
    images: Images,
    labels: Labels,
    function: Callable[[Logits, Labels], Tensor],
) -> tuple[Tensor, Tensor]:
    """Return ``function(model(images), labels)`` (batch,) and its gradient, like the images.

    function: one value an example, from that example's logits alone.
    A model whose outputs do not depend on the images differentiably has the gradient zero: that
    is what an attack on it would have to work with.
    """
    with torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone().requires_grad_()
        logits = model(images)
        check_logits(logits, len(images))
        values = function(logits, labels)
        gradient = None
        if values.requires_grad:
            (gradient,) = torch.autograd.grad(
                values, images, torch.ones_like(values), allow_unused=True
            )
    return values.detach(), torch.zeros_like(images) if gradient is None else gradient


def is_differentiable(model: Classifier, images: Images) -> bool:
    """Return whether autograd finds any way from the logits back to the images."""
    with torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone().requires_grad_()
        logits = model(images)
        if not logits.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(logits.sum(), images, allow_unused=True)
    return gradient is not None
