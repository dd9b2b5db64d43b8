"""How each kind of covariance is estimated from perturbations, and from a data set."""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias, get_args

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.checks import check_batch_size
from steadygrad.covariance.block import BlockCovariance
from steadygrad.covariance.dense import DenseCovariance
from steadygrad.covariance.displacements import (
    autocorrelation,
    pair_counts,
    radial_function,
    torus_kernel,
)
from steadygrad.covariance.operator import (
    Covariance,
    ImageShape,
    check_dense_size,
    check_perturbations,
)
from steadygrad.covariance.stationary import RadialCovariance, StationaryCovariance
from steadygrad.errors import HyperparameterError, ShapeError, UnknownNameError

__all__ = [
    "BlockStructure",
    "DenseStructure",
    "Estimator",
    "RadialStructure",
    "StationaryStructure",
    "Structure",
    "as_working_dtype",
    "dataset_covariance",
    "estimate_covariance",
    "streamed_covariance",
    "structure_by_name",
    "structure_names",
]

Estimator: TypeAlias = Literal["biased", "unbiased"]
"""Divide the sum over the pairs of pixels at a displacement by all pixels, or by those pairs."""


class Structure(Protocol):
    """A kind of covariance that can be estimated; the moments of several batches may be mixed."""

    def moments(self, perturbations: Images) -> Tensor:
        """Return raw second moments, averaged over the batch; linear in each ``xi xi^T``."""
        ...

    def mean_diagonal(self, moments: Tensor, image_shape: ImageShape) -> Tensor:
        """Return the mean second moment of a pixel, a scalar."""
        ...

    def build(self, moments: Tensor, image_shape: ImageShape) -> Covariance:
        """Return the operator with these moments, made semidefinite where that is needed."""
        ...


@dataclass(frozen=True)
class DenseStructure:
    """Every pair of pixels by itself: ``mean_n xi_n xi_n^T``, Eq. (15) of Roth et al."""

    def moments(self, perturbations: Images) -> Tensor:
        """Return (d, d)."""
        image_shape = tuple(perturbations.shape[1:])
        check_dense_size(image_shape)  # type: ignore[arg-type] # checked to have four axes
        rows = perturbations.flatten(start_dim=1)
        return rows.T @ rows / len(rows)

    def mean_diagonal(self, moments: Tensor, image_shape: ImageShape) -> Tensor:  # noqa: ARG002 - only some structures need the shape
        """Return the mean of the diagonal."""
        return moments.diagonal().mean()

    def build(self, moments: Tensor, image_shape: ImageShape) -> DenseCovariance:
        """Return the operator; a sum of outer products needs no repair."""
        return DenseCovariance(moments, image_shape, verify=False)


@dataclass(frozen=True, kw_only=True)
class StationaryStructure:
    """The average over all pairs of pixels at one signed displacement, by FFT autocorrelation.

    estimator: "biased" divides by the number of pixels, which tapers far displacements by
        ``(1 - |dy| / H) (1 - |dx| / W)``: positive semidefinite by construction, no repair, and
        the better estimate of short ranges (128 images 3x32x32 of noise that reaches one pixel:
        11 % from the truth, Frobenius, against 30 % unbiased and 27 % repaired; a running average
        of 30 such batches: 3 % against 7 %). "unbiased" divides by the number of pairs, the
        paper's average: the right one for long ranges and many images (10,000 CIFAR-10 images: 7 %
        from their unbiased average after repair, against 48 % biased).
    repair_steps: for "unbiased", see ``semidefinite.repaired``.
    Raises: UnknownNameError, HyperparameterError.
    """

    estimator: Estimator = "biased"
    repair_steps: int = 10

    def __post_init__(self) -> None:
        if self.estimator not in get_args(Estimator):
            raise UnknownNameError(
                f"expected estimator one of {', '.join(get_args(Estimator))}, "
                f"got {self.estimator!r}"
            )
        check_repair_steps(self.repair_steps)

    def moments(self, perturbations: Images) -> Tensor:
        """Return (channels, channels, 2 H - 1, 2 W - 1)."""
        channels, height, width = perturbations.shape[1:]
        sums = autocorrelation(perturbations)
        if self.estimator == "biased":
            return sums / (height * width)
        return sums / pair_counts((channels, height, width), sums.device)

    def mean_diagonal(self, moments: Tensor, image_shape: ImageShape) -> Tensor:
        """Return the mean over the channels at displacement 0."""
        _, height, width = image_shape
        return moments[:, :, height - 1, width - 1].diagonal().mean()

    def build(self, moments: Tensor, image_shape: ImageShape) -> StationaryCovariance:
        """Return the operator."""
        if self.estimator == "biased":
            kernel = torus_kernel(moments, image_shape, bridged=False)
            return StationaryCovariance(kernel, image_shape, verify=False)
        return StationaryCovariance.from_displacements(
            moments, image_shape, repair_steps=self.repair_steps
        )


