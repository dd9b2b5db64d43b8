"""Covariances that a configuration names and that no training changes."""

import os
from pathlib import Path
from typing import cast

from steadygrad.covariance import Covariance, ImageShape, build_covariance
from steadygrad.datasets import ImageDataset

__all__ = ["FIXED_COVARIANCES", "fixed_covariance", "is_covariance_file"]

FIXED_COVARIANCES = ("identity", "exponential", "dataset")
"""Those with a name; besides them, any file."""


def is_covariance_file(name: str) -> bool:
    """Say whether ``name`` reads as the path of a covariance file; it need not be there."""
    return name.endswith(".safetensors") or os.sep in name


def fixed_covariance(name: str, decay_length: float, train: ImageDataset) -> Covariance:
    """Return the covariance of that name, or in that file, for the images of ``train``.

    decay_length: of "exponential", in pixels.
    Raises: CheckpointError, if a file is missing or damaged; ShapeError, if it is of another image
        size; CovarianceError, if the training images are all equal.
    """
    shape = cast("ImageShape", tuple(train.input_shape))
    match name:
        case "identity":
            return build_covariance(name, shape)
        case "exponential":
            return build_covariance(name, shape, decay_length=decay_length)
        case "dataset":
            return build_covariance(name, shape, images=train.pixels)
        case _:
            return build_covariance("file", shape, path=Path(name))
