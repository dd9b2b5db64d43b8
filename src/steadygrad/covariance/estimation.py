"""Covariance of given perturbations, and of a data set."""

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.operator import Covariance, check_perturbations
from steadygrad.covariance.structures import Structure, structure_by_name
from steadygrad.errors import HyperparameterError, ShapeError

__all__ = ["as_working_dtype", "dataset_covariance", "estimate_covariance", "streamed_covariance"]


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
    if batch_size < 1:
        raise HyperparameterError(f"expected batch_size >= 1, got {batch_size}")
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
