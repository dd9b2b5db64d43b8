"""Everything that decides a training run, as one value."""

import math
import types
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from steadygrad.datasets import Augmentation, parse_noise
from steadygrad.errors import HyperparameterError
from steadygrad.models import model_entry
from steadygrad.penalties import FiniteDifference, SourceName
from steadygrad.training.config_file import read_settings
from steadygrad.training.objectives.registry import check_objective

__all__ = ["TrainingConfig"]

_DEFAULT_RATE = {"sgd": 0.005, "adam": 1e-3}


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """A training run; two equal ones give the same numbers on the same machine.

    dataset: a name of ``steadygrad.datasets`` or the path of a folder; data_dir: where local copies
        lie, None for the hub; limit_train: the first N training examples only.
    validation_size: examples cut from the training set to measure loss and accuracy on after each
        epoch; test_images: so many of the first test images are measured after each epoch too, for
        curves to look back at; choose nothing by them.
    model: a name of ``steadygrad.models``; second_order: "exact" or "frozen_phase".
    penalty: "none", the squared "l1", "l2" or "linf" norm of each example's input gradient, "gn"
        (another name of "l2", that of Roth et al. 2018) or "sgr" (``StructuredPenalty``);
        strength: its factor, at least 0, unit 1 / nat, per example: the beta that Yeats et al.
        (2021) print is ``strength * batch_size**2``, the lambda of Roth et al. twice the strength.
    covariance: in which "sgr" measures the gradient. Running: "stationary", "dense", "radial",
        "block"; fixed, of unit mean diagonal: "identity", "exponential" (with decay_length, in
        pixels), "dataset" (that of the training set); or the path of a .safetensors file, taken
        as it is. covariance_source: what a running one learns from, "fgsm", "gradient", "pgd" or
        "deepfool"; covariance_eps: radius of PGD in (0, 1], None for 8/255; covariance_steps: of
        PGD, None for 10, or of DeepFool, None for 100; covariance_decay: weight of the latest
        batch, in (0, 1]; covariance_every: learn from every so many-th batch; covariance_mean: add
        the shift of the mean perturbation (Eq. 12), which may make the penalty negative; with
        double_backprop only.
    backend: how the penalty is differentiated, a name of ``steadygrad.penalties``:
        "double_backprop" or "finite_difference" (with difference_step, in pixel units, and
        difference_order 1 or 2). difference_check: refuse to start unless the finite difference's
        penalty gradient has at least this cosine, in (0, 1], with the exact one on a first batch.
    adversarial: "none", "fgsm", "pgd", or noise, which asks the model nothing: "lrc" (long-range
        correlated), "white-noise"; adversarial_eps: in (0, 1], pixel units, the radius, of noise
        its standard deviation; adversarial_fraction: share of each batch that is attacked.
        adversarial_steps: of PGD; adversarial_from: attack away from the "true" label or the
        "predicted" one, not of noise. adversarial_covariance: of LRC noise, scaled to a unit mean
        diagonal: "exponential" (with adversarial_decay_length, in pixels), "dataset" (that of the
        training set), or the path of a .safetensors file.
    flip, crop_padding (pixels), crop_mode ("edge" or "constant", with crop_value in [0, 1]),
        noise ("none", "gaussian:0.05", "uniform:0.1"): augmentation, in that order. The penalty is
        taken at the augmented image.
    optimizer: "sgd" (momentum, nesterov) or "adam" (adam_eps); learning_rate: None stands for
        0.005 with SGD and 0.001 with Adam; nesterov: None stands for True, but for False with
        "frozen_phase", whose rule is no function's gradient and blew up with it on MNIST (the
        paper's text says Nesterov, its code uses plain momentum); weight_decay: added to the
        gradient, as the papers do; clip_gradient: greatest Euclidean length of a step's parameter
        gradient, None for no limit (as in the papers). A strong penalty can make single steps
        enormous.
    epochs, batch_size: at least 1; drop_at: epochs after which the rate is multiplied by
        drop_factor.
    seed: decides initialisation, order, augmentation, dropout and attacks, each from a stream of
        its own. The validation split does not depend on it: runs of several seeds stay comparable.
    device: "auto" (CUDA if there is one), or a torch device.
    update_similarity: record the cosine between plain and penalised updates (Yeats et al. 2021,
        Eq. 11); one more backward pass a step.
    checkpoint_seconds: least time between two checkpoints within an epoch.

    Raises: HyperparameterError, for a value outside its range and for a setting that would have no
        effect (a strength without a penalty); UnknownNameError, for an unknown model.
    """

    dataset: str
    model: str
    data_dir: str | None = None
    limit_train: int | None = None
    validation_size: int = 0
    test_images: int = 0
    second_order: Literal["exact", "frozen_phase"] = "exact"
    penalty: str = "none"
    strength: float = 0.0
    covariance: str = "stationary"
    covariance_source: SourceName = "fgsm"
    covariance_eps: float | None = None
    covariance_steps: int | None = None
    covariance_decay: float = 0.1
    covariance_every: int = 1
    covariance_mean: bool = False
    decay_length: float = 8.0
    backend: str = "double_backprop"
    difference_step: float = 0.003
    difference_order: int = FiniteDifference.order
    difference_check: float | None = None
    adversarial: Literal["none", "fgsm", "pgd", "lrc", "white-noise"] = "none"
    adversarial_eps: float = 0.0
    adversarial_steps: int = 4
    adversarial_fraction: float = 1.0
    adversarial_from: Literal["true", "predicted"] = "true"
    adversarial_covariance: str = "exponential"
    adversarial_decay_length: float = 8.0
    flip: bool = False
    crop_padding: int = 0
    crop_mode: Literal["edge", "constant"] = "edge"
    crop_value: float = 0.5
    noise: str = "none"
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float | None = None
    momentum: float = 0.875
    nesterov: bool | None = None
    adam_eps: float = 1e-8
    weight_decay: float = 1e-4
    clip_gradient: float | None = None
    epochs: int = 15
    drop_at: tuple[int, ...] = ()
    drop_factor: float = 0.2
    batch_size: int = 64
    seed: int = 0
    device: str = "auto"
    update_similarity: bool = False
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        for name, annotation in get_type_hints(type(self)).items():
            object.__setattr__(self, name, _typed(name, getattr(self, name), annotation))
        if self.nesterov is None:
            object.__setattr__(self, "nesterov", self.second_order != "frozen_phase")
        if self.learning_rate is None:
            object.__setattr__(self, "learning_rate", _DEFAULT_RATE[self.optimizer])
        self._check_ranges()
        self._check_effects()
        model_entry(self.model)
        # Before anything is loaded.
        check_objective(self)
        _ = self.augmentation

    @property
    def augmentation(self) -> Augmentation:
        """What happens to each training batch before the objective sees it."""
        kind, scale = parse_noise(self.noise)
        return Augmentation(
            flip=self.flip,
            crop_padding=self.crop_padding,
            crop_mode=self.crop_mode,
            crop_value=self.crop_value,
            noise=kind,
            noise_scale=scale,
        )

    @property
    def rate(self) -> float:
        """The initial learning rate, resolved."""
        assert self.learning_rate is not None
        return self.learning_rate

    def _check_ranges(self) -> None:
        for name in ("epochs", "batch_size", "adversarial_steps", "covariance_every"):
            self._require(name, getattr(self, name) >= 1, ">= 1")
        sizes = ("validation_size", "test_images", "seed")
        for name in (*sizes, "strength", "weight_decay", "checkpoint_seconds"):
            self._require(name, getattr(self, name) >= 0, ">= 0")
        lengths = ("difference_step", "decay_length", "adversarial_decay_length")
        for name in ("learning_rate", "adam_eps", *lengths):
            self._require(name, getattr(self, name) > 0, "> 0")
        clip = self.clip_gradient
        self._require("clip_gradient", clip is None or clip > 0, "> 0")
        self._require("limit_train", self.limit_train is None or self.limit_train >= 1, ">= 1")
        self._require("difference_order", self.difference_order in (1, 2), "1 or 2")
        check = self.difference_check
        self._require("difference_check", check is None or 0 < check <= 1, "in (0, 1]")
        self._require("adversarial_fraction", 0 < self.adversarial_fraction <= 1, "in (0, 1]")
        self._require("covariance_decay", 0 < self.covariance_decay <= 1, "in (0, 1]")
        self._require("momentum", 0 <= self.momentum < 1, "in [0, 1)")
        self._require("drop_factor", 0 < self.drop_factor <= 1, "in (0, 1]")
        rising = all(a < b for a, b in zip((0, *self.drop_at), self.drop_at, strict=False))
        self._require("drop_at", rising, "as rising epochs from 1")
        steps, eps = self.covariance_steps, self.covariance_eps
        self._require("covariance_steps", steps is None or steps >= 1, ">= 1")
        self._require("covariance_eps", eps is None or eps > 0, "in (0, 1]")
        self._require("adversarial_eps", self.adversarial_eps >= 0, "in [0, 1]")
        for name, allowed in (("covariance_eps", "in (0, 1]"), ("adversarial_eps", "in [0, 1]")):
            is_small = (getattr(self, name) or 0) <= 1
            self._require(name, is_small, allowed, "; did you mean N/255?")

    def _check_effects(self) -> None:
        if self.penalty == "none" and self.strength > 0:
            raise HyperparameterError(
                f"strength {self.strength:g} has no effect without a penalty; choose penalty 'l1', "
                "'l2', 'linf', 'gn' or 'sgr', or leave the strength out"
            )
        if self.difference_check is not None and self.backend != "finite_difference":
            raise HyperparameterError(
                f"difference_check {self.difference_check:g} has no effect with backend "
                f"{self.backend!r}; choose backend 'finite_difference', or leave it out"
            )
        if self.optimizer == "sgd" and self.nesterov and self.momentum == 0:
            raise HyperparameterError("expected momentum > 0 with nesterov, got 0")

    def _require(self, name: str, holds: bool, allowed: str, hint: str = "") -> None:
        if not holds:
            raise HyperparameterError(f"expected {name} {allowed}, got {getattr(self, name)}{hint}")

    def to_dict(self) -> dict[str, Any]:
        """Return the settings as plain values that JSON and TOML can hold."""
        values = asdict(self)
        values["drop_at"] = list(self.drop_at)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingConfig":
        """Return the configuration with these settings, and defaults for the others.

        Raises: HyperparameterError, naming unknown settings and those there are.
        """
        allowed = [field.name for field in fields(cls)]
        unknown = sorted(set(values) - set(allowed))
        if unknown:
            raise HyperparameterError(
                f"unknown setting {', '.join(map(repr, unknown))}; "
                f"choose from {', '.join(sorted(allowed))}"
            )
        missing = [name for name in ("dataset", "model") if name not in values]
        if missing:
            raise HyperparameterError(f"expected a setting for {' and '.join(missing)}")
        return cls(**values)

    @classmethod
    def from_toml(cls, path: Path | str, **overrides: Any) -> "TrainingConfig":
        """Return the configuration in a TOML file, with some settings replaced.

        Raises: HyperparameterError, as ``from_dict`` or if the file cannot be read as TOML.
        """
        return cls.from_dict(read_settings(path) | overrides)


def _typed(name: str, value: Any, annotation: Any) -> Any:
    """Return ``value`` as its field's type: lists become tuples, whole numbers floats."""
    if get_origin(annotation) in (types.UnionType, Union):
        if value is None:
            return None
        (annotation,) = (a for a in get_args(annotation) if a is not types.NoneType)
    if get_origin(annotation) is Literal:
        if value not in get_args(annotation):
            choices = ", ".join(map(repr, get_args(annotation)))
            raise HyperparameterError(f"expected {name} to be one of {choices}, got {value!r}")
        return value
    if get_origin(annotation) is tuple:
        if isinstance(value, list | tuple):
            return tuple(_typed(name, item, int) for item in value)
        raise HyperparameterError(f"expected {name} as a list of whole numbers, got {value!r}")
    if annotation is str and isinstance(value, Path):
        value = str(value)
    if annotation is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    if not isinstance(value, annotation) or (annotation is int and isinstance(value, bool)):
        names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
        raise HyperparameterError(f"expected {name} as {names[annotation]}, got {value!r}")
    if isinstance(value, float) and not math.isfinite(value):
        raise HyperparameterError(f"expected {name} to be finite, got {value}")
    return value
