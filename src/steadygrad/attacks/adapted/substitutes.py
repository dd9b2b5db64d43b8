"""A torch mode that runs the same computation, but lets gradients through what breaks them."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

__all__ = ["StraightThroughMode"]

_SET_GRAD_ENABLED: Any = getattr(torch._C, "_set_grad_enabled", None)
"""What ``no_grad`` calls; a PyTorch without it records no block under ``no_grad``."""
_SHADOW = "_steadygrad_shadow"
"""Attribute of a tensor without gradient: a differentiable stand-in for what it was made from."""


class StraightThroughMode(TorchFunctionMode):
    """Values stay as they are; rounding, steps, choices and detaching pass a gradient on.

    Rounding and detaching pass it unchanged, signs and comparisons as a sigmoid as wide as the
    values' spread, an argmax as the softmax, and what is computed from such whole numbers or truth
    values (casts, one-hot vectors, products, ``where``) as if it were computed from the stand-ins.
    A block under ``no_grad`` is recorded. Operations in place, custom ``autograd.Function`` and
    numpy are not seen.

    replaced: names of the operations that a substitute stood in for, in the order of appearance.
    Source: straight-through estimates, Bengio, Leonard & Courville 2013 (arXiv:1308.3432); backward
        pass differentiable approximation, Athalye, Carlini & Wagner, ICML 2018 (arXiv:1802.00420),
        section 4.1.
    """

    def __init__(self) -> None:
        super().__init__()
        self.replaced: dict[str, None] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Return what ``func`` does, with a gradient where it would have none."""
        kwargs = kwargs or {}
        if func is _SET_GRAD_ENABLED:
            if not args[0]:
                self._note("no_grad")
                return None
            return func(*args, **kwargs)
        name = _name_of(func)
        first = args[0] if args else None
        if isinstance(first, Tensor) and first.requires_grad:
            stand_in = _FIRST.get(name)
            if stand_in is not None:
                soft = stand_in(*args, **kwargs)
                if soft is not None:
                    self._note(name)
                    return _joined(func(*args, **kwargs), soft)
        if name in _COMPARED and any(_is_recorded(each) for each in args):
            self._note(name)
            return _joined(func(*args, **kwargs), _compared(_COMPARED[name], *args[:2]))
        if any(map(_has_shadow, args)):
            return self._from_shadows(func, name, args, kwargs)
        return func(*args, **kwargs)

    def _from_shadows(
        self, func: Callable[..., Any], name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        hard = func(*args, **kwargs)
        if not isinstance(hard, Tensor):
            return hard
        soft_args = [_softened(each) for each in args]
        stand_in: Callable[..., Any] = _OF_SHADOWS.get(name, func)
        try:
            soft = stand_in(*soft_args, **kwargs)
        except (RuntimeError, TypeError, IndexError):  # no meaning for numbers that are not whole
            return hard
        if not isinstance(soft, Tensor) or soft.shape != hard.shape or not soft.requires_grad:
            return hard
        return _joined(hard, soft)

    def _note(self, name: str) -> None:
        self.replaced.setdefault(name)


def _name_of(func: Callable[..., Any]) -> str:
    if getattr(getattr(func, "__self__", None), "__name__", "") == "data":
        return "data"
    return str(getattr(func, "__name__", "")).strip("_")


def _is_recorded(value: object) -> bool:
    return isinstance(value, Tensor) and (value.requires_grad or hasattr(value, _SHADOW))


def _has_shadow(value: object) -> bool:
    if isinstance(value, list | tuple):
        return any(map(_has_shadow, value))
    return hasattr(value, _SHADOW)


def _softened(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return type(value)(map(_softened, value)) if _has_shadow(value) else value
    return getattr(value, _SHADOW, value)


def _joined(hard: Any, soft: Tensor) -> Any:
    """Return the hard value with the soft one's gradient, now or once it is a number again."""
    if not isinstance(hard, Tensor):
        return hard
    if hard.is_floating_point():
        with torch.enable_grad():
            # Not hard + (soft - soft): the sum would round the value.
            return _Joined.apply(hard.detach(), soft)  # type: ignore[no-untyped-call] # torch leaves it untyped
    marked = hard.detach().clone() if hasattr(hard, _SHADOW) else hard
    setattr(marked, _SHADOW, soft)
    return marked


class _Joined(torch.autograd.Function):
    """The first argument's value, the second's gradient."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, hard: Tensor, soft: Tensor) -> Tensor:
        ctx.kind = soft.dtype  # type: ignore[attr-defined] # contexts take any attribute
        return hard.clone()

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, *gradients: Tensor
    ) -> tuple[None, Tensor]:
        return None, gradients[0].to(ctx.kind)  # type: ignore[attr-defined] # see forward


def _same(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return x


def _sign(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return torch.tanh(x / _spread(x))


def _choice(x: Tensor, dim: int | None = None, keepdim: bool = False, **__: Any) -> Tensor | None:
    """Return the softmax over the axis; an argmax over all entries at once has no substitute."""
    if dim is None or keepdim:
        return None
    x = x.movedim(dim, -1)
    return torch.softmax(x / x.detach().std(dim=-1, keepdim=True).clamp_min(1e-12), dim=-1)


def _whole(x: Tensor, *args: Any, **kwargs: Any) -> Tensor | None:
    """Return x, if it is cast to whole numbers or truth values here, else None."""
    kinds = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.dtype)]
    return x if kinds and not kinds[0].is_floating_point and not kinds[0].is_complex else None


def _divided(x: Tensor, other: Any, *_: Any, **__: Any) -> Tensor:
    quotient: Tensor = x / other
    return quotient


def _div(x: Tensor, other: Any, *_: Any, **kwargs: Any) -> Tensor | None:
    return _divided(x, other) if kwargs.get("rounding_mode") is not None else None


def _remainder(x: Tensor, other: Any, *_: Any, **__: Any) -> Tensor:
    """Return zeros that depend on x: what is left within a tooth does not follow the image."""
    return x * 0 + 0 * torch.as_tensor(other).sum()


def _quantised(x: Tensor, low: Any, high: Any = None, *_: Any, **__: Any) -> Tensor:  # noqa: ARG001
    return x


_FIRST: Mapping[str, Callable[..., Tensor | None]] = {
    "round": _same,
    "floor": _same,
    "ceil": _same,
    "trunc": _same,
    "fix": _same,
    "detach": _same,
    "data": _same,
    "sign": _sign,
    "sgn": _sign,
    "argmax": _choice,
    "int": _same,
    "long": _same,
    "byte": _same,
    "short": _same,
    "char": _same,
    "to": _whole,
    "type": _whole,
    "floordiv": _divided,
    "floor_divide": _divided,
    "div": _div,
    "remainder": _remainder,
    "mod": _remainder,
    "frac": lambda x, *_, **__: 0 * x,
    "fmod": _remainder,
    "fake_quantize_per_tensor_affine": _quantised,
}
"""Name of an operation on a tensor with a gradient to what stands in for it there, if anything."""

_COMPARED: Mapping[str, int] = {"gt": 1, "ge": 1, "greater": 1, "lt": -1, "le": -1, "less": -1}


def _compared(way: int, x: Any, other: Any) -> Tensor:
    x, other = (getattr(each, _SHADOW, each) for each in (x, other))
    difference: Tensor = way * (x - other)
    return torch.sigmoid(difference / _spread(difference))


def _spread(x: Tensor) -> Tensor:
    return x.detach().abs().mean().clamp_min(1e-12)


def _cast(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    kinds = [each for each in (*args, *kwargs.values()) if isinstance(each, torch.dtype)]
    return x.to(kinds[0]) if kinds and kinds[0].is_floating_point else x


def _where(is_first: Tensor, first: Any, second: Any, **__: Any) -> Tensor:
    chosen: Tensor = is_first * first + (1 - is_first) * second
    return chosen


def _one_hot(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return x  # of an argmax: the softmax has the axis of the classes already


def _negated(x: Tensor) -> Tensor:
    return 1 - x


def _both(x: Tensor, other: Tensor) -> Tensor:
    return x * other


_OF_SHADOWS: Mapping[str, Callable[..., Tensor]] = {
    "where": _where,
    "one_hot": _one_hot,
    "float": _cast,
    "double": _cast,
    "half": _cast,
    "to": _cast,
    "type": _cast,
    "type_as": lambda x, other: x.to(other.dtype) if other.is_floating_point() else x,
    "int": _cast,
    "long": _cast,
    "byte": _cast,
    "bool": _cast,
    "logical_not": _negated,
    "invert": _negated,
    "logical_and": _both,
    "and": _both,
}
"""Name to what an operation on whole numbers or truth values does to their stand-ins."""
