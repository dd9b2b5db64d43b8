"""Backends by name."""

from typing import Literal, TypeAlias, get_args

from steadygrad.errors import UnknownNameError
from steadygrad.penalties.backend import Backend
from steadygrad.penalties.double_backprop import DoubleBackprop
from steadygrad.penalties.finite_difference import FiniteDifference

__all__ = ["BackendName", "resolve_backend"]

BackendName: TypeAlias = Literal["double_backprop", "finite_difference"]

_BACKENDS: dict[str, Backend] = {
    "double_backprop": DoubleBackprop(),
    "finite_difference": FiniteDifference(),
}
assert set(_BACKENDS) == set(get_args(BackendName))


def resolve_backend(backend: str | Backend) -> Backend:
    """Return the named backend with its default settings, or the backend object as it is.

    Raises: UnknownNameError, listing the names.
    """
    if not isinstance(backend, str):
        return backend
    if backend not in _BACKENDS:
        raise UnknownNameError(f"unknown backend {backend!r}; choose one of {', '.join(_BACKENDS)}")
    return _BACKENDS[backend]
