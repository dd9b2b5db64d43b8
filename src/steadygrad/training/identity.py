"""What of a configuration decides the trained weights, and its digest."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from steadygrad.parts import distinct_settings
from steadygrad.training.config import TrainingConfig
from steadygrad.training.flat_settings import flat_settings
from steadygrad.training.version_0_1 import DEFAULTS

__all__ = ["configuration_digest", "decisive_settings"]

_MOVES_NO_NUMBER = frozenset(
    {"data_dir", "device", "checkpoint_seconds", "cuda_graph", "shard", "trackers"}
)


def decisive_settings(config: TrainingConfig) -> dict[str, Any]:
    """Return the settings that decide the trained weights, as JSON can hold them.

    Where local copies of the data lie, how often checkpoints are written, whether a step is
    recorded, whether processes divide the weights and where metrics go moves no number; the device
    moves last bits.
    """
    settings = {k: v for k, v in config.to_dict().items() if k not in _MOVES_NO_NUMBER}
    return settings | {"data": _without_place(settings["data"])}


def configuration_digest(config: TrainingConfig) -> str:
    """Return the SHA-256 of the decisive settings that are not at their defaults, hexadecimal.

    Defaults are left out so that a setting added to the library later leaves old digests alone. A
    configuration that version 0.1 could write keeps the digest that it had there, so that what was
    measured then is found.
    """
    flat = flat_settings(config)
    if flat is not None:
        defaults = dict(DEFAULTS) | {"dataset": None, "model": None}
        decisive: dict[str, Any] = {
            k: v for k, v in flat.items() if k not in _MOVES_NO_NUMBER and v != defaults[k]
        }
    else:
        decisive = distinct_settings(config)
        decisive = {k: v for k, v in decisive.items() if k not in _MOVES_NO_NUMBER}
        decisive["data"] = _without_place(decisive["data"])
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()


def _without_place(data: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in data.items() if key != "data_dir"}
