"""How a diagnostic asks a model: input gradients, a float64 copy, where and along what."""

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.checks import check_logits
from steadygrad.model_answer import answer

__all__ = [
    "cross_entropies",
    "input_gradient",
    "is_differentiable",
    "margins",
    "precise_model",
    "random_signs",
    "within_range",
]


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
        logits = answer(model, images)
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
        logits = answer(model, images)
        if not logits.requires_grad:
            return False
        (gradient,) = torch.autograd.grad(logits.sum(), images, allow_unused=True)
    return gradient is not None


def precise_model(model: Classifier, images: Images) -> nn.Module | None:
    """Return a float64 copy of the model, or None if there is none that computes in float64.

    The model itself stays as it is. A plain callable cannot be copied; a module may refuse to be,
    may round on its way, or may live where there is no float64.
    """
    if not isinstance(model, nn.Module):
        return None
    try:
        precise = copy.deepcopy(model).double().requires_grad_(False)
        with torch.no_grad():
            logits = precise(images[:1].double())
    except Exception:  # whatever a foreign model raises, the answer is that there is no copy
        return None
    return precise if logits.dtype == torch.float64 else None


def within_range(images: Images, generator: torch.Generator) -> Images:
    """Draw pixels into [0.01, 0.99], each shifted by up to 0.05 at random.

    Small steps in both directions then stay in [0, 1], where a model may clamp, and pixels do not
    rest just where one that rounds would change its mind, as the greys of a data set may.
    """
    noise = torch.rand(images.shape, generator=generator, dtype=torch.float64, device="cpu").to(
        images
    )
    return 0.06 + 0.88 * images + 0.05 * (2 * noise - 1)


def random_signs(images: Images, generator: torch.Generator) -> Tensor:
    """Return -1 or 1 for each pixel, with equal probability."""
    noise = torch.rand(images.shape, generator=generator, dtype=torch.float64, device="cpu")
    return torch.where(noise < 0.5, -1.0, 1.0).to(images)
