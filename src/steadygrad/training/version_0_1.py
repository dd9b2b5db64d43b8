"""Configurations as steadygrad 0.1 wrote them: flat settings with prefixed names.

Runs of that version stay readable, and networks that were measured then keep their names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadygrad.attacks import ATTACKS, FGSM, PGD, LongRangeCorrelated, Mixture, WhiteNoise
from steadygrad.covariance import COVARIANCES, SOURCES, Exponential
from steadygrad.datasets import (
    GaussianNoise,
    HorizontalFlip,
    RandomCrop,
    UniformNoise,
    data_source,
)
from steadygrad.datasets.sources import FolderImages
from steadygrad.errors import DatasetError, UnknownNameError
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

__all__ = ["flat_settings", "is_flat", "nested_settings"]

DEFAULTS: Mapping[str, Any] = {
    "dataset": None,
    "model": None,
    "data_dir": None,
    "limit_train": None,
    "validation_size": 0,
    "test_images": 0,
    "second_order": "exact",
    "penalty": "none",
    "strength": 0.0,
    "covariance": "stationary",
    "covariance_source": "fgsm",
    "covariance_eps": None,
    "covariance_steps": None,
    "covariance_decay": 0.1,
    "covariance_every": 1,
    "covariance_mean": False,
    "decay_length": 8.0,
    "backend": "double_backprop",
    "difference_step": 0.003,
    "difference_order": 1,
    "difference_check": None,
    "adversarial": "none",
    "adversarial_eps": 0.0,
    "adversarial_steps": 4,
    "adversarial_fraction": 1.0,
    "adversarial_from": "true",
    "adversarial_covariance": "exponential",
    "adversarial_decay_length": 8.0,
    "flip": False,
    "crop_padding": 0,
    "crop_mode": "edge",
    "crop_value": 0.5,
    "noise": "none",
    "optimizer": "sgd",
    "learning_rate": 0.005,
    "momentum": 0.875,
    "nesterov": True,
    "adam_eps": 1e-8,
    "weight_decay": 1e-4,
    "clip_gradient": None,
    "epochs": 15,
    "drop_at": [],
    "drop_factor": 0.2,
    "batch_size": 64,
    "seed": 0,
    "device": "auto",
    "update_similarity": False,
    "checkpoint_seconds": 60.0,
}
"""Every setting of version 0.1 with its default there."""

_NEUTRAL = ("loss", "ramp", "averaging", "mixing", "tuning")
"""Settings that version 0.1 did not have; it can say nothing of them but their defaults."""


def is_flat(values: Mapping[str, Any]) -> bool:
    """Return whether these are the settings of a configuration of version 0.1."""
    return "dataset" in values and "data" not in values


# From then to now.


def nested_settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of ``TrainingConfig`` that say what flat ones said.

    Raises:
        KeyError, TypeError, ValueError: they are no settings of version 0.1.
    """
    old = dict(DEFAULTS) | dict(flat)
    return {
        "data": _data(old),
        "model": _model(old),
        "penalty": _penalty(old),
        "attack": _attack(old),
        "augmentation": _augmentation(old),
        "optimizer": _optimizer(old),
        "schedule": (
            MultiStep(at=tuple(old["drop_at"]), drop=old["drop_factor"])
            if old["drop_at"]
            else Constant()
        ),
        "clipping": (
            ClipNorm(length=old["clip_gradient"]) if old["clip_gradient"] is not None else None
        ),
    } | {name: old[name] for name in _SAME}


_SAME = (
    "limit_train",
    "validation_size",
    "test_images",
    "epochs",
    "batch_size",
    "seed",
    "device",
    "update_similarity",
    "checkpoint_seconds",
)


def _data(old: Mapping[str, Any]) -> Any:
    name, place = str(old["dataset"]), old["data_dir"]
    try:
        return data_source(name, place)
    except (DatasetError, UnknownNameError):
        # A folder that is no longer there: its images are missing, not the network.
        return FolderImages(Path(name))


def _model(old: Mapping[str, Any]) -> Any:
    settings = {}
    if old["second_order"] == "frozen_phase":
        settings["second_order"] = "frozen_phase"
    known = {setting.key for setting in MODELS.settings(old["model"])}
    return MODELS.build({"name": old["model"]} | {k: v for k, v in settings.items() if k in known})


