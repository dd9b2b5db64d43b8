"""From a configuration to the attack, or the noise, that its training images are under."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from steadygrad.attacks import FGSM, PGD, LongRangeCorrelated, WhiteNoise
from steadygrad.datasets import ImageDataset
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.training.objectives.adversarial import TrainingAttack
from steadygrad.training.objectives.fixed_covariance import fixed_covariance, is_covariance_file
from steadygrad.training.objectives.idle_settings import refuse_idle

if TYPE_CHECKING:  # the configuration itself imports this file, to check its settings
    from steadygrad.training.config import TrainingConfig

__all__ = ["check_attack", "noise_covariance_choices", "training_attack"]

_COVARIANCES = ("exponential", "dataset")
_NOISES = ("lrc", "white-noise")


def noise_covariance_choices() -> str:
    """Return what ``TrainingConfig.adversarial_covariance`` may be, in words."""
    return f"{', '.join(_COVARIANCES)}, or the path of a .safetensors file"


def check_attack(config: "TrainingConfig") -> None:
    """Refuse settings of the training attack that are unknown or would have no effect.

    A covariance file is not looked for: whoever only reads a run's configuration need not have it.
    Raises: UnknownNameError, listing the names; HyperparameterError.
    """
    name = config.adversarial
    if name == "none":
        settings = ("eps", "steps", "fraction", "from", "decay_length", "covariance")
        why = "without an attack; choose adversarial 'fgsm', 'pgd', 'lrc' or 'white-noise'"
        refuse_idle(config, [f"adversarial_{setting}" for setting in settings], why)
        return
    if config.adversarial_eps == 0:
        raise HyperparameterError(
            f"expected adversarial_eps in (0, 1] with adversarial {name!r}, got 0"
        )
    covariance = config.adversarial_covariance
    if name != "pgd":
        refuse_idle(
            config, ("adversarial_steps",), f"with adversarial {name!r}; choose adversarial 'pgd'"
        )
    if name in _NOISES:
        why = f"with adversarial {name!r}, which asks the model nothing; choose adversarial 'fgsm'"
        refuse_idle(config, ("adversarial_from",), why)
    if name != "lrc":
        refuse_idle(
            config,
            ("adversarial_covariance", "adversarial_decay_length"),
            f"with adversarial {name!r}; choose adversarial 'lrc'",
        )
    elif not (covariance in _COVARIANCES or is_covariance_file(covariance)):
        raise UnknownNameError(
            f"expected adversarial_covariance one of {noise_covariance_choices()}, "
            f"got {covariance!r}"
        )
    elif covariance != "exponential":
        refuse_idle(
            config,
            ("adversarial_decay_length",),
            f"with adversarial_covariance {covariance!r}; choose 'exponential'",
        )


def training_attack(config: "TrainingConfig", train: ImageDataset | None) -> TrainingAttack:
    """Return the attack; of noise, a single draw for each image.

    train: the training set; "lrc" in another covariance than the exponential one needs it.
    Raises: HyperparameterError, if it is missing; what ``fixed_covariance`` raises.
    """
    return _ATTACKS[config.adversarial](config, train)


def _correlated_noise(config: "TrainingConfig", train: ImageDataset | None) -> TrainingAttack:
    eps, decay_length = config.adversarial_eps, config.adversarial_decay_length
    if config.adversarial_covariance == "exponential":
        return LongRangeCorrelated(eps=eps, decay_length=decay_length, samples=1)
    if train is None:
        raise HyperparameterError(
            "expected the training set along with adversarial_covariance "
            f"{config.adversarial_covariance!r}, got None"
        )
    covariance = fixed_covariance(config.adversarial_covariance, decay_length, train)
    return LongRangeCorrelated(eps=eps, covariance=covariance, samples=1)


_ATTACKS: dict[str, Callable[["TrainingConfig", ImageDataset | None], TrainingAttack]] = {
    "fgsm": lambda config, _: FGSM(eps=config.adversarial_eps),
    "pgd": lambda config, _: PGD(eps=config.adversarial_eps, steps=config.adversarial_steps),
    "lrc": _correlated_noise,
    "white-noise": lambda config, _: WhiteNoise(eps=config.adversarial_eps, samples=1),
}