@dataclass(frozen=True, kw_only=True)
class RadialStructure:
    """The average over all pairs of pixels at one rounded distance, Eq. (16) of Roth et al.

    repair_steps: see ``semidefinite.repaired``; HyperparameterError if negative.
    """

    repair_steps: int = 10

    def __post_init__(self) -> None:
        check_repair_steps(self.repair_steps)

    def moments(self, perturbations: Images) -> Tensor:
        """Return (channels, channels, distances)."""
        channels, height, width = perturbations.shape[1:]
        image_shape = channels, height, width
        sums = autocorrelation(perturbations)
        return radial_function(sums / pair_counts(image_shape, sums.device), image_shape)

    def mean_diagonal(self, moments: Tensor, image_shape: ImageShape) -> Tensor:  # noqa: ARG002 - only some structures need the shape
        """Return the mean over the channels at distance 0."""
        return moments[:, :, 0].diagonal().mean()

    def build(self, moments: Tensor, image_shape: ImageShape) -> RadialCovariance:
        """Return the repaired operator."""
        return RadialCovariance.from_function(moments, image_shape, repair_steps=self.repair_steps)


@dataclass(frozen=True, kw_only=True)
class BlockStructure:
    """The average over all pairs of rows at one distance, up to ``reach`` rows apart.

    reach: at least 0; blocks beyond count as 0. HyperparameterError otherwise.
    repair_steps: see ``semidefinite.repaired``.
    """

    reach: int = 8
    repair_steps: int = 3

    def __post_init__(self) -> None:
        check_repair_steps(self.repair_steps)
        if self.reach < 0:
            raise HyperparameterError(f"expected a reach of at least 0 rows, got {self.reach}")

    def moments(self, perturbations: Images) -> Tensor:
        """Return (reach + 1, channels * width, channels * width)."""
        count, _, height, _ = perturbations.shape
        rows = perturbations.transpose(1, 2).flatten(start_dim=2)  # (batch, rows, m)
        blocks = []
        for k in range(min(self.reach, height - 1) + 1):
            upper, lower = rows[:, : height - k].flatten(0, 1), rows[:, k:].flatten(0, 1)
            blocks.append(lower.T @ upper / (count * (height - k)))
        return torch.stack(blocks)

    def mean_diagonal(self, moments: Tensor, image_shape: ImageShape) -> Tensor:  # noqa: ARG002 - only some structures need the shape
        """Return the mean of the diagonal of the first block."""
        return moments[0].diagonal().mean()

    def build(self, moments: Tensor, image_shape: ImageShape) -> BlockCovariance:
        """Return the repaired operator."""
        return BlockCovariance.from_blocks(moments, image_shape, repair_steps=self.repair_steps)


_STRUCTURES: dict[str, type[Structure]] = {
    "dense": DenseStructure,
    "stationary": StationaryStructure,
    "radial": RadialStructure,
    "block": BlockStructure,
}


def structure_names() -> tuple[str, ...]:
    """Return the names of the kinds of covariance that can be estimated."""
    return tuple(_STRUCTURES)


