"""Covariances of image perturbations: operators that are applied, sampled, estimated and stored."""

from steadygrad.covariance.block import BlockCovariance
from steadygrad.covariance.dense import DenseCovariance
from steadygrad.covariance.displacements import autocorrelation, pair_counts
from steadygrad.covariance.estimation import dataset_covariance, estimate_covariance
from steadygrad.covariance.exponential import ExponentialCovariance
from steadygrad.covariance.files import load_covariance, save_covariance
from steadygrad.covariance.functions import decay_length, radial_function
from steadygrad.covariance.identity import IdentityCovariance
from steadygrad.covariance.operator import Covariance, FixedCovariance, ImageShape
from steadygrad.covariance.radial import RadialCovariance
from steadygrad.covariance.registry import build_covariance, covariance_names
from steadygrad.covariance.running import RunningCovariance
from steadygrad.covariance.semidefinite import Repair
from steadygrad.covariance.stationary import StationaryCovariance
from steadygrad.covariance.structures import (
    BlockStructure,
    DenseStructure,
    Estimator,
    RadialStructure,
    StationaryStructure,
    Structure,
)

__all__ = [
    "BlockCovariance",
    "BlockStructure",
    "Covariance",
    "DenseCovariance",
    "DenseStructure",
    "Estimator",
    "ExponentialCovariance",
    "FixedCovariance",
    "IdentityCovariance",
    "ImageShape",
    "RadialCovariance",
    "RadialStructure",
    "Repair",
    "RunningCovariance",
    "StationaryCovariance",
    "StationaryStructure",
    "Structure",
    "autocorrelation",
    "build_covariance",
    "covariance_names",
    "dataset_covariance",
    "decay_length",
    "estimate_covariance",
    "load_covariance",
    "pair_counts",
    "radial_function",
    "save_covariance",
]
