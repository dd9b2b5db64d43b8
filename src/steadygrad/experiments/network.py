"""A network of an experiment: a name for people, and the configuration that decides it."""

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

from steadygrad.training import TrainingConfig

__all__ = ["Network", "configuration_digest", "decisive_settings"]

_MOVES_NO_NUMBER = frozenset({"data_dir", "device", "checkpoint_seconds"})


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
        return f"{self.config.model}-{self.digest[:16]}"

    @property
    def is_defended(self) -> bool:
        """Whether a penalty, attacks or noise took part in its training."""
        config = self.config
        return (config.penalty, config.adversarial, config.noise) != ("none", "none", "none")

    def of_seed(self, seed: int) -> "Network":
        """Return the same variant of another seed."""
        return replace(self, config=replace(self.config, seed=seed))


def decisive_settings(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings that decide the trained weights, as JSON can hold them.

    Where local copies of the data lie and how often checkpoints are written moves no number; the
    device moves last bits.
    """
    return {k: v for k, v in config.to_dict().items() if k not in _MOVES_NO_NUMBER}


def configuration_digest(config: TrainingConfig) -> str:
    """Return the SHA-256 of the decisive settings that are not at their defaults.

    Defaults are left out so that a setting added to the library later leaves old digests alone.
    """
    reference = TrainingConfig(dataset=config.dataset, model=config.model)
    defaults = decisive_settings(reference) | {"dataset": None, "model": None}
    decisive = {k: v for k, v in decisive_settings(config).items() if v != defaults[k]}
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()
