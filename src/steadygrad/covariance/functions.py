"""Covariance functions of the rounded distance, and how far they reach."""

import math

from torch import Tensor

from steadygrad.covariance.displacements import (
    check_displacements,
    pair_counts,
    rounded_distances,
)
from steadygrad.covariance.operator import ImageShape
from steadygrad.errors import ShapeError

__all__ = ["decay_length", "radial_function"]


def radial_function(displacements: Tensor, image_shape: ImageShape) -> Tensor:
    """Average a table of covariances over all pairs of pixels at the same rounded distance.

    displacements: (channels, channels, 2 H - 1, 2 W - 1), as in ``StationaryCovariance``.
    Returns (channels, channels, distances), distance 0 first: the intra-channel functions on the
    diagonal, the inter-channel ones, symmetric, beside it.
    Raises: ShapeError.
    Source: Roth et al., arXiv:1805.08736, Eq. (16) and Fig. 2.
    """
    check_displacements(displacements, image_shape)
    distances = rounded_distances(image_shape, displacements.device).flatten()
    pairs = pair_counts(image_shape, displacements.device).to(displacements.dtype).flatten()
    length = int(distances.max()) + 1
    totals = displacements.new_zeros(*displacements.shape[:2], length)
    totals.index_add_(2, distances, displacements.flatten(start_dim=2) * pairs)
    counts = pairs.new_zeros(length).index_add_(0, distances, pairs)
    function = totals / counts
    return (function + function.transpose(0, 1)) / 2


def decay_length(function: Tensor) -> float:
    """Return the distance at which a covariance function first falls to 1/e of its value at 0.

    function: (distances,), positive at 0. The distance is in pixels, by linear interpolation, and
    infinite if the function stays above.
    Raises: ShapeError, if it is not one function positive at 0.
    Source: Roth et al., arXiv:1805.08736, footnote 5.
    """
    if function.ndim != 1 or not function[0] > 0:
        raise ShapeError(
            "expected one covariance function, (distances,), positive at distance 0, "
            f"got shape {tuple(function.shape)}"
        )
    threshold = function[0] / math.e
    below = (function <= threshold).nonzero()
    if len(below) == 0:
        return float("inf")
    after = int(below[0])
    higher, lower = function[after - 1], function[after]
    return after - 1 + ((higher - threshold) / (higher - lower)).item()
