"""Is a model fit to be audited? Every problem at once, with what to do about it."""

from steadygrad.evaluation.auditing.fitness.check import Fitness, check_fitness
from steadygrad.evaluation.auditing.fitness.problem import (
    ACCEPTABLE,
    Problem,
    UnfitError,
    check_accepted,
)

__all__ = ["ACCEPTABLE", "Fitness", "Problem", "UnfitError", "check_accepted", "check_fitness"]
