"""Configurations as steadygrad 0.1 wrote them: flat settings with prefixed names.

Runs of that version stay readable, and networks that were measured then keep their names.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from steadygrad.attacks import FGSM, PGD, LongRangeCorrelated, Mixture, WhiteNoise
from steadygrad.covariance import COVARIANCES, Exponential
from steadygrad.datasets import (
    GaussianNoise,
    HorizontalFlip,
    RandomCrop,
    UniformNoise,
    data_source,
)
from steadygrad.datasets.sources import FolderImages
from steadygrad.errors import DatasetError, UnknownNameError
from steadygrad.models import MODELS
from steadygrad.penalties import (
    DoubleBackprop,
    FiniteDifference,
    GradientNormPenalty,
    SquaredNormPenalty,
    Structured,
)
from steadygrad.training.clipping import ClipNorm
from steadygrad.training.optimizers import SGD, Adam
from steadygrad.training.schedules import Constant, MultiStep

__all__ = ["DEFAULTS", "SAME", "attack_of", "is_flat", "nested_settings", "penalty_of"]

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

SAME = (
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
"""Settings that are called the same in both versions."""


def is_flat(values: Mapping[str, Any]) -> bool:
    """Return whether these are the settings of a configuration of version 0.1."""
    return "dataset" in values and "data" not in values


def nested_settings(flat: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of ``TrainingConfig`` that say what flat ones said.

    Raises:
        KeyError, TypeError, ValueError: they are no settings of version 0.1.
    """
    old = dict(DEFAULTS) | dict(flat)
    return {
        "data": _data(old),
        "model": _model(old),
        "penalty": penalty_of(old),
        "attack": attack_of(old),
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
    } | {name: old[name] for name in SAME}


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


def penalty_of(old: Mapping[str, Any]) -> Any:
    """Return the penalty that flat settings describe, or None."""
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


def attack_of(old: Mapping[str, Any]) -> Any:
    """Return the attack in training that flat settings describe, or None."""
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
