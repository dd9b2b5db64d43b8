"""A network of an experiment: a name for people, and the configuration that decides it."""

from dataclasses import dataclass, replace

from steadygrad.datasets import Noise
from steadygrad.models import MODELS
from steadygrad.training import TrainingConfig, configuration_digest

__all__ = ["Network"]


@dataclass(frozen=True)
class Network:
    """A trained network that figures and tables call ``label``.

    Two of equal configuration are one and the same, whatever their labels: it is trained once.

    Args:
        label: what people read; nothing is looked up or chosen by it.
        config: what decides the trained weights.
        variant: equal in networks that differ by seed or by scale alone, so that an experiment can
            gather them; "" takes the digest of the configuration with seed 0.
    """

    label: str
    config: TrainingConfig
    variant: str = ""

    def __post_init__(self) -> None:
        if not self.variant:
            variant = configuration_digest(replace(self.config, seed=0))
            object.__setattr__(self, "variant", variant)

    @property
    def digest(self) -> str:
        """SHA-256 of the decisive settings, hexadecimal."""
        return configuration_digest(self.config)

    @property
    def folder_name(self) -> str:
        """Where a store keeps it: the architecture, for people, and the digest."""
        return f"{MODELS.name_of(self.config.model)}-{self.digest[:16]}"

    @property
    def is_defended(self) -> bool:
        """Whether a penalty, attacks or noise took part in its training."""
        config = self.config
        is_noisy = any(isinstance(s, Noise) for s in config.augmentation)
        return config.penalty is not None or config.attack is not None or is_noisy

    def of_seed(self, seed: int) -> "Network":
        """Return the same variant of another seed."""
        return replace(self, config=replace(self.config, seed=seed))
