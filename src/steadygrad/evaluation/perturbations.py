"""What an attack adds to images, and how that varies together."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks import ATTACKS, Goal, about_attack
from steadygrad.checks import check_batch_size, check_finite_losses, check_images, check_labels
from steadygrad.covariance import (
    DenseCovariance,
    ImageShape,
    RadialCovariance,
    StationaryCovariance,
    autocorrelation,
    decay_length,
    pair_counts,
    radial_function,
)
from steadygrad.covariance.estimation import as_working_dtype
from steadygrad.covariance.operator import DENSE_LIMIT
from steadygrad.errors import CovarianceError, HyperparameterError, ShapeError, UnknownNameError
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.parts import nearest
from steadygrad.penalties.perturbation_source import PerturbingAttack
from steadygrad.seeds import derived_generator

__all__ = [
    "PerturbationSource",
    "PerturbationStructure",
    "gather_structure",
    "image_structure",
    "perturbation_batches",
    "perturbation_source",
]

PerturbationSource: TypeAlias = PerturbingAttack | Literal["gradient"]
"""An attack, whose perturbation is what it adds; or the loss's input gradient itself."""


def perturbation_source(text: str, *, eps: float = 8 / 255) -> PerturbationSource:
    """Return the source of perturbations that a text describes.

    Args:
        text: "gradient", for the cross-entropy's own gradient; or an attack, such as
            "pgd:eps=8/255,steps=10", "fgsm" or "deepfool". What it leaves out is as in the paper's
            Table 2: ``eps``, 10 steps of ``2 * eps / steps``, and no random start, which would add
            white noise of its own to the perturbations.
        eps: radius where the text has none.

    Raises:
        UnknownNameError: there is no such attack or choice.
        HyperparameterError: a setting is unknown or refused, or eps is 0.

    Source: Roth et al., arXiv:1805.08736, sections 4.1, 4.2 and 7.2.
    """
    name, colon, _ = text.strip().partition(":")
    if name == "gradient":
        if colon:
            raise HyperparameterError(f"expected gradient without settings, got {text!r}")
        return "gradient"
    if name not in ATTACKS.names():
        choices = (*ATTACKS.names(), "gradient")
        raise UnknownNameError(
            f"unknown attack {name!r}{nearest(name, choices)}; choose one of {', '.join(choices)}"
        )
    has_radius = about_attack(ATTACKS.get(name)).has_eps
    defaults = {"eps": eps, "steps": 10, "reach": 2.0, "random_start": False} if has_radius else {}
    attack = ATTACKS.parse(text, **defaults)
    if getattr(attack, "eps", None) == 0:
        raise HyperparameterError("expected eps > 0 for perturbations that are not all zero, got 0")
    return attack


