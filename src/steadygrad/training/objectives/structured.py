"""From a configuration to its structured penalty: which covariance, and what it learns from."""

from typing import TYPE_CHECKING, Any, cast

from steadygrad.covariance import Covariance, ImageShape, build_covariance, covariance_names
from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.penalties import Backend, StructuredPenalty
from steadygrad.penalties.perturbation_source import (
    PerturbingAttack,
    SourceName,
    deepfool_source,
    pgd_source,
)
from steadygrad.training.objectives.fixed_covariance import (
    FIXED_COVARIANCES,
    fixed_covariance,
    is_covariance_file,
)
from steadygrad.training.objectives.idle_settings import refuse_idle

if TYPE_CHECKING:  # the configuration itself imports this file, to check its settings
    from steadygrad.training.config import TrainingConfig

__all__ = ["check_structured", "covariance_choices", "structured_penalty"]

_RUNNING = tuple(name for name in covariance_names() if name not in (*FIXED_COVARIANCES, "file"))
_OF_RUNNING = (
    "covariance_source",
    "covariance_eps",
    "covariance_steps",
    "covariance_decay",
    "covariance_every",
    "covariance_mean",
)


def covariance_choices() -> str:
    """Return what ``TrainingConfig.covariance`` may be, in words."""
    return f"{', '.join((*_RUNNING, *FIXED_COVARIANCES))}, or the path of a .safetensors file"


def check_structured(config: "TrainingConfig") -> None:
    """Refuse settings of the structured penalty that are unknown or would have no effect.

    A covariance file is not looked for: whoever only reads a run's configuration need not have it.
    Raises: UnknownNameError, listing the names; HyperparameterError.
    """
    if config.penalty != "sgr":
        refuse_idle(
            config,
            ("covariance", *_OF_RUNNING, "decay_length"),
            f"with penalty {config.penalty!r}; choose penalty 'sgr'",
        )
        return
    is_known = config.covariance in (*_RUNNING, *FIXED_COVARIANCES)
    if not (is_known or is_covariance_file(config.covariance)):
        raise UnknownNameError(
            f"expected covariance one of {covariance_choices()}, got {config.covariance!r}"
        )
    if config.covariance not in _RUNNING:
        refuse_idle(
            config,
            _OF_RUNNING,
            f"with covariance {config.covariance!r}, which never changes; choose one of "
            f"{', '.join(_RUNNING)}",
        )
    if config.covariance_source != "pgd":
        why = f"with covariance_source {config.covariance_source!r}; choose 'pgd'"
        refuse_idle(config, ("covariance_eps",), why)
        if config.covariance_source != "deepfool":
            refuse_idle(config, ("covariance_steps",), f"{why} or 'deepfool'")
    if config.covariance_mean and config.backend != "double_backprop":
        raise HyperparameterError(
            f"expected backend 'double_backprop' along with covariance_mean, got {config.backend!r}"
        )
    if config.covariance != "exponential":
        refuse_idle(
            config,
            ("decay_length",),
            f"with covariance {config.covariance!r}; choose 'exponential'",
        )


def structured_penalty(
    config: "TrainingConfig", train: ImageDataset, backend: Backend
) -> StructuredPenalty:
    """Return the penalty for the images of ``train``; its state, if any, is that of a fresh run.

    Raises: CheckpointError, if a covariance file is missing or damaged; ShapeError, if it is of
        another image size; CovarianceError, if the training images are all equal.
    """
    is_running = config.covariance in _RUNNING
    return StructuredPenalty(
        strength=config.strength,
        covariance=_covariance(config, train),
        source=_source(config) if is_running else None,
        every=config.covariance_every,
        mean="running" if config.covariance_mean else None,
        backend=backend,
    )


def _source(config: "TrainingConfig") -> SourceName | PerturbingAttack:
    settings = {"eps": config.covariance_eps, "steps": config.covariance_steps}
    given: dict[str, Any] = {name: value for name, value in settings.items() if value is not None}
    if not given:
        return config.covariance_source
    return pgd_source(**given) if config.covariance_source == "pgd" else deepfool_source(**given)


def _covariance(config: "TrainingConfig", train: ImageDataset) -> Covariance:
    if config.covariance in _RUNNING:
        shape = cast("ImageShape", tuple(train.input_shape))
        return build_covariance(config.covariance, shape, decay=config.covariance_decay)
    return fixed_covariance(config.covariance, config.decay_length, train)
