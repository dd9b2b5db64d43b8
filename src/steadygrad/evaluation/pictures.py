"""Pictures for people: galleries, images under correlated noise, softmax lines."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import Attack, LongRangeCorrelated, with_eps
from steadygrad.attacks.longrange_correlated import Unit
from steadygrad.checks import check_finite_losses, check_images, check_labels, check_logits
from steadygrad.covariance import Exponential
from steadygrad.errors import HyperparameterError, ShapeError
from steadygrad.evaluation.accuracy import model_device, predictions
from steadygrad.evaluation.curve import AccuracyCurve
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.seeds import derived_generator

__all__ = [
    "CorrelatedSamples",
    "Gallery",
    "SoftmaxLines",
    "correlated_samples",
    "one_of_each_class",
    "select_gallery",
    "softmax_lines",
]


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

    Chosen are examples that are classified correctly without attack, the first of each class in
    turn, whatever the attack does to them; fewer than ``count`` if there are fewer.
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
    device = model_device(model, images, device)
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
    return torch.tensor(in_turn[:count], dtype=torch.int64, device="cpu")


def _telling_radius(curve: AccuracyCurve) -> float:
    half = (curve.broken_at > 0).double().mean().item() / 2
    return min(curve.points, key=lambda point: abs(point.accuracy - half)).eps


def _predicted(model: Classifier, images: Images, device: torch.device | str) -> Labels:
    if len(images) == 0:
        return torch.zeros(0, dtype=torch.int64, device="cpu")
    return predictions(model, images, device=device)


@dataclass(frozen=True, eq=False)
class CorrelatedSamples:
    """Columns of an image each, before and after noise of that column's decay length; on the CPU.

    eps: standard deviation of the noise, pixel units; samples: draws of which the worst is shown.
    decay_lengths: in pixels, one a column, ascending.
    clean, noisy: (columns, channels, height, width), pixels in [0, 1].
    labels, clean_predictions, noisy_predictions: int64 (columns,).
    """

    eps: float
    samples: int
    decay_lengths: tuple[float, ...]
    clean: Images
    noisy: Images
    labels: Labels
    clean_predictions: Labels
    noisy_predictions: Labels


def correlated_samples(
    model: Classifier,
    images: Images,
    labels: Labels,
    *,
    eps: float = 0.3,
    decay_lengths: Sequence[float] = (1, 2, 4, 8, 12),
    samples: int = 100,
    unit: Unit = "pixel",
    seed: int = 0,
    device: torch.device | str | None = None,
) -> CorrelatedSamples:
    """Disturb the images with ``LongRangeCorrelated`` noise, several decay lengths in turn.

    images: as many for each decay length, in order: with 10 images and 5 lengths, the first two
        get the shortest. labels: int64, theirs.
    decay_lengths: at least one, in pixels; used in ascending order.
    unit: of ``eps``, as in ``LongRangeCorrelated``.
    seed: of the noise; device: where batches are sent; None takes the model's.
    Raises: ImageError, LabelError, ModelError; HyperparameterError, if a number is out of range or
        the images cannot be shared out.
    Source: Roth et al., arXiv:1805.08736, Fig. 3, right.
    """
    check_images(images)
    check_labels(labels, len(images))
    lengths = sorted(decay_lengths)
    if not lengths or len(images) % len(lengths):
        raise HyperparameterError(
            f"expected as many images for each of {len(lengths)} decay lengths, "
            f"got {len(images)} images"
        )
    device = model_device(model, images, device)
    each = len(images) // len(lengths)
    parts = zip(lengths, torch.split(images, each), torch.split(labels, each), strict=True)
    attacks = [
        LongRangeCorrelated(eps=eps, covariance=Exponential(length), samples=samples, unit=unit)
        for length in lengths
    ]
    with evaluation_mode(model):
        noisy = torch.cat(
            [
                attack(
                    model,
                    clean.to(device),
                    classes.to(device),
                    generator=derived_generator(seed, f"noise, decay length {length!r}"),
                ).cpu()
                for attack, (length, clean, classes) in zip(attacks, parts, strict=True)
            ]
        )
    return CorrelatedSamples(
        eps=eps,
        samples=samples,
        decay_lengths=tuple(length for length in lengths for _ in range(each)),
        clean=images.cpu(),
        noisy=noisy,
        labels=labels.cpu(),
        clean_predictions=predictions(model, images, device=device),
        noisy_predictions=predictions(model, noisy, device=device),
    )


@dataclass(frozen=True, eq=False)
class SoftmaxLines:
    """Class probabilities at ``x + t r`` for some images ``x`` and perturbations ``r``; on the CPU.

    positions: the values of ``t``, (points,), ascending: 0 is the image, 1 its adversarial twin.
    probabilities: softmax of the logits, (images, points, classes).
    """

    positions: Tensor
    probabilities: Tensor

    @property
    def steepest(self) -> Tensor:
        """The fastest change of any class's probability, per unit of ``t``, (images,)."""
        change = self.probabilities.diff(dim=1).abs().amax(dim=2)
        return (change / self.positions.diff().to(change)).amax(dim=1)


@torch.no_grad()
def softmax_lines(
    model: Classifier,
    images: Images,
    perturbations: Tensor,
    *,
    reach: float = 5.0,
    points: int = 101,
    device: torch.device | str | None = None,
) -> SoftmaxLines:
    """Return the softmax activations at ``x + t r``, ``t`` evenly spaced over [-reach, reach].

    images: (batch, channels, height, width) in [0, 1]; perturbations: ``r``, of the same shape.
    reach: above 0; points: at least 2, an odd number has the image itself among them.
    device: where batches are sent; None takes the model's.
    The points are *not* clipped to [0, 1]: clipping would bend the line.
    Raises: ImageError, ShapeError, ModelError; HyperparameterError, if a number is out of range.
    Source: Roth et al., arXiv:1805.08736, Fig. 6 (``r`` a PGD perturbation of eps 4/255, reach 5).
    """
    check_images(images)
    if perturbations.shape != images.shape:
        raise ShapeError(
            f"expected perturbations of the images' shape {tuple(images.shape)}, "
            f"got {tuple(perturbations.shape)}"
        )
    if not 0 < reach < float("inf"):
        raise HyperparameterError(f"expected reach > 0, got {reach}")
    if points < 2:
        raise HyperparameterError(f"expected at least 2 points, got {points}")
    device = model_device(model, images, device)
    positions = torch.linspace(-reach, reach, points, dtype=torch.float64, device="cpu")
    along = positions.to(device, images.dtype).view(-1, 1, 1, 1)
    lines = []
    with evaluation_mode(model):
        for image, perturbation in zip(images.to(device), perturbations.to(device), strict=True):
            logits = model(image + along * perturbation)
            check_logits(logits, points)
            check_finite_losses(logits)
            lines.append(logits.softmax(dim=1).cpu())
    return SoftmaxLines(positions=positions, probabilities=torch.stack(lines))
