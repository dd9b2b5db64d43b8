"""A switch: let torch.compile fuse the elementwise work of the complex layers into single loops."""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import torch

__all__ = ["fuse_elementwise_work", "fusible", "is_elementwise_work_fused"]

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

_is_on = False


def fuse_elementwise_work(on: bool = True) -> None:
    """Turn fusion on or off, for the whole process; it is off at first.

    Numbers stay the same up to rounding. A training step gets faster (``benchmarks/``), the first
    one takes some seconds more, in which loops are compiled: that needs a C++ compiler.
    """
    global _is_on
    _is_on = on


def is_elementwise_work_fused() -> bool:
    """Tell whether fusion is on."""
    return _is_on


def fusible(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """Return the function, which runs compiled while fusion is on."""

    @wraps(function)
    def run(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        chosen: Callable[Parameters, Result] = _compiled(function) if _is_on else function
        return chosen(*args, **kwargs)

    return run


@cache
def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    return torch.compile(function, dynamic=True)  # else once more for every layer and batch size
