"""What a training step minimises."""

from steadygrad.training.objectives.adversarial import Adversarial, TrainingAttack
from steadygrad.training.objectives.base import Objective, Penalty
from steadygrad.training.objectives.cross_entropy import CrossEntropy
from steadygrad.training.objectives.penalized import Penalized
from steadygrad.training.objectives.registry import build_objective, penalty_names

__all__ = [
    "Adversarial",
    "CrossEntropy",
    "Objective",
    "Penalized",
    "Penalty",
    "TrainingAttack",
    "build_objective",
    "penalty_names",
]
