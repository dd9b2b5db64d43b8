"""Noticing where the host waits for the device: CUDA tells, and a CPU can stand in for a GPU."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from steadygrad import pending_checks
from steadygrad.covariance import running
from steadygrad.penalties import loss_watch
from steadygrad.pending_checks import settle_checks

__all__ = ["refusing_to_wait"]

_WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "unique")
"""Operations whose result the host has to read before it can go on."""


@contextmanager
def refusing_to_wait(device: torch.device) -> Iterator[None]:
    """Raise where the host would wait for the device.

    CUDA tells by itself. On the CPU, which stands in for a GPU, operations whose result the host
    must read are refused: there a GPU would have to be waited for.
    """
    if device.type == "cuda":
        before = torch.cuda.get_sync_debug_mode()
        torch.cuda.synchronize(device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls the mode a prototype
            torch.cuda.set_sync_debug_mode("error")
        try:
            yield
        finally:
            torch.cuda.set_sync_debug_mode(before)
        return
    late = patch.object(pending_checks, "_arrives_late", lambda _: True)
    sent = patch.object(pending_checks, "_send", _send_at_once)
    looked = patch.object(loss_watch, "reading_waits", lambda _: True)
    learned = patch.object(running, "reading_waits", lambda _: True)
    try:
        with late, sent, looked, learned, _NoReads():  # type: ignore[no-untyped-call] # torch leaves it untyped
            yield
    finally:
        settle_checks()


class _NoReads(TorchDispatchMode):  # type: ignore[no-untyped-call] # torch leaves it untyped
    """Refuses operations that hand values, or a shape that depends on them, to the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        is_masked = name.startswith("index") and any(
            isinstance(index, Tensor) and index.dtype == torch.bool
            for index in (args[1] if len(args) > 1 and isinstance(args[1], list) else ())
        )
        if is_masked or name in _WAITING:
            raise RuntimeError(f"{name} makes the host wait for the device")
        return func(*args, **(kwargs or {}))


def _send_at_once(values: Tensor, judge: pending_checks.Judge) -> Any:
    travelling = pending_checks._Travelling
    return travelling(values.detach(), judge, lambda: False, lambda: None)