def _penalty(old: Mapping[str, Any]) -> Any:
    kind, strength = old["penalty"], old["strength"]
    if kind == "none":
        return None
    backend: DoubleBackprop | FiniteDifference = DoubleBackprop()
    if old["backend"] == "finite_difference":
        backend = FiniteDifference(step_size=old["difference_step"], order=old["difference_order"])
    if kind == "gn":
        return GradientNormPenalty(strength=strength, backend=backend)
    if kind == "sgr":
        return Structured(strength=strength, covariance=_covariance(old), backend=backend)
    return SquaredNormPenalty(strength=strength, norm=kind, backend=backend)


def _covariance(old: Mapping[str, Any]) -> Any:
    name = old["covariance"]
    if name not in COVARIANCES.names():
        return COVARIANCES.build({"name": "file", "path": name})
    if name == "exponential":
        return COVARIANCES.build({"name": name, "decay_length": old["decay_length"]})
    if not COVARIANCES.about(name).is_running:
        return COVARIANCES.build({"name": name})
    source = {"name": old["covariance_source"], "eps": old["covariance_eps"]}
    source["steps"] = old["covariance_steps"]
    return COVARIANCES.build(
        {
            "name": name,
            "decay": old["covariance_decay"],
            "every": old["covariance_every"],
            "mean": old["covariance_mean"],
            "source": {key: value for key, value in source.items() if value is not None},
        }
    )


def _attack(old: Mapping[str, Any]) -> Any:
    kind, eps = old["adversarial"], old["adversarial_eps"]
    if kind == "none":
        return None
    is_predicted = old["adversarial_from"] == "predicted"
    attack: Any
    if kind == "fgsm":
        attack = FGSM(eps=eps, start_from_prediction=is_predicted)
    elif kind == "pgd":
        steps = old["adversarial_steps"]
        attack = PGD(eps=eps, steps=steps, start_from_prediction=is_predicted)
    elif kind == "white-noise":
        attack = WhiteNoise(eps=eps, samples=1)
    else:
        name, length = old["adversarial_covariance"], old["adversarial_decay_length"]
        covariance = Exponential(length) if name == "exponential" else COVARIANCES.of(name)
        attack = LongRangeCorrelated(eps=eps, covariance=covariance, samples=1)
    fraction = old["adversarial_fraction"]
    return attack if fraction == 1 else Mixture(attack=attack, fraction=fraction)


def _augmentation(old: Mapping[str, Any]) -> tuple[Any, ...]:
    steps: list[Any] = []
    if old["flip"]:
        steps.append(HorizontalFlip())
    if old["crop_padding"]:
        crop = {"mode": old["crop_mode"], "value": old["crop_value"]}
        steps.append(RandomCrop(old["crop_padding"], **crop))
    kind, _, scale = str(old["noise"]).partition(":")
    if kind in ("gaussian", "uniform") and float(scale) > 0:
        noise = GaussianNoise if kind == "gaussian" else UniformNoise
        steps.append(noise(float(scale)))
    return tuple(steps)


def _optimizer(old: Mapping[str, Any]) -> Any:
    rate, decay = old["learning_rate"], old["weight_decay"]
    if old["optimizer"] == "adam":
        rate = 1e-3 if rate is None else rate
        return Adam(learning_rate=rate, denominator=old["adam_eps"], weight_decay=decay)
    return SGD(
        learning_rate=0.005 if rate is None else rate,
        momentum=old["momentum"],
        nesterov=old["nesterov"],
        weight_decay=decay,
    )


# From now to then.


def flat_settings(config: TrainingConfig) -> dict[str, Any] | None:
    """Return the settings by which version 0.1 would have said the same; None if it could not."""
    try:
        flat = _flattened(config)
    except _NotFlatError:
        return None
    # A setting that version 0.1 did not have may not get lost: two networks would be taken for one.
    is_whole = (_penalty(flat), _attack(flat)) == (config.penalty, config.attack)
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
    flat = dict(DEFAULTS) | {name: getattr(config, name) for name in _SAME}
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
    order = (HorizontalFlip, RandomCrop, GaussianNoise | UniformNoise)
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
