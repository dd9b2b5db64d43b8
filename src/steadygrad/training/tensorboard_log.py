"""TensorBoard event files of a run."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from steadygrad.errors import OutputError
from steadygrad.extras import extra
from steadygrad.training.metrics import EpochMetrics

__all__ = ["TensorBoardLog"]


class TensorBoardLog:
    """Scalars per epoch, under the names of ``EpochMetrics``.

    Raises: OutputError, if an event file cannot be written.

    The folder is written anew from ``history``, so that a resumed run's curves have neither gaps
    nor epochs that were lost.
    """

    def __init__(self, folder: Path, history: Sequence[EpochMetrics]) -> None:
        # Imported here: it takes a second, and reading configurations or models needs none of it.
        with extra("train"):
            from torch.utils.tensorboard import SummaryWriter

        self._folder = folder
        with self._named_errors():
            if folder.is_dir():
                shutil.rmtree(folder)
            self._writer: Any = SummaryWriter(log_dir=str(folder))
            for metrics in history:
                self._add(metrics)
            self._writer.flush()

    def write(self, metrics: EpochMetrics) -> None:
        """Add an epoch."""
        with self._named_errors():
            self._add(metrics)
            self._writer.flush()

    def close(self) -> None:
        """Close the event file."""
        with self._named_errors():
            self._writer.close()

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            reason = error.strerror or error
            raise OutputError(f"cannot write {self._folder}: {reason}") from error

    def _add(self, metrics: EpochMetrics) -> None:
        for name, value in metrics.to_dict().items():
            if name != "epoch" and value is not None:
                self._writer.add_scalar(name, value, metrics.epoch)
