"""Refusing a finite difference whose step does not suit the network."""

from torch import nn

from steadygrad._typing import Images, Labels
from steadygrad.covariance import RunningCovariance
from steadygrad.datasets import ImageDataset
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.penalties import (
    BackendAgreement,
    CovarianceNorm,
    GradientNorm,
    NormName,
    compare_backends,
)
from steadygrad.training.config import TrainingConfig
from steadygrad.training.objectives.registry import penalty_backend, penalty_norm
from steadygrad.training.objectives.structured import structured_penalty

__all__ = ["check_difference"]


def check_difference(
    config: TrainingConfig, model: nn.Module, data: ImageDataset
) -> BackendAgreement | None:
    """Compare the finite difference with double backpropagation, if the configuration asks to.

    The probe is the first batch of ``data``, as it is; the model is left as it was. A running
    covariance is compared as that batch leaves it. Returns None where nothing was asked for.
    Raises: HyperparameterError, if the cosine is below ``config.difference_check``.
    """
    if config.difference_check is None:
        return None
    probe = data.first(min(config.batch_size, len(data)))
    images, labels = probe.images(), probe.labels
    norm: NormName | GradientNorm = penalty_norm(config)
    if config.penalty == "sgr":
        norm = _covariance_norm(config, model, data, images, labels)
    agreement = compare_backends(penalty_backend(config), model, images, labels, norm=norm)
    agreement.require(config.difference_check)
    return agreement


def _covariance_norm(
    config: TrainingConfig, model: nn.Module, data: ImageDataset, images: Images, labels: Labels
) -> NormName | GradientNorm:
    # A penalty of its own: the run's covariance starts with the run.
    penalty = structured_penalty(config, data, penalty_backend(config))
    if isinstance(penalty.covariance, RunningCovariance):
        with evaluation_mode(model):
            penalty(model, images, labels)
        if penalty.covariance.updates == 0:
            return "l2"
    return CovarianceNorm(penalty.covariance)
