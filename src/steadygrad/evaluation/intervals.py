"""How far a fraction measured on n examples may lie from the truth: Wilson's score interval."""

import math
from statistics import NormalDist

from steadygrad.errors import HyperparameterError

__all__ = ["wilson_interval"]


def wilson_interval(correct: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Return the score interval ``(lower, upper)`` for a proportion, within [0, 1].

    With p = correct / n and z the normal quantile of (1 + confidence) / 2, it is
    ``(p + z^2 / 2n ± z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n)``.
    It covers sampling error alone: other examples of the same kind, same model, same attack.
    Without examples it is (0, 1).

    Raises: HyperparameterError, unless ``0 <= correct <= n`` and ``0 < confidence < 1``.
    Source: Wilson, JASA 22 (1927), 209-212.
    """
    if not 0 <= correct <= n:
        raise HyperparameterError(f"expected 0 <= correct <= n, got correct={correct}, n={n}")
    if not 0 < confidence < 1:
        raise HyperparameterError(f"expected confidence in (0, 1), got {confidence}")
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p, shrink = correct / n, 1 + z * z / n
    centre = (p + z * z / (2 * n)) / shrink
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / shrink
    # At the ends the bound is 0 or 1 exactly, whatever rounding says.
    lower = 0.0 if correct == 0 else max(0.0, centre - half)
    upper = 1.0 if correct == n else min(1.0, centre + half)
    return lower, upper
