"""From a configuration to its objective: penalties and training attacks by name."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, cast

from steadygrad.attacks import FGSM, PGD
from steadygrad.errors import UnknownNameError
from steadygrad.penalties import (
    Backend,
    FiniteDifference,
    NormName,
    SquaredNormPenalty,
    resolve_backend,
)
from steadygrad.training.objectives.adversarial import Adversarial, TrainingAttack
from steadygrad.training.objectives.base import Objective, Penalty
from steadygrad.training.objectives.cross_entropy import CrossEntropy
from steadygrad.training.objectives.penalized import Penalized

if TYPE_CHECKING:  # the configuration itself imports this file, to check its settings
    from steadygrad.training.config import TrainingConfig

__all__ = ["build_objective", "penalty_backend", "penalty_names"]


def penalty_backend(config: "TrainingConfig") -> Backend:
    """Return what differentiates the penalty, with the settings of the configuration."""
    backend = resolve_backend(config.backend)
    if isinstance(backend, FiniteDifference):
        order: Literal[1, 2] = 2 if config.difference_order == 2 else 1
        backend = FiniteDifference(step_size=config.difference_step, order=order)
    return backend


def _squared_norm(config: "TrainingConfig") -> SquaredNormPenalty:
    return SquaredNormPenalty(
        strength=config.strength,
        norm=cast("NormName", config.penalty),
        backend=penalty_backend(config),
    )


_PENALTIES: dict[str, Callable[["TrainingConfig"], Penalty]] = {
    "l1": _squared_norm,
    "l2": _squared_norm,
    "linf": _squared_norm,
}

_ATTACKS: dict[str, Callable[["TrainingConfig"], TrainingAttack]] = {
    "fgsm": lambda config: FGSM(eps=config.adversarial_eps),
    "pgd": lambda config: PGD(eps=config.adversarial_eps, steps=config.adversarial_steps),
}


def penalty_names() -> tuple[str, ...]:
    """Return what ``TrainingConfig.penalty`` may be."""
    return ("none", *_PENALTIES)


def build_objective(config: "TrainingConfig") -> Objective:
    """Return what a run minimises: cross-entropy or penalised, at attacked images if asked.

    Raises: UnknownNameError, if there is no such penalty or backend.
    """
    if config.penalty not in penalty_names():
        raise UnknownNameError(
            f"unknown penalty {config.penalty!r}; choose one of {', '.join(penalty_names())}"
        )
    resolve_backend(config.backend)
    objective: Objective = CrossEntropy()
    if config.penalty != "none":
        objective = Penalized(_PENALTIES[config.penalty](config))
    if config.adversarial != "none":
        objective = Adversarial(
            attack=_ATTACKS[config.adversarial](config),
            objective=objective,
            fraction=config.adversarial_fraction,
            attack_from=config.adversarial_from,
        )
    return objective