def perturbation_batches(
    model: Classifier,
    images: Images,
    labels: Labels,
    source: PerturbationSource,
    *,
    batch_size: int = 250,
    seed: int = 0,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[Tensor]:
    """Yield the perturbations of ``batch_size`` images at a time, in order; model in eval mode.

    labels: what to lead away from: the true classes, or the model's own predictions, which the
        paper takes.
    seed: of an attack's random draws; each batch has its own.
    device: where batches are sent; None takes the model's. progress: hears (done, total) images.
    Raises: ImageError, LabelError, ModelError; HyperparameterError, if batch_size is below 1.
    """
    check_images(images)
    check_labels(labels, len(images))
    check_batch_size(batch_size)
    device = model_device(model, images, device)
    return _batches(model, images, labels, source, batch_size, seed, device, progress)


def _batches(
    model: Classifier,
    images: Images,
    labels: Labels,
    source: PerturbationSource,
    batch_size: int,
    seed: int,
    device: torch.device | str,
    progress: Callable[[int, int], None] | None,
) -> Iterator[Tensor]:
    # A function of its own, so that the checks above run at the call and not at the first batch.
    parts = zip(torch.split(images, batch_size), torch.split(labels, batch_size), strict=True)
    for number, (batch, classes) in enumerate(parts):
        batch, classes = batch.to(device), classes.to(device)
        generator = derived_generator(seed, f"perturbations, batch {number}")
        # Not around the loop: between two batches the model is the caller's.
        with evaluation_mode(model):
            added = _added(model, batch, classes, source, generator)
        if progress is not None:
            progress(min((number + 1) * batch_size, len(images)), len(images))
        yield added


def _added(
    model: Classifier,
    images: Images,
    labels: Labels,
    source: PerturbationSource,
    generator: torch.Generator,
) -> Tensor:
    if isinstance(source, str):
        losses, gradient = Goal(labels).ascent(model, images)
        check_finite_losses(losses)
        return gradient
    return source(model, images, labels, generator=generator) - images


@dataclass(frozen=True, eq=False)
class PerturbationStructure:
    """Raw second moments of ``count`` perturbations, scaled to a unit mean diagonal; float64, CPU.

    image_shape: channels C, height H, width W; d is their product.
    count: perturbations gathered; unchanged: how many of them were all zero.
    pixel_variance: mean second moment of a pixel before the scaling, in squared pixel units.
    mean: the mean perturbation in the scaled units, (C, H, W); it is *not* subtracted.
    displacements: covariance at each signed displacement, averaged over the pairs of pixels,
        (C, C, 2 H - 1, 2 W - 1), as ``StationaryCovariance.from_displacements`` takes it.
    matrix: of all pairs of pixels, (d, d); None where d is above ``DENSE_LIMIT``.
    Source: Roth et al., arXiv:1805.08736, Eqs. (15) and (16), Figs. 1 and 2.
    """

    image_shape: ImageShape
    count: int
    unchanged: int
    pixel_variance: float
    mean: Tensor
    displacements: Tensor
    matrix: Tensor | None

    @cached_property
    def function(self) -> Tensor:
        """The paper's covariance function of the rounded distance, (C, C, distances), Eq. (16)."""
        return radial_function(self.displacements, self.image_shape)

    @property
    def channel_pairs(self) -> tuple[tuple[int, int], ...]:
        """The pairs of distinct channels, the first below the second; none of a single channel."""
        return tuple(combinations(range(self.image_shape[0]), 2))

    @property
    def intra_channel(self) -> Tensor:
        """The function within each channel, (C, distances)."""
        return self.function.diagonal(dim1=0, dim2=1).T

    @property
    def inter_channel(self) -> Tensor:
        """The function between the channels of each of ``channel_pairs``, (pairs, distances)."""
        chosen = [self.function[pair] for pair in self.channel_pairs]
        return torch.stack(chosen) if chosen else self.function.new_zeros(0, self.function.shape[2])

    @property
    def intra_reach(self) -> float:
        """Decay length in pixels of the mean intra-channel function; infinite if it stays above."""
        return decay_length(self.intra_channel.mean(dim=0))

    @property
    def inter_reach(self) -> float | None:
        """That of the mean inter-channel function; None if it is not positive, or of one channel.

        A length of 1/e has no meaning for channels that are uncorrelated at the same pixel.
        """
        return reach(self.inter_channel.mean(dim=0)) if self.channel_pairs else None

    @property
    def shift(self) -> float:
        """Share of the second moments that the mean makes up, in [0, 1]; 0 if centred."""
        return self.mean.square().mean().item()

    def dense(self) -> DenseCovariance:
        """Return the full matrix, Eq. (15).

        Raises: CovarianceError, if the images are too large for one.
        """
        if self.matrix is None:
            raise CovarianceError(too_large(self.image_shape))
        return DenseCovariance(self.matrix, self.image_shape, verify=False)

    def stationary(self, *, repair_steps: int = 30) -> StationaryCovariance:
        """Return the semidefinite function of the displacement that is nearest, unit diagonal.

        From the average over the pairs, not the tapered one: FGSM perturbations of 1,000 CIFAR-10
        images come out 23 % from those of 6,000 others (Frobenius; 37 % radial, 35 % tapered),
        of which the repair of what an image's border breaks makes up most.
        """
        nearest = StationaryCovariance.from_displacements(
            self.displacements, self.image_shape, repair_steps=repair_steps
        )
        return nearest.scaled(1 / nearest.mean_diagonal)

    def radial(self, *, repair_steps: int = 30) -> RadialCovariance:
        """Return the semidefinite covariance nearest to the paper's function, unit diagonal."""
        nearest = RadialCovariance.from_function(
            self.function, self.image_shape, repair_steps=repair_steps
        )
        return nearest.scaled(1 / nearest.mean_diagonal)


def gather_structure(perturbations: Iterable[Tensor]) -> PerturbationStructure:
    """Return the structure of perturbations that come in batches and are not kept.

    perturbations: floating, each batch (batch, channels, height, width), of one image shape. Each
        perturbation counts the same, whatever its batch; all zero ones count, and change only the
        ``pixel_variance``. Memory: O(d^2) up to ``DENSE_LIMIT`` pixels, O(d) beyond.
    Raises: ShapeError; CovarianceError, if there are none, one is not finite, or all are zero.
    """
    batches = iter(perturbations)
    first = next(batches, None)
    if first is None:
        raise CovarianceError("expected at least one batch of perturbations, got none")
    sums = _Sums(first)
    for batch in batches:
        sums.add(batch)
    return sums.structure()


def image_structure(images: Images, *, batch_size: int = 1000) -> PerturbationStructure:
    """Return the structure of images about their mean image: what the data's own looks like.

    images: (count, channels, height, width), uint8 or floating, at least 2, not all equal.
    Raises: ShapeError, CovarianceError; HyperparameterError, if batch_size is below 1.
    """
    if images.ndim != 4 or len(images) < 2:
        raise ShapeError(
            "expected at least 2 images (count, channels, height, width), "
            f"got shape {tuple(images.shape)}"
        )
    check_batch_size(batch_size)
    scale = 255.0 if images.dtype == torch.uint8 else 1.0
    total = torch.zeros(images.shape[1:], dtype=torch.float64, device="cpu")
    for batch in torch.split(images, batch_size):
        total += batch.sum(dim=0, dtype=torch.float64).cpu()
    mean = total / len(images)

    def centred() -> Iterator[Tensor]:
        for batch in torch.split(images, batch_size):
            yield (batch.cpu().double() - mean) / scale

    return gather_structure(centred())


def reach(function: Tensor) -> float | None:
    """Return the decay length of a covariance function, None where it is not positive at 0."""
    return decay_length(function) if function[0] > 0 else None


def too_large(image_shape: ImageShape) -> str:
    """Say why there is no dense matrix for images of this shape."""
    pixels = math.prod(image_shape)
    return (
        f"a dense covariance of {pixels:,} pixels would take {pixels**2 * 8 / 1e9:.0f} GB; it is "
        f"made up to {DENSE_LIMIT:,} pixels, and beyond that only as a function of the displacement"
    )


class _Sums:
    """Sums over perturbations, float64 on the CPU, whatever the batches' dtype and device."""

    def __init__(self, first: Tensor) -> None:
        if first.ndim != 4:
            raise ShapeError(
                "expected perturbations (batch, channels, height, width), "
                f"got shape {tuple(first.shape)}"
            )
        channels, height, width = first.shape[1:]
        self.image_shape: ImageShape = (channels, height, width)
        self.is_dense = math.prod(self.image_shape) <= DENSE_LIMIT
        self.count = self.unchanged = 0
        self.mean = self.displacements = self.matrix = torch.zeros(
            (), dtype=torch.float64, device="cpu"
        )
        self.add(first)

    @torch.no_grad()
    def add(self, batch: Tensor) -> None:
        if tuple(batch.shape[1:]) != self.image_shape or not batch.is_floating_point():
            raise ShapeError(
                f"expected floating point perturbations of images {self.image_shape}, "
                f"got {batch.dtype} of shape {tuple(batch.shape)}"
            )
        if not batch.isfinite().all():
            raise CovarianceError("expected finite perturbations, got NaN or infinity")
        if len(batch) == 0:
            return
        batch = as_working_dtype(batch)
        rows = batch.flatten(start_dim=1)
        self.count += len(batch)
        self.unchanged += int((rows == 0).all(dim=1).sum())
        self.mean = self.mean + _wide(batch.sum(dim=0))
        self.displacements = self.displacements + len(batch) * _wide(autocorrelation(batch))
        if self.is_dense:
            self.matrix = self.matrix + _wide(rows.T @ rows)

    def structure(self) -> PerturbationStructure:
        _, height, width = self.image_shape
        if self.unchanged == self.count:
            raise CovarianceError(
                f"expected perturbations that are not all zero, got {self.count} of zeros"
            )
        displacements = self.displacements / self.count / pair_counts(self.image_shape)
        centre = displacements[:, :, height - 1, width - 1]
        variance = centre.diagonal().mean()
        return PerturbationStructure(
            image_shape=self.image_shape,
            count=self.count,
            unchanged=self.unchanged,
            pixel_variance=variance.item(),
            mean=self.mean / self.count / variance.sqrt(),
            displacements=displacements / variance,
            matrix=self.matrix / self.count / variance if self.is_dense else None,
        )


def _wide(tensor: Tensor) -> Tensor:
    return tensor.to("cpu", torch.float64)
