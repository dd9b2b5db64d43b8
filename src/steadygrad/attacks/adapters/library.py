"""Importing a library of attacks when it is used, and saying how to install it if it is missing."""

import importlib
import importlib.util
import warnings
from collections.abc import Mapping
from importlib import metadata
from types import ModuleType

from steadygrad.errors import MissingExtraError

__all__ = ["library_version", "load_library", "require_library"]

# What to call each module's distribution, and what installs it. torchattacks' own requirements pin
# an old requests and torchvision, neither of which its attacks use.
_DISTRIBUTIONS: Mapping[str, str] = {
    "art": "adversarial-robustness-toolbox",
    "foolbox": "foolbox",
    "pyautoattack": "pyautoattack",
    "torchattacks": "torchattacks",
}
_COMMANDS: Mapping[str, str] = {
    "art": "pip install 'steadygrad[art]'",
    "foolbox": "pip install 'steadygrad[foolbox]'",
    "pyautoattack": "pip install 'steadygrad[autoattack]'",
    "torchattacks": "pip install --no-deps torchattacks",
}


def require_library(module: str) -> None:
    """Refuse to go on without a library, before any work is done. Imports nothing.

    Raises: MissingExtraError, naming the command that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(
            f"{_DISTRIBUTIONS[module]} is not installed; install it with {_COMMANDS[module]}"
        )


def load_library(module: str, part: str = "") -> ModuleType:
    """Import a library, or the part of it named as in ``.attacks.base``.

    Raises: MissingExtraError, naming the command that installs it.
    """
    require_library(module)
    with warnings.catch_warnings():
        # foolbox imports from a scipy namespace that is on its way out.
        warnings.simplefilter("ignore", DeprecationWarning)
        return importlib.import_module(module + part)


def library_version(module: str) -> str:
    """Return "foolbox 3.3.4": the distribution and its installed version."""
    return f"{_DISTRIBUTIONS[module]} {metadata.version(_DISTRIBUTIONS[module])}"
