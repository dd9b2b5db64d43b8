"""Where ``steadygrad.reports`` still looks for ``steadygrad.atomic_file``."""

from steadygrad.atomic_file import write_atomically

__all__ = ["write_atomically"]
