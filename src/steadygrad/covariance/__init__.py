"""Covariances of image perturbations: operators that are applied, sampled, estimated and stored."""

from steadygrad.covariance.block import BlockCovariance
from steadygrad.covariance.choices import (
    Block,
    CovarianceFile,
    Dataset,
    Dense,
    Exponential,
    GradientSource,
    Identity,
    Radial,
    SignSource,
    Stationary,
)
from steadygrad.covariance.closed_form import ExponentialCovariance, IdentityCovariance
from steadygrad.covariance.dense import DenseCovariance
from steadygrad.covariance.displacements import (
    autocorrelation,
    decay_length,
    pair_counts,
    radial_function,
)
from steadygrad.covariance.estimation import (
    BlockStructure,
    DenseStructure,
    Estimator,
    RadialStructure,
    StationaryStructure,
    Structure,
    dataset_covariance,
    estimate_covariance,
)
from steadygrad.covariance.files import load_covariance, save_covariance
from steadygrad.covariance.operator import Covariance, FixedCovariance, ImageShape
from steadygrad.covariance.part import (
    COVARIANCES,
    SOURCES,
    CovariancePart,
    DataFacts,
    Source,
    built,
    covariance,
    prepared,
    source,
)
from steadygrad.covariance.running import RunningCovariance
from steadygrad.covariance.semidefinite import Repair
from steadygrad.covariance.stationary import RadialCovariance, StationaryCovariance

__all__ = [
    "COVARIANCES",
    "SOURCES",
    "Block",
    "BlockCovariance",
    "BlockStructure",
    "Covariance",
    "CovarianceFile",
    "CovariancePart",
    "DataFacts",
    "Dataset",
    "Dense",
    "DenseCovariance",
    "DenseStructure",
    "Estimator",
    "Exponential",
    "ExponentialCovariance",
    "FixedCovariance",
    "GradientSource",
    "Identity",
    "IdentityCovariance",
    "ImageShape",
    "Radial",
    "RadialCovariance",
    "RadialStructure",
    "Repair",
    "RunningCovariance",
    "SignSource",
    "Source",
    "Stationary",
    "StationaryCovariance",
    "StationaryStructure",
    "Structure",
    "autocorrelation",
    "built",
    "covariance",
    "dataset_covariance",
    "decay_length",
    "estimate_covariance",
    "load_covariance",
    "pair_counts",
    "prepared",
    "radial_function",
    "save_covariance",
    "source",
]
