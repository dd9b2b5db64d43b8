"""Whether ``torchrun`` or ``accelerate launch`` started this process; needs no torch."""

import os

__all__ = ["has_launcher"]

_KEYS = frozenset({"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})


def has_launcher() -> bool:
    """Return whether the environment tells this process which one of several it is."""
    return os.environ.keys() >= _KEYS
