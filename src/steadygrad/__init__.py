"""Image classifiers that stay right when their input is disturbed, without training on attacks."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steadygrad.evaluation.auditing import audit
    from steadygrad.hardening import check_model, harden

__version__ = "0.1.0"

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
