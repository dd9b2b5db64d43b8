"""Covariance of given perturbations, and of a data set."""

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.operator import Covariance, check_image_shape, check_perturbations
from steadygrad.covariance.structures import Structure, structure_by_name
from steadygrad.errors import HyperparameterError, ShapeError

__all__ = ["dataset_covariance", "estimate_covariance"]


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
    structure = structure_by_name(structure)
    channels, height, width = images.shape[1:]
    image_shape = check_image_shape((channels, height, width))
    batches = torch.split(images, batch_size)
    mean = torch.zeros(image_shape, device=images.device)
    for batch in batches:
        mean += batch.float().sum(dim=0) / len(images)
    shares = [len(batch) / len(images) for batch in batches]
    moments = structure.moments(batches[0].float() - mean) * shares[0]
    for batch, share in zip(batches[1:], shares[1:], strict=True):
        moments = moments + structure.moments(batch.float() - mean) * share
    return structure.build(moments, image_shape).normalized()


def as_working_dtype(perturbations: Images) -> Images:
    """Return the perturbations detached, in at least float32."""
    detached = perturbations.detach()
    return detached.float() if detached.itemsize < 4 else detached
