"""Which images are proven: no change within the radius makes the model wrong about them."""

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import Norm
from steadygrad.checks import check_eps
from steadygrad.evaluation.certificate.bounds import (
    Region,
    interval_bounds,
    linear_lower_bound,
    refined_bounds,
)
from steadygrad.evaluation.certificate.chain import Chain, Rectifier, chain_of

__all__ = ["certified", "margin_lower_bound"]

ROUNDING = 1e-5
"""Margin, in parts of the logits' size, that a proof must leave for float32 to round in."""
MOST_UNITS = 8192
"""ReLUs of a network whose bounds are refined one by one for each image."""
TOGETHER = 32


@torch.no_grad()
def certified(
    model: Classifier, images: Images, labels: Labels, *, eps: float, norm: Norm = "linf"
) -> Tensor | None:
    """Return which images are proven to be classified as labelled within the radius, bool (n,).

    First by intervals and a linear bound on top of them, then, for networks of up to 8,192 ReLUs,
    with every ReLU that may switch bounded linearly as well. False says that nothing is proven.
    None: the model is no feed-forward ReLU network (see ``chain_of``). It should be in eval mode.

    Raises: HyperparameterError, if eps is out of range.
    """
    check_eps(eps, norm)
    chain = chain_of(model, images[:8])
    if chain is None:
        return None
    is_small = _units(chain, images[:1]) <= MOST_UNITS if len(images) else False
    parts = [
        _proven(chain, *batch, eps, norm, is_refined=is_small)
        for batch in zip(torch.split(images, TOGETHER), torch.split(labels, TOGETHER), strict=True)
    ]
    return torch.cat(parts) if parts else labels.new_zeros(0, dtype=torch.bool)


@torch.no_grad()
def margin_lower_bound(
    chain: Chain, images: Images, labels: Labels, *, eps: float, norm: Norm, is_refined: bool
) -> Tensor:
    """Return a lower bound of the margin over the ball, (batch,), float64.

    is_refined: whether ReLUs that may switch are bounded linearly as well, image by image.
    """
    region = Region.around(images, eps, norm)
    bounds = interval_bounds(chain, region)
    slopes = _margins(labels, bounds[-1][0].shape[1])
    plain = linear_lower_bound(chain.steps, bounds, region, slopes)
    if not is_refined:
        return plain.amin(dim=1)
    least = []
    for row in torch.arange(len(images), device=images.device).split(1):  # type: ignore[no-untyped-call] # torch leaves it untyped
        own = [(lower[row], upper[row]) for lower, upper in bounds]
        better = refined_bounds(chain, region.at(row), own)
        bound = linear_lower_bound(chain.steps, better, region.at(row), slopes[row])
        # Tighter intervals may choose another lower line, which for once may leave more.
        least.append(torch.maximum(bound, plain[row]).amin(dim=1))
    return torch.cat(least)


def _proven(
    chain: Chain, images: Images, labels: Labels, eps: float, norm: Norm, *, is_refined: bool
) -> Tensor:
    size = 1 + chain(images).abs().amax(dim=1)
    least = margin_lower_bound(chain, images, labels, eps=eps, norm=norm, is_refined=False)
    is_proven = least > ROUNDING * size
    rows = (~is_proven).nonzero().squeeze(1)
    if len(rows) and is_refined:
        least = margin_lower_bound(
            chain, images[rows], labels[rows], eps=eps, norm=norm, is_refined=True
        )
        is_proven[rows] = least > ROUNDING * size[rows]
    return is_proven


def _margins(labels: Labels, classes: int) -> Tensor:
    """Return the slopes of the label's logit minus each other one, for each image."""
    every = torch.eye(classes, dtype=torch.float64, device=labels.device)
    names = torch.arange(classes, device=labels.device)
    is_other = names != labels.unsqueeze(1)
    others = every.expand(len(labels), -1, -1)[is_other].reshape(len(labels), classes - 1, classes)
    return every[labels].unsqueeze(1) - others


def _units(chain: Chain, images: Images) -> int:
    """Return the ReLUs of the network; images: one of those that it takes."""
    value, units = images.double(), 0
    for step in chain.steps:
        if isinstance(step, Rectifier):
            units += value.numel()
            value = value.clamp_min(0)
        else:
            value = step.apply(value)
    return units
