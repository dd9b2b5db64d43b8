"""The processes of a run, started and ended together: ``torchrun`` and ``accelerate launch``.

These start the program once for each process and tell it in the environment which one it is.
"""

import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from importlib import import_module
from typing import Any

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from steadygrad.devices import resolve_device
from steadygrad.distributed import Ranks, current_ranks, is_alone
from steadygrad.errors import (
    HyperparameterError,
    MainProcessError,
    NonFiniteLossError,
    ProcessError,
    SteadygradError,
)
from steadygrad.launcher import has_launcher
from steadygrad.training.interruption import Interruption

__all__ = ["device_of_process", "launched_ranks", "processes_together"]

_FAILURE, _HEARD, _SPOKEN, _GONE = (
    f"steadygrad/{key}" for key in ("failure", "heard", "spoken", "gone")
)
"""Keys of the store: the word of a failure, that the main process knows, that another one tells it,
and who has left."""

_SECONDS_TO_HEAR = timedelta(seconds=5)
"""How long a process that knows of a failure waits until the main one does, too."""


def launched_ranks() -> Ranks:
    """Return the processes that exist, also before they are connected; one without a launcher.

    Raises:
        HyperparameterError: RANK and WORLD_SIZE in the environment are no such numbers.
    """
    if current_ranks().count > 1:
        return current_ranks()
    if is_alone() or not has_launcher():
        return Ranks(0, 1)
    rank, count = (os.environ[name] for name in ("RANK", "WORLD_SIZE"))
    if not (rank.isdecimal() and count.isdecimal() and int(rank) < int(count)):
        raise HyperparameterError(f"expected RANK below WORLD_SIZE, got {rank!r} and {count!r}")
    return Ranks(int(rank), int(count))


def device_of_process(name: str) -> torch.device:
    """Return where this process computes: of several GPUs the one that the launcher gave it.

    Args:
        name: "auto", "cpu", "cuda", ...

    Raises:
        HyperparameterError: there is no such device, or it is one GPU by its number and there are
            several processes.
    """
    device = resolve_device(name)
    if launched_ranks().count == 1 or device.type != "cuda":
        return device
    if ":" in name:
        raise HyperparameterError(
            f"expected device auto, cpu or cuda for {launched_ranks().count} processes, of which "
            f"each takes a GPU of its own, got {name}"
        )
    local = int(os.environ.get("LOCAL_RANK", launched_ranks().rank))
    own = torch.device("cuda", local % torch.cuda.device_count())
    torch.cuda.set_device(own)
    return own


@contextmanager
def processes_together(device: torch.device, patience: timedelta | None = None) -> Iterator[Ranks]:
    """Connect the processes of a run inside the block, unless they are; a failure ends all.

    A process that fails leaves word of it, and the others stop where they wait for it: the main
    one with its sentence, for the user. With a single process nothing happens.

    Args:
        device: where this process computes; GPUs, one for each process, are connected by NCCL,
            everything else by gloo.
        patience: how long a process waits for another one that is alive; None takes torch's.

    Raises:
        ProcessError: another process failed or was ended; MainProcessError, in one of the others,
            if it was the main one, which cannot say so.
        NonFiniteLossError: another process met it.
    """
    has_started = launched_ranks().count > current_ranks().count
    if has_started:
        ranks = launched_ranks()
        # Its functions keep the group there is at their import as a default: imported later, by
        # torch.compile or export, they would keep its threads, which abort an ending process.
        import_module("torch.distributed.nn.functional")
        distributed.init_process_group(
            _backend(device),
            store=_store_of_start(patience),
            rank=ranks.rank,
            world_size=ranks.count,
            timeout=patience,
        )
    try:
        ranks = current_ranks()
        if ranks.count == 1:
            yield ranks
            return
        store: Any = distributed.distributed_c10d._get_default_store()
        try:
            with _ended_in_a_sentence():
                yield ranks
            if has_started:
                _leave(store, ranks)
        except ProcessError as error:
            with Interruption():  # the launcher ends a process while it still has to speak
                told = _told(store, ranks, error)
                if has_started:
                    _disconnect()
                raise told from error
        except BaseException as error:
            with Interruption():
                _tell(store, ranks, error, has_started)
            raise
    finally:
        if has_started:
            _disconnect()


