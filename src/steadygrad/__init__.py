"""Image classifiers that keep their prediction when the input is disturbed a little."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steadygrad.evaluation.auditing import audit
    from steadygrad.hardening import check_model, harden

__version__ = "0.2.0"

__all__ = ["__version__", "audit", "check_model", "harden"]

_HOMES = {
    "audit": "steadygrad.evaluation.auditing",
    "check_model": "steadygrad.hardening",
    "harden": "steadygrad.hardening",
}


def __getattr__(name: str) -> Any:
    """Import a function when it is first asked for: importing the package does no work."""
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
