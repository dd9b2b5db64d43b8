"""Input-gradient penalties: norms, ways to differentiate them, and the losses made of both."""

from steadygrad.penalties.agreement import BackendAgreement, compare_backends
from steadygrad.penalties.backend import Backend, PenaltyTerms
from steadygrad.penalties.backends import BackendName, resolve_backend
from steadygrad.penalties.double_backprop import DoubleBackprop
from steadygrad.penalties.finite_difference import FiniteDifference
from steadygrad.penalties.norms import L1, L2, GradientNorm, Linf, NormName, norm_by_name
from steadygrad.penalties.penalized_loss import PenalizedLoss, example_losses
from steadygrad.penalties.perturbation_source import SourceName, deepfool_source, pgd_source
from steadygrad.penalties.squared_norm import SquaredNormPenalty
from steadygrad.penalties.structured import (
    CovarianceNorm,
    StructuredPenalty,
    strength_from_lambda,
)
from steadygrad.penalties.update_similarity import (
    parameter_gradient,
    parameter_update_similarity,
)

__all__ = [
    "L1",
    "L2",
    "Backend",
    "BackendAgreement",
    "BackendName",
    "CovarianceNorm",
    "DoubleBackprop",
    "FiniteDifference",
    "GradientNorm",
    "Linf",
    "NormName",
    "PenalizedLoss",
    "PenaltyTerms",
    "SourceName",
    "SquaredNormPenalty",
    "StructuredPenalty",
    "compare_backends",
    "deepfool_source",
    "example_losses",
    "norm_by_name",
    "parameter_gradient",
    "parameter_update_similarity",
    "pgd_source",
    "resolve_backend",
    "strength_from_lambda",
]
