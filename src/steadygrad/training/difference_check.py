"""Refusing a finite difference whose step does not suit the network."""

from typing import cast

from torch import nn

from steadygrad.datasets import ImageDataset
from steadygrad.penalties import BackendAgreement, NormName, compare_backends
from steadygrad.training.config import TrainingConfig
from steadygrad.training.objectives.registry import penalty_backend

__all__ = ["check_difference"]


def check_difference(
    config: TrainingConfig, model: nn.Module, data: ImageDataset
) -> BackendAgreement | None:
    """Compare the finite difference with double backpropagation, if the configuration asks to.

    The probe is the first batch of ``data``, as it is; the model is left as it was. Returns None
    where nothing was asked for.
    Raises: HyperparameterError, if the cosine is below ``config.difference_check``.
    """
    if config.difference_check is None:
        return None
    probe = data.first(min(config.batch_size, len(data)))
    agreement = compare_backends(
        penalty_backend(config),
        model,
        probe.images(),
        probe.labels,
        norm=cast("NormName", config.penalty),
    )
    agreement.require(config.difference_check)
    return agreement
