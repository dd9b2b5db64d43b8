"""Which images are proven: no change within the radius makes the model wrong about them."""

from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.ball import Norm
from steadygrad.checks import check_eps
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation.certificate.bounds import (
    Bounds,
    Region,
    interval_bounds,
    linear_lower_bound,
    refined_bounds,
)
from steadygrad.evaluation.certificate.chain import Chain, Rectifier, chain_of
from steadygrad.evaluation.image_rows import AnyImages

__all__ = ["Certificate", "certify", "margin_lower_bound"]

ROUNDING = 1e-5
"""Margin, in parts of the logits' size, that a proof must leave for float32 to round in."""
MOST_UNITS = 8192
"""ReLUs of a network whose bounds are refined one by one for each image."""
TOGETHER = 32
"""Images whose bounds are computed together, at most."""
MOST_NUMBERS = 1 << 25
"""Of the linear functions that go backwards together, float64: 256 MiB."""
PATIENCE = 16
"""Images in a row, the most promising first, whose refined bound proves nothing: then it ends."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """Which images are proven, and which were not bounded as tightly as can be.

    Args:
        proven: bool (n,), whether no change within the radius can mislead the model on it.
        left_out: bool (n,), not proven, and not looked at to the end.
        is_late: whether it was time that ended it.
    """

    proven: Tensor = field(repr=False)
    left_out: Tensor = field(repr=False)
    is_late: bool


@torch.no_grad()
def certify(
    model: Classifier,
    images: AnyImages,
    labels: Labels,
    *,
    eps: float,
    norm: Norm = "linf",
    rows: Tensor | None = None,
    patience: int | None = PATIENCE,
    device: torch.device | str | None = None,
    is_over: Callable[[], bool] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Certificate | None:
    """Prove for as many images as possible that they are classified as labelled within the radius.

    First by intervals and a linear bound on top of them, batch by batch. Then, for networks of up
    to 8,192 ReLUs, with every ReLU that may switch bounded linearly as well, image by image: those
    first that the first bound left the least short of a proof.

    Args:
        model: in eval mode.
        images: (n, channels, height, width) in [0, 1].
        labels: int64 (n,).
        eps: radius in ``norm``.
        norm: "linf" or "l2".
        rows: int64, the examples to prove; None takes all. No other is proven or left out.
        patience: end when so many images in a row cannot be proven by the second bound; at least
            1, and None for no end. The images that are left count as not proven.
        device: where batches are sent; None takes the model's.
        is_over: asked before each batch and each image; True ends it.
        progress: told how many more images are done.

    Returns:
        The proven images, or None if the model is no feed-forward ReLU network (see ``chain_of``).

    Raises:
        HyperparameterError: eps or patience is out of range.
    """
    check_eps(eps, norm)
    if patience is not None and patience < 1:
        raise HyperparameterError(f"expected patience >= 1 or None, got {patience}")
    place = model_device(model, images, device)
    rows = torch.arange(len(labels), device="cpu") if rows is None else rows.cpu()
    chain = chain_of(model, images[:8].to(place))
    if chain is None:
        return None
    is_over, progress = is_over or _never, progress or _unheard
    units, widest = _sizes(chain, images[:1].to(place))
    is_refined = units <= MOST_UNITS

    def spare_at(chosen: Tensor, *, refined: bool) -> Tensor:
        shown = images[chosen.to(images.device)].to(place)
        named = labels[chosen.to(labels.device)].to(place)
        return _spare(chain, shown, named, eps, norm, is_refined=refined).cpu()

    # How far the bound is above what a proof needs, in parts of the logits' size.
    spare = torch.full((len(labels),), -torch.inf, dtype=torch.float64, device="cpu")
    left_out = torch.zeros(len(labels), dtype=torch.bool, device="cpu")
    left_out[rows] = True
    for batch in rows.split(max(1, min(TOGETHER, MOST_NUMBERS // widest))):  # type: ignore[no-untyped-call] # torch leaves it untyped
        if is_over():
            return Certificate(spare > 0, left_out & (spare <= 0), is_late=True)
        spare[batch] = spare_at(batch, refined=False)
        done = batch[spare[batch] > 0] if is_refined else batch
        left_out[done] = False
        progress(len(done))
    order = spare[rows].argsort(descending=True)
    failed = 0
    for row in rows[order].split(1):  # type: ignore[no-untyped-call] # torch leaves it untyped
        if failed == patience:
            break
        if not left_out[row]:
            continue
        if is_over():
            return Certificate(spare > 0, left_out, is_late=True)
        spare[row] = spare_at(row, refined=True)
        left_out[row] = False
        failed = 0 if spare[row] > 0 else failed + 1
        progress(1)
    return Certificate(spare > 0, left_out, is_late=False)


def _never() -> bool:
    return False


def _unheard(_: int) -> None:
    """Stand in for a listener that nobody gave."""


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
    plain = _lower_bounds(chain, bounds, region, slopes)
    if not is_refined:
        return plain.amin(dim=1)
    least = []
    for row in torch.arange(len(images), device=images.device).split(1):  # type: ignore[no-untyped-call] # torch leaves it untyped
        own = [(lower[row], upper[row]) for lower, upper in bounds]
        better = refined_bounds(chain, region.at(row), own)
        bound = _lower_bounds(chain, better, region.at(row), slopes[row])
        # Tighter intervals may choose another lower line, which for once may leave more.
        least.append(torch.maximum(bound, plain[row]).amin(dim=1))
    return torch.cat(least)


def _lower_bounds(chain: Chain, bounds: Bounds, region: Region, slopes: Tensor) -> Tensor:
    """Return a lower bound of ``slopes . logits``, (batch, m), in parts that fit into memory."""
    widest = max(lower[0].numel() for lower, _ in bounds)
    together = max(1, MOST_NUMBERS // (widest * len(slopes)))
    parts = [
        linear_lower_bound(chain.steps, bounds, region, part)
        for part in torch.split(slopes, together, dim=1)
    ]
    return torch.cat(parts, dim=1)


def _spare(
    chain: Chain, images: Images, labels: Labels, eps: float, norm: Norm, *, is_refined: bool
) -> Tensor:
    """Return by how much each margin's lower bound exceeds what a proof needs, (batch,)."""
    size = 1 + chain(images).abs().amax(dim=1)
    least = margin_lower_bound(chain, images, labels, eps=eps, norm=norm, is_refined=is_refined)
    return least / size - ROUNDING


def _margins(labels: Labels, classes: int) -> Tensor:
    """Return the slopes of the label's logit minus each other one, for each image."""
    every = torch.eye(classes, dtype=torch.float64, device=labels.device)
    names = torch.arange(classes, device=labels.device)
    is_other = names != labels.unsqueeze(1)
    others = every.expand(len(labels), -1, -1)[is_other].reshape(len(labels), classes - 1, classes)
    return every[labels].unsqueeze(1) - others


def _sizes(chain: Chain, image: Images) -> tuple[int, int]:
    """Return the ReLUs of the network, and the numbers of its widest layer for one image."""
    value = image.double()
    units, widest = 0, value.numel()
    for step in chain.steps:
        if isinstance(step, Rectifier):
            units += value.numel()
            value = value.clamp_min(0)
        else:
            value = step.apply(value)
            widest = max(widest, value.numel())
    return units, widest
