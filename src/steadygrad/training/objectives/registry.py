"""From a configuration to its objective: penalties by name, and what they are taken at."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.penalties import (
    Backend,
    FiniteDifference,
    NormName,
    SquaredNormPenalty,
    StructuredPenalty,
    resolve_backend,
)
from steadygrad.training.objectives.adversarial import Adversarial
from steadygrad.training.objectives.base import Objective, Penalty
from steadygrad.training.objectives.cross_entropy import CrossEntropy
from steadygrad.training.objectives.penalized import Penalized
from steadygrad.training.objectives.structured import check_structured, structured_penalty
from steadygrad.training.objectives.training_attack import check_attack, training_attack

if TYPE_CHECKING:  # the configuration itself imports this file, to check its settings
    from steadygrad.training.config import TrainingConfig

__all__ = ["build_objective", "check_objective", "penalty_backend", "penalty_names", "penalty_norm"]


def penalty_backend(config: "TrainingConfig") -> Backend:
    """Return what differentiates the penalty, with the settings of the configuration."""
    backend = resolve_backend(config.backend)
    if isinstance(backend, FiniteDifference):
        order: Literal[1, 2] = 2 if config.difference_order == 2 else 1
        backend = FiniteDifference(step_size=config.difference_step, order=order)
    return backend


def penalty_norm(config: "TrainingConfig") -> NormName:
    """Return the norm of a squared-norm penalty; GN is the structured one with the identity."""
    return "l2" if config.penalty == "gn" else cast("NormName", config.penalty)


def _squared_norm(
    config: "TrainingConfig",
    train: ImageDataset | None,  # noqa: ARG001  (a norm needs no data)
) -> SquaredNormPenalty:
    return SquaredNormPenalty(
        strength=config.strength, norm=penalty_norm(config), backend=penalty_backend(config)
    )


def _structured(config: "TrainingConfig", train: ImageDataset | None) -> StructuredPenalty:
    if train is None:
        raise HyperparameterError("expected the training set along with penalty 'sgr', got None")
    return structured_penalty(config, train, penalty_backend(config))


_PENALTIES: dict[str, Callable[["TrainingConfig", ImageDataset | None], Penalty]] = {
    "l1": _squared_norm,
    "l2": _squared_norm,
    "linf": _squared_norm,
    "gn": _squared_norm,
    "sgr": _structured,
}


def penalty_names() -> tuple[str, ...]:
    """Return what ``TrainingConfig.penalty`` may be."""
    return ("none", *_PENALTIES)


def check_objective(config: "TrainingConfig") -> None:
    """Refuse what ``build_objective`` would refuse, as far as that shows without any data.

    Raises: UnknownNameError, if there is no such penalty, backend or covariance;
        HyperparameterError.
    """
    if config.penalty not in penalty_names():
        raise UnknownNameError(
            f"unknown penalty {config.penalty!r}; choose one of {', '.join(penalty_names())}"
        )
    check_structured(config)
    resolve_backend(config.backend)
    check_attack(config)


def build_objective(config: "TrainingConfig", train: ImageDataset | None = None) -> Objective:
    """Return what a run minimises: cross-entropy or penalised, at attacked images if asked.

    train: the training set; the structured penalty needs its image size, or its covariance, and
        so may correlated noise.
    Raises: as ``check_objective``; what ``structured_penalty`` and ``training_attack`` raise.
    """
    check_objective(config)
    objective: Objective = CrossEntropy()
    if config.penalty != "none":
        objective = Penalized(_PENALTIES[config.penalty](config, train))
    if config.adversarial != "none":
        objective = Adversarial(
            attack=training_attack(config, train),
            objective=objective,
            fraction=config.adversarial_fraction,
            attack_from=config.adversarial_from,
        )
    return objective
