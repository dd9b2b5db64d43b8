"""Attacks on models whose gradient misleads: averaged, substituted, smoothed or distilled."""

from steadygrad.attacks.adapted.expectation import ExpectationOverDraws, draws_needed
from steadygrad.attacks.adapted.smoothed_gradient import SmoothedGradient
from steadygrad.attacks.adapted.straight_through import StraightThrough, substituted_operations
from steadygrad.attacks.adapted.surrogate import Surrogate
from steadygrad.attacks.adapted.wide_differences import WideDifferences

__all__ = [
    "ExpectationOverDraws",
    "SmoothedGradient",
    "StraightThrough",
    "Surrogate",
    "WideDifferences",
    "draws_needed",
    "substituted_operations",
]
