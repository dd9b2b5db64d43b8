"""Input-gradient penalties: norms, ways to differentiate them, and the losses made of both."""

from steadygrad.penalties.agreement import (
    BackendAgreement,
    compare_backends,
    first_agreement,
    note_first_agreement,
)
from steadygrad.penalties.backends import DoubleBackprop
from steadygrad.penalties.captured_gradient import CapturedGradient
from steadygrad.penalties.finite_difference import FiniteDifference
from steadygrad.penalties.losses import BinaryCrossEntropy, CrossEntropy, example_losses
from steadygrad.penalties.norm_penalties import (
    GradientNormPenalty,
    NormPenalty,
    SquaredNormPenalty,
)
from steadygrad.penalties.norms import L1, L2, CovarianceNorm, Linf
from steadygrad.penalties.part import (
    BACKENDS,
    LOSSES,
    NORMS,
    PENALTIES,
    Backend,
    ExampleLoss,
    GradientNorm,
    PenalizedLoss,
    Penalty,
    PenaltyTerms,
    backend,
    loss,
    norm,
    penalty,
)
from steadygrad.penalties.penalized import plain_loss
from steadygrad.penalties.perturbation_source import (
    AttackSource,
    DeepFoolSource,
    PGDSource,
    SourceName,
)
from steadygrad.penalties.standardized import Standardized
from steadygrad.penalties.structured import Structured, StructuredPenalty, strength_from_lambda
from steadygrad.penalties.suggestion import StrengthSuggestion, suggest_strength
from steadygrad.penalties.update_similarity import (
    parameter_gradient,
    parameter_update_similarity,
)

__all__ = [
    "BACKENDS",
    "L1",
    "L2",
    "LOSSES",
    "NORMS",
    "PENALTIES",
    "AttackSource",
    "Backend",
    "BackendAgreement",
    "BinaryCrossEntropy",
    "CapturedGradient",
    "CovarianceNorm",
    "CrossEntropy",
    "DeepFoolSource",
    "DoubleBackprop",
    "ExampleLoss",
    "FiniteDifference",
    "GradientNorm",
    "GradientNormPenalty",
    "Linf",
    "NormPenalty",
    "PGDSource",
    "PenalizedLoss",
    "Penalty",
    "PenaltyTerms",
    "SourceName",
    "SquaredNormPenalty",
    "Standardized",
    "StrengthSuggestion",
    "Structured",
    "StructuredPenalty",
    "backend",
    "compare_backends",
    "example_losses",
    "first_agreement",
    "loss",
    "norm",
    "note_first_agreement",
    "parameter_gradient",
    "parameter_update_similarity",
    "penalty",
    "plain_loss",
    "strength_from_lambda",
    "suggest_strength",
]
