"""Judging the values of a tensor without waiting for the accelerator that computes them.

Reading one number from a GPU stops the program until all work queued before it is done; a training
step that does so cannot be queued while the last one runs. Here the numbers travel to the host
behind the work, and are judged when they have arrived: at one of the next calls.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor

__all__ = ["Judge", "judge_values", "settle_checks"]

Judge: TypeAlias = Callable[[Sequence[float]], None]
"""Raises if the numbers are not what they have to be."""

MOST_PENDING = 64
"""Judgements outstanding at most: so late, in calls, may an error come on a GPU that lags far."""


@dataclass(frozen=True)
class _Travelling:
    """Numbers on their way to the host, and what is to be said of them.

    values: (n,), in page-locked host memory; valid once ``has_arrived()`` or ``wait()``.
    """

    values: Tensor
    judge: Judge
    has_arrived: Callable[[], bool]
    wait: Callable[[], None]


_PENDING: deque[_Travelling] = deque()


def judge_values(values: Tensor, judge: Judge, *, wait: bool) -> None:
    """Hand the numbers in a tensor to ``judge``, now or when they have arrived.

    On a CUDA device and without ``wait``, what arrived from earlier calls is judged first, and the
    new numbers are sent on their way. Everywhere else they are judged now. While a CUDA graph is
    being captured nothing is read: a replay would not judge anything.

    Args:
        values: shape (n,), n >= 1.
        judge: raises the error that the user is to see.
        wait: judge before returning, on every device.

    Raises:
        Exception: whatever ``judge``, or that of an earlier call, raises.
    """
    if wait or not _arrives_late(values):
        judge(_numbers(values))
        return
    if values.is_cuda and torch.cuda.is_current_stream_capturing():
        return
    settle_checks(wait=False)
    if len(_PENDING) >= MOST_PENDING:
        _PENDING[0].wait()
        settle_checks(wait=False)
    _PENDING.append(_send(values, judge))


def settle_checks(*, wait: bool = True) -> None:
    """Judge what has arrived of earlier calls' numbers; with ``wait``, all of it.

    A training loop calls this where it reads its losses anyway. After an error nothing is pending
    any more.

    Raises:
        Exception: what the first judge that refuses its numbers raises.
    """
    while _PENDING:
        first = _PENDING[0]
        if wait:
            first.wait()
        elif not first.has_arrived():
            return
        _PENDING.popleft()
        try:
            first.judge(_numbers(first.values))
        except Exception:
            _PENDING.clear()
            raise


def _arrives_late(values: Tensor) -> bool:
    """Tell whether reading the values would wait for a device; others than CUDA are not asked."""
    return values.is_cuda


def _numbers(values: Tensor) -> list[float]:
    # One by one: tolist() refuses the tensors of torch.func's transforms.
    return [value.item() for value in values.cpu()]


def _send(values: Tensor, judge: Judge) -> _Travelling:
    host = values.to("cpu", non_blocking=True)  # page-locked, so that the copy is queued
    arrived = torch.cuda.Event()  # type: ignore[no-untyped-call] # torch leaves it untyped
    arrived.record(torch.cuda.current_stream(values.device))
    return _Travelling(host, judge, arrived.query, arrived.synchronize)
