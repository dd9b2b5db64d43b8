"""Image classifiers that stay right when their input is disturbed, without training on attacks."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from steadygrad.evaluation.auditing import audit

__version__ = "0.2.0"

__all__ = ["__version__", "audit"]


def __getattr__(name: str) -> Any:
    """Import ``audit`` when it is first asked for: importing the package does no work."""
    if name == "audit":
        from steadygrad.evaluation.auditing import audit

        return audit
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