def _leave(store: Any, ranks: Ranks) -> None:
    """Disconnect, the main process last: it may hold the store that the others still talk to."""
    others = [f"{_GONE}/{rank}" for rank in range(1, ranks.count)]
    with suppress(RuntimeError):
        if ranks.is_main:
            store.wait(others, _SECONDS_TO_HEAR)
        _disconnect()
        if not ranks.is_main:
            store.set(f"{_GONE}/{ranks.rank}", "1")


def _disconnect() -> None:
    if distributed.is_initialized():
        distributed.destroy_process_group()


_meeting: Any = None
_starts = 0
"""The store that the launcher's variables name, and how often processes were connected by it."""


def _store_of_start(patience: timedelta | None) -> Any:
    """Return where the processes meet: in a part of the store of its own for each start.

    A program may train and then measure: what a start left must not be taken for another's.
    """
    global _meeting, _starts
    if _meeting is None:
        _meeting, _, _ = next(rendezvous("env://"))
    _starts += 1
    untyped: Any = distributed
    store = untyped.PrefixStore(f"steadygrad/start {_starts}", _meeting)
    store.set_timeout(patience or untyped.default_pg_timeout)
    return store


def _backend(device: torch.device) -> str:
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if device.type == "cuda" and distributed.is_nccl_available():
        return "cpu:gloo,cuda:nccl" if here <= torch.cuda.device_count() else "gloo"
    return "gloo"


class _EndedByLauncher(BaseException):
    """SIGTERM: no ``except Exception`` around a stranger's code may take it for its error."""


@contextmanager
def _ended_in_a_sentence() -> Iterator[None]:
    """Turn the signal by which a launcher ends the other processes into a ProcessError.

    A handler that is set inside the block (``Interruption``) takes precedence.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(*_: object) -> None:
        raise _EndedByLauncher

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    except _EndedByLauncher as error:
        raise ProcessError(
            "a process of the run has ended before the others, or the launcher was stopped"
        ) from error
    finally:
        signal.signal(signal.SIGTERM, before)


def _tell(store: Any, ranks: Ranks, error: BaseException, has_started: bool) -> None:
    """Leave word of a failure, let the others run into it, and wait until the main one knows."""
    word = {
        "rank": ranks.rank,
        "sentence": str(error) if isinstance(error, SteadygradError) else repr(error),
        "is_not_finite": isinstance(error, NonFiniteLossError),
    }
    with suppress(RuntimeError):  # the store may be gone with the process that held it
        store.set(_FAILURE, json.dumps(word))
        if ranks.is_main:
            store.set(_HEARD, "1")
        if has_started:
            _disconnect()  # closes the connections: nobody waits in vain
            store.wait([_HEARD], _SECONDS_TO_HEAR)


def _told(store: Any, ranks: Ranks, error: ProcessError) -> SteadygradError:
    """Return the failure that another process left word of, or that it left none."""
    word: dict[str, Any] | None = None
    with suppress(RuntimeError, ValueError):
        if store.check([_FAILURE]):
            word = json.loads(store.get(_FAILURE))
    if not ranks.is_main and not _is_heard(store):
        speaks = True
        with suppress(RuntimeError):
            speaks = store.add(_SPOKEN, 1) == 1
        return MainProcessError(f"{error}: the main one") if speaks else error
    with suppress(RuntimeError):
        store.set(_HEARD, "1")
    if word is None:
        return error
    sentence = f"process {word['rank']} of {ranks.count} failed: {word['sentence']}"
    return NonFiniteLossError(sentence) if word["is_not_finite"] else ProcessError(sentence)


def _is_heard(store: Any) -> bool:
    try:
        store.wait([_HEARD], _SECONDS_TO_HEAR)
    except RuntimeError:
        return False
    return True
