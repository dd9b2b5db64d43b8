"""Penalties inside the loops of transformers and Lightning; both are imported only when used."""

from steadygrad.integrations.lightning import PenalizedTraining, robustness_callback
from steadygrad.integrations.transformers import PenalizedTrainerMixin

__all__ = ["PenalizedTrainerMixin", "PenalizedTraining", "robustness_callback"]
