"""A configuration as steadygrad 0.1 would have said it, as far as it could.

Digests hang on this: networks that were measured then keep their names.
"""

from typing import Any

from steadygrad.attacks import ATTACKS, FGSM, PGD, LongRangeCorrelated, Mixture, WhiteNoise
from steadygrad.covariance import COVARIANCES, SOURCES, Exponential
from steadygrad.datasets import GaussianNoise, HorizontalFlip, Noise, RandomCrop, UniformNoise
from steadygrad.models import MODELS, ModelEntry
from steadygrad.parts import distinct_settings
from steadygrad.penalties import (
    NORMS,
    DoubleBackprop,
    FiniteDifference,
    GradientNormPenalty,
    SquaredNormPenalty,
    Structured,
)
from steadygrad.training.clipping import ClipNorm
from steadygrad.training.config import TrainingConfig
from steadygrad.training.optimizers import SGD, Adam
from steadygrad.training.schedules import Constant, MultiStep
from steadygrad.training.version_0_1 import DEFAULTS, SAME, attack_of, penalty_of

__all__ = ["flat_settings"]

_NEUTRAL = (
    *("loss", "penalty_every", "ramp", "averaging", "mixing", "tuning", "accumulate", "precision"),
)
"""Settings that version 0.1 did not have; it can say nothing of them but their defaults."""


def flat_settings(config: TrainingConfig) -> dict[str, Any] | None:
    """Return the settings by which version 0.1 would have said the same; None if it could not."""
    try:
        flat = _flattened(config)
    except _NotFlatError:
        return None
    # A setting that version 0.1 did not have may not get lost: two networks would be taken for one.
    is_whole = (penalty_of(flat), attack_of(flat)) == (config.penalty, config.attack)
    return flat if is_whole else None


class _NotFlatError(Exception):
    """Version 0.1 could not say this."""


def _flattened(config: TrainingConfig) -> dict[str, Any]:
    for name in _NEUTRAL:
        default = TrainingConfig.__dataclass_fields__[name].default
        if getattr(config, name) != default:
            raise _NotFlatError(name)
    if not isinstance(MODELS.about(config.model), ModelEntry):
        raise _NotFlatError("model")
    flat = dict(DEFAULTS) | {name: getattr(config, name) for name in SAME}
    flat["dataset"] = config.data_title
    place = getattr(config.data, "data_dir", None)
    flat["data_dir"] = None if place is None else str(place)
    flat["model"] = MODELS.name_of(config.model)
    flat["second_order"] = getattr(config.model, "second_order", "exact")
    flat |= _flat_penalty(config) | _flat_attack(config)
    flat |= _flat_augmentation(config) | _flat_optimizer(config)
    match config.schedule:
        case Constant():
            pass
        case MultiStep(at=at, drop=drop):
            flat |= {"drop_at": list(at), "drop_factor": drop}
        case _:
            raise _NotFlatError("schedule")
    match config.clipping:
        case None:
            pass
        case ClipNorm(length=length):
            flat["clip_gradient"] = length
        case _:
            raise _NotFlatError("clipping")
    return flat


def _flat_penalty(config: TrainingConfig) -> dict[str, Any]:
    penalty = config.penalty
    if penalty is None:
        return {}
    if getattr(penalty, "fraction", 1.0) != 1 or not isinstance(
        penalty, SquaredNormPenalty | GradientNormPenalty | Structured
    ):
        raise _NotFlatError("penalty")
    flat: dict[str, Any] = {"strength": penalty.strength}
    match penalty:
        case SquaredNormPenalty():
            flat["penalty"] = NORMS.name_of(penalty.norm)
        case GradientNormPenalty():
            flat["penalty"] = "gn"
        case Structured():
            flat |= {"penalty": "sgr"} | _flat_covariance(penalty.covariance)
    if isinstance(penalty.backend, FiniteDifference):
        if penalty.backend.step_size is None:
            raise _NotFlatError("backend")
        flat |= {
            "backend": "finite_difference",
            "difference_step": penalty.backend.step_size,
            "difference_order": penalty.backend.order,
        }
    elif penalty.backend != DoubleBackprop():
        raise _NotFlatError("backend")
    return flat


