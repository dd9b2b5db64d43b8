"""Versions that a stored result names."""

import platform

import torch

import steadygrad

__all__ = ["library_versions"]


def library_versions() -> dict[str, str]:
    """Return the versions of steadygrad, torch and Python, by name."""
    return {
        "steadygrad": steadygrad.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
