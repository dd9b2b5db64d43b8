"""Training state files: everything that a killed run needs to go on to the same numbers."""

import io
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError

__all__ = ["TrainingState", "read_state", "write_state"]


@dataclass(frozen=True, kw_only=True)
class TrainingState:
    """One moment of a run, between two steps; complete in itself, weights included.

    epochs_done, steps_done: whole epochs, and steps into the next one.
    averaged: of ``AveragedWeights``; empty where nothing is averaged.
    agreement: of a finite difference with the exact gradient on the first batch, if it was taken.
    totals: that next epoch's sums so far; history: the lines of metrics.jsonl.
    generators: states of the run's generators by purpose, torch's global ones included.
    device, train_size, threads: what has to be, or should be, the same on resuming.
    """

    config: dict[str, Any]
    epochs_done: int
    steps_done: int
    totals: dict[str, Any]
    history: list[dict[str, Any]]
    model: dict[str, Tensor]
    optimizer: dict[str, Any]
    objective: dict[str, Any]
    averaged: dict[str, Any]
    agreement: dict[str, float] | None
    generators: dict[str, Tensor]
    device: str
    train_size: int
    threads: int


def write_state(path: Path, state: TrainingState) -> None:
    """Write ``state``; atomic.

    Raises: OutputError, if ``path`` cannot be written; the file there then stands as it was.
    """
    buffer = io.BytesIO()
    torch.save({field.name: getattr(state, field.name) for field in fields(state)}, buffer)
    write_atomically(path, buffer.getvalue())


def read_state(path: Path) -> TrainingState:
    """Return the state in ``path``, its tensors on the CPU.

    Only tensors and plain values are unpickled (``weights_only``): a foreign file runs no code.
    Raises: CheckpointError, if the file is missing, damaged or not a training state.
    """
    if not path.is_file():
        raise CheckpointError(f"no training state at {path}")
    try:
        values = torch.load(path, map_location="cpu", weights_only=True)
        return TrainingState(**values)
    # torch.load documents no closed list of what a damaged file raises.
    except Exception as error:
        raise CheckpointError(f"{path} is damaged or not a training state of steadygrad") from error