def structure_by_name(structure: str | Structure, **settings: object) -> Structure:
    """Return the named structure with these settings, or the structure object as it is.

    Raises: UnknownNameError, listing the names; HyperparameterError, if it has no such setting.
    """
    if not isinstance(structure, str):
        return structure
    if structure not in _STRUCTURES:
        raise UnknownNameError(
            f"expected covariance structure one of {', '.join(_STRUCTURES)}, got {structure!r}"
        )
    known = [field.name for field in dataclasses.fields(_STRUCTURES[structure])]  # type: ignore[arg-type] # all are
    for setting in settings:
        if setting not in known:
            raise HyperparameterError(
                f"expected settings of a {structure} covariance among "
                f"{', '.join(known) or 'none'}, got {setting!r}"
            )
    return _STRUCTURES[structure](**settings)


def check_repair_steps(steps: int) -> None:
    """Refuse a negative number of steps.

    Raises: HyperparameterError.
    """
    if steps < 0:
        raise HyperparameterError(f"expected repair_steps >= 0, got {steps}")


def estimate_covariance(
    perturbations: Images, structure: str | Structure = "stationary"
) -> Covariance:
    """Return the raw second moments of perturbations, scaled to a unit mean diagonal.

    perturbations: floating, (batch, channels, height, width), finite, not all zero; their mean is
        not subtracted.
    structure: "dense", "stationary", "radial", "block", or a structure object with settings.
    Raises: ShapeError, CovarianceError or UnknownNameError.
    Source: Roth et al., arXiv:1805.08736, Eqs. (15) and (16).
    """
    check_perturbations(perturbations)
    structure = structure_by_name(structure)
    channels, height, width = perturbations.shape[1:]
    moments = structure.moments(as_working_dtype(perturbations))
    return structure.build(moments, (channels, height, width)).normalized()


def dataset_covariance(
    images: Tensor, structure: str | Structure = "stationary", *, batch_size: int = 1000
) -> Covariance:
    """Return the covariance of images about their mean image, with a unit mean diagonal.

    images: (count, channels, height, width), uint8 or floating, at least 2; read ``batch_size`` at
        a time.
    Raises: ShapeError, HyperparameterError, CovarianceError (images that are all equal) or
        UnknownNameError.
    Source: Roth et al., arXiv:1805.08736, Fig. 1 and section 4.3.
    """
    if images.ndim != 4 or len(images) < 2:
        raise ShapeError(
            "expected at least 2 images (count, channels, height, width), "
            f"got shape {tuple(images.shape)}"
        )
    check_batch_size(batch_size)
    return streamed_covariance(lambda: iter(torch.split(images, batch_size)), structure)


@torch.no_grad()
def streamed_covariance(
    images: Callable[[], Iterator[Images]], structure: str | Structure = "stationary"
) -> Covariance:
    """Return the covariance of images that come in batches, as ``dataset_covariance`` does.

    Args:
        images: called twice, for one pass each over the same images: for their mean, then for
            their moments. uint8 or floating, at any scale.
        structure: as in ``estimate_covariance``.

    Raises:
        ShapeError: there are fewer than 2 images, or batches of two shapes.
        CovarianceError: the images are all equal.
    """
    structure = structure_by_name(structure)
    total, count = None, 0
    for batch in images():
        if batch.ndim != 4 or (total is not None and batch.shape[1:] != total.shape):
            raise ShapeError(
                "expected batches of images (batch, channels, height, width) of one size, "
                f"got shape {tuple(batch.shape)}"
            )
        added = batch.float().sum(dim=0)
        total = added if total is None else total + added
        count += len(batch)
    if total is None or count < 2:
        raise ShapeError(f"expected at least 2 images, got {count}")
    mean, moments = total / count, None
    for batch in images():
        share = structure.moments(batch.float() - mean) * (len(batch) / count)
        moments = share if moments is None else moments + share
    if moments is None:
        raise ShapeError("expected the same images in a second pass, got none")
    channels, height, width = total.shape
    return structure.build(moments, (channels, height, width)).normalized()


def as_working_dtype(perturbations: Images) -> Images:
    """Return the perturbations detached, in at least float32."""
    detached = perturbations.detach()
    return detached.float() if detached.itemsize < 4 else detached