def _flat_covariance(covariance: Any) -> dict[str, Any]:
    name = COVARIANCES.name_of(covariance)
    if name is None:
        raise _NotFlatError("covariance")
    if name == "file":
        return {"covariance": str(covariance.path)}
    flat: dict[str, Any] = {"covariance": name}
    if name == "exponential":
        flat["decay_length"] = covariance.decay_length
    if COVARIANCES.about(covariance).is_running:
        source = covariance.source
        flat |= {
            "covariance_source": SOURCES.name_of(source),
            # None stood for what the source has by itself.
            "covariance_eps": _distinct(source, "eps"),
            "covariance_steps": _distinct(source, "steps"),
            "covariance_decay": covariance.decay,
            "covariance_every": covariance.every,
            "covariance_mean": covariance.mean,
        }
    return flat


def _distinct(part: Any, key: str) -> Any:
    """Return a setting of a part; None if it is at its default or there is none."""
    return distinct_settings(part).get(key)


def _flat_attack(config: TrainingConfig) -> dict[str, Any]:
    attack, flat = config.attack, dict[str, Any]()
    if attack is None:
        return {}
    if isinstance(attack, Mixture):
        flat["adversarial_fraction"], attack = attack.fraction, attack.attack
    if getattr(attack, "start_from_prediction", False):
        flat["adversarial_from"] = "predicted"
    flat |= {"adversarial": ATTACKS.name_of(attack), "adversarial_eps": attack.eps}
    match attack:
        case PGD():
            plain = PGD(
                eps=attack.eps,
                steps=attack.steps,
                start_from_prediction=attack.start_from_prediction,
            )
            if attack != plain:
                raise _NotFlatError("attack")
            flat["adversarial_steps"] = attack.steps
        case FGSM(norm="linf") | WhiteNoise(samples=1):
            pass
        case LongRangeCorrelated(samples=1):
            if isinstance(attack.covariance, Exponential):
                flat["adversarial_decay_length"] = attack.covariance.decay_length
            else:
                flat["adversarial_covariance"] = _flat_covariance(attack.covariance)["covariance"]
        case _:
            raise _NotFlatError("attack")
    return flat


def _flat_augmentation(config: TrainingConfig) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    order = (HorizontalFlip, RandomCrop, Noise)
    remaining = list(config.augmentation)
    for kind in order:
        if not remaining or not isinstance(remaining[0], kind):
            continue
        match remaining.pop(0):
            case HorizontalFlip():
                flat["flip"] = True
            case RandomCrop(padding=padding, mode=mode, value=value):
                flat |= {"crop_padding": padding, "crop_mode": mode, "crop_value": value}
            case GaussianNoise(std=scale):
                flat["noise"] = f"gaussian:{scale}"
            case UniformNoise(half_width=scale):
                flat["noise"] = f"uniform:{scale}"
    if remaining:
        raise _NotFlatError("augmentation")
    return flat


def _flat_optimizer(config: TrainingConfig) -> dict[str, Any]:
    match config.optimizer:
        case SGD(learning_rate=rate, momentum=momentum, nesterov=nesterov, weight_decay=decay):
            return {
                "learning_rate": rate,
                "momentum": momentum,
                "nesterov": nesterov,
                "weight_decay": decay,
            }
        case Adam(learning_rate=rate, denominator=denominator, weight_decay=decay):
            return {
                "optimizer": "adam",
                "learning_rate": rate,
                "adam_eps": denominator,
                "weight_decay": decay,
                # Without effect, but version 0.1 wrote it down, and digests hold it.
                "nesterov": getattr(config.model, "second_order", "exact") == "exact",
            }
    raise _NotFlatError("optimizer")
