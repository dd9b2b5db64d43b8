"""Running a function in several processes on this machine, with gloo."""

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import distributed, multiprocessing

SECONDS = 120
"""After which a process that waits for another one gives up."""


def in_processes(body: Callable[..., Any], count: int = 2) -> list[Any]:
    """Return what ``body(rank)`` returns in each process; it must be a function of a module."""
    with tempfile.TemporaryDirectory() as folder, _importable_tests():
        context = multiprocessing.spawn(
            _run, (body, count, folder), nprocs=count, join=True, daemon=True
        )
        assert context is None
        return [
            torch.load(Path(folder) / f"{rank}.pt", weights_only=False) for rank in range(count)
        ]


@contextmanager
def _importable_tests() -> Iterator[None]:
    """Let the processes, which get this one's import path, find ``tests.test_...``."""
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    try:
        yield
    finally:
        sys.path.pop(0)


def _run(rank: int, body: Callable[..., Any], count: int, folder: str) -> None:
    torch.set_num_threads(1)
    import_module("torch.distributed.nn.functional")  # before, as ``processes_together`` does
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meet",
        rank=rank,
        world_size=count,
        timeout=timedelta(seconds=SECONDS),
    )
    try:
        torch.save(body(rank), Path(folder) / f"{rank}.pt")
    finally:
        distributed.destroy_process_group()
