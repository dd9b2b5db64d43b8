"""A few images beside their adversarial twins, for people to look at."""

from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack, with_eps
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.accuracy import model_device, predictions
from steadygrad.evaluation.curve import AccuracyCurve
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derived_generator

__all__ = ["Gallery", "one_of_each_class", "select_gallery"]


@dataclass(frozen=True, eq=False)
class Gallery:
    """``G`` images before and after an attack of radius ``eps``; everything on the CPU.

    clean, adversarial: (G, channels, height, width), pixels in [0, 1].
    labels, clean_predictions, adversarial_predictions: int64 (G,).
    """

    eps: float
    clean: Images
    adversarial: Images
    labels: Labels
    clean_predictions: Labels
    adversarial_predictions: Labels


def select_gallery(
    model: Classifier,
    images: Images,
    labels: Labels,
    attack: Attack,
    curve: AccuracyCurve,
    *,
    eps: float | None = None,
    count: int = 8,
    device: torch.device | str | None = None,
) -> Gallery:
    """Attack a few of the examples of ``curve`` again and return what became of them.

    Chosen are examples that are right without attack, the first of each class in turn, whatever
    the attack does to them; fewer than ``count`` if fewer are right.
    images, labels: those of the curve, in the same order.
    eps: radius; None takes that of the curve's at which accuracy is nearest to half the clean one.

    Raises: HyperparameterError, if ``count`` is below 1 or the curve is of other examples.
    """
    if count < 1:
        raise HyperparameterError(f"expected count >= 1, got {count}")
    if curve.n != len(images):
        raise HyperparameterError(
            f"expected the {curve.n} images of the curve, got {len(images)} images"
        )
    rows = one_of_each_class(labels.cpu(), curve.broken_at > 0, count)
    eps = _telling_radius(curve) if eps is None else eps
    device = model_device(model, images) if device is None else device
    clean, labels = images[rows], labels[rows]
    adversarial = clean
    if eps > 0 and len(rows) > 0:
        with evaluation_mode(model):
            adversarial = with_eps(attack, eps)(
                model,
                clean.to(device),
                labels.to(device),
                generator=derived_generator(curve.seed, f"gallery, eps {eps!r}"),
            )
    return Gallery(
        eps=eps,
        clean=clean.cpu(),
        adversarial=adversarial.cpu(),
        labels=labels.cpu(),
        clean_predictions=_predicted(model, clean, device),
        adversarial_predictions=_predicted(model, adversarial, device),
    )


def one_of_each_class(labels: Labels, is_eligible: Tensor, count: int) -> Tensor:
    """Return the rows of up to ``count`` eligible examples: the first of each class in turn."""
    by_class = [
        (is_eligible & (labels == label)).nonzero().squeeze(1).tolist()
        for label in torch.unique(labels)
    ]
    longest = max(len(rows) for rows in by_class)
    in_turn = [rows[turn] for turn in range(longest) for rows in by_class if turn < len(rows)]
    return torch.tensor(in_turn[:count], dtype=torch.int64)


def _telling_radius(curve: AccuracyCurve) -> float:
    half = (curve.broken_at > 0).double().mean().item() / 2
    return min(curve.points, key=lambda point: abs(point.accuracy - half)).eps


def _predicted(model: Classifier, images: Images, device: torch.device | str) -> Labels:
    if len(images) == 0:
        return torch.zeros(0, dtype=torch.int64)
    return predictions(model, images, device=device)
