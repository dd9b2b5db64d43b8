"""Input-gradient penalties: norms, ways to differentiate them, and the losses made of both."""

from steadygrad.penalties.agreement import (
    BackendAgreement,
    compare_backends,
    first_agreement,
    note_first_agreement,
)
from steadygrad.penalties.backends import BackendName, DoubleBackprop, resolve_backend
from steadygrad.penalties.finite_difference import FiniteDifference
from steadygrad.penalties.losses import BinaryCrossEntropy, CrossEntropy, example_losses
from steadygrad.penalties.norm_penalties import (
    GradientNormPenalty,
    NormPenalty,
    SquaredNormPenalty,
)
from steadygrad.penalties.norms import L1, L2, CovarianceNorm, Linf, NormName, norm_by_name
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
    deepfool_source,
    pgd_source,
)
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
    "BackendName",
    "BinaryCrossEntropy",
    "CovarianceNorm",
    "CrossEntropy",
    "DeepFoolSource",
    "DoubleBackprop",
    "ExampleLoss",
    "FiniteDifference",
    "GradientNorm",
    "GradientNormPenalty",
    "Linf",
    "NormName",
    "NormPenalty",
    "PGDSource",
    "PenalizedLoss",
    "Penalty",
    "PenaltyTerms",
    "SourceName",
    "SquaredNormPenalty",
    "StrengthSuggestion",
    "Structured",
    "StructuredPenalty",
    "backend",
    "compare_backends",
    "deepfool_source",
    "example_losses",
    "first_agreement",
    "loss",
    "norm",
    "norm_by_name",
    "note_first_agreement",
    "parameter_gradient",
    "parameter_update_similarity",
    "penalty",
    "pgd_source",
    "plain_loss",
    "resolve_backend",
    "strength_from_lambda",
    "suggest_strength",
]
