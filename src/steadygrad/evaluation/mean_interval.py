"""How far a mean measured on n examples may lie from the truth."""

import math
from statistics import NormalDist

import torch
from torch import Tensor

from steadygrad.errors import HyperparameterError

__all__ = ["bounded_mean_interval", "mean_interval"]


def mean_interval(values: Tensor, confidence: float = 0.95) -> tuple[float, float] | None:
    """Return ``mean ± z s / sqrt(n)`` with the sample's standard deviation ``s``.

    values: (n,), one for each example. Sampling error alone: other examples of the same kind. From
    some 30 examples on; fewer make it too narrow, and a single one has none (None).
    Raises: HyperparameterError, unless ``0 < confidence < 1``.
    """
    z, values = _quantile(confidence), values.double()
    if len(values) < 2:
        return None
    mean, half = values.mean().item(), z * values.std().item() / math.sqrt(len(values))
    return mean - half, mean + half


def bounded_mean_interval(values: Tensor, confidence: float = 0.95) -> tuple[float, float]:
    """Return an interval for the mean of values in [0, 1], within [0, 1], around the sample's mean.

    values: (n,), one for each example. With z the normal quantile, ``z^2 / 2`` made-up examples
    of value 0 and as many of value 1 join the sample, then ``mean ± z s / sqrt(n + z^2)`` is taken:
    for values that are 0 or 1, Agresti and Coull's approximation of Wilson's interval. So it stays
    honest where every example fares alike, and the plain interval would have no width. Without
    examples it is (0, 1).

    Raises: HyperparameterError, unless ``0 < confidence < 1`` and all values are in [0, 1].
    Source: Agresti & Coull, The American Statistician 52 (1998), 119-126, for proportions.
    """
    z, values = _quantile(confidence), values.double()
    if not ((values >= 0) & (values <= 1)).all():
        raise HyperparameterError("expected values in [0, 1] for an interval of their mean")
    if len(values) == 0:
        return 0.0, 1.0
    n = len(values) + z * z
    centre = (values.sum().item() + z * z / 2) / n
    added = z * z / 2 * (centre**2 + (1 - centre) ** 2)
    variance = (torch.sum((values - centre) ** 2).item() + added) / n
    half = z * math.sqrt(variance / n)
    mean = values.mean().item()
    return max(0.0, min(centre - half, mean)), min(1.0, max(centre + half, mean))


def _quantile(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise HyperparameterError(f"expected confidence in (0, 1), got {confidence}")
    return NormalDist().inv_cdf((1 + confidence) / 2)
