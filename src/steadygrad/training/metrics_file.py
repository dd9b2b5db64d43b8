"""Reading back what a training run measured, line by line."""

import math
from dataclasses import fields
from pathlib import Path

from steadygrad.errors import CheckpointError
from steadygrad.json_file import parse_object, read_text, required
from steadygrad.training.metrics import EpochMetrics

__all__ = ["read_metrics"]


def read_metrics(path: Path) -> tuple[EpochMetrics, ...]:
    """Return the epochs in a metrics.jsonl, none if there is no such file.

    Raises: CheckpointError, if a line is damaged or missing.
    """
    if not path.exists():
        return ()
    names = [field.name for field in fields(EpochMetrics)]
    optional = {field.name for field in fields(EpochMetrics) if field.default is None}
    epochs = []
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        where = f"line {number} of {path}"
        values = parse_object(line, where)
        for name in names:
            if name not in values and name in optional:
                values[name] = None
            elif not (name in optional and values[name] is None):
                kind = int if name in ("epoch", "steps", "images") else float
                values[name] = required(values, name, kind, where)
        epochs.append(EpochMetrics(**{name: values[name] for name in names}))
    if [epoch.epoch for epoch in epochs] != list(range(1, len(epochs) + 1)):
        raise CheckpointError(f"{path} is damaged: expected one line per epoch, counted from 1")
    if any(epoch.seconds < 0 or not math.isfinite(epoch.seconds) for epoch in epochs):
        raise CheckpointError(f"{path} is damaged: expected seconds of at least 0")
    return tuple(epochs)
