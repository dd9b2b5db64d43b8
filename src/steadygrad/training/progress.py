"""How a run shows where it is: a bar on a terminal, lines elsewhere, or nothing."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Protocol, TextIO

from steadygrad.extras import extra
from steadygrad.progress_lines import ProgressLines
from steadygrad.training.metrics import EpochMetrics, StepMetrics

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

__all__ = ["LineProgress", "Progress", "SilentProgress", "TerminalProgress", "console_progress"]


class Progress(Protocol):
    """What the loop reports, in this order; ``finish`` comes also after an error."""

    def start(self, *, epochs: int, steps_per_epoch: int, epoch: int, step: int) -> None:
        """Begin, or go on after ``step`` steps of ``epoch`` (counted from 1)."""

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        """Report that ``step`` steps of ``epoch`` are done; an accelerator does so every few."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Report an epoch; its checkpoint is written."""

    def message(self, text: str) -> None:
        """Tell the user something."""

    def finish(self) -> None:
        """End."""


class SilentProgress:
    """Shows nothing."""

    def start(self, *, epochs: int, steps_per_epoch: int, epoch: int, step: int) -> None:
        """Show nothing."""

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        """Show nothing."""

    def epoch(self, metrics: EpochMetrics) -> None:
        """Show nothing."""

    def message(self, text: str) -> None:
        """Show nothing."""

    def finish(self) -> None:
        """Show nothing."""


class LineProgress(SilentProgress):
    """One line per epoch and message, and now and then one within long epochs; for log files."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream
        self._epochs = self._steps_per_epoch = 0
        self._lines = ProgressLines("training", self.message)

    def start(self, *, epochs: int, steps_per_epoch: int, epoch: int, step: int) -> None:
        """Note how long the training is, and where it goes on."""
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        done = (epoch - 1) * steps_per_epoch + step
        self._lines = ProgressLines("training", self.message, done=done)

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        """Print a line if none was printed for long."""
        done = (epoch - 1) * self._steps_per_epoch + step
        self._lines(done, self._epochs * self._steps_per_epoch, f", loss {latest.data_loss:.3f}")

    def epoch(self, metrics: EpochMetrics) -> None:
        """Print the epoch's line."""
        self.message(_epoch_line(metrics, self._epochs))
        self._lines.heard()

    def message(self, text: str) -> None:
        """Print the line."""
        print(text, file=self._stream or sys.stderr, flush=True)


class TerminalProgress(SilentProgress):
    """A bar over all steps with the latest losses and the time left, and a line per epoch."""

    def __init__(self) -> None:
        with extra("train"):
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                TextColumn,
                TimeElapsedColumn,
                TimeRemainingColumn,
            )
            from rich.progress import Progress as RichProgress

        self._bar: RichProgress = RichProgress(
            TextColumn("epoch {task.fields[epoch]}/{task.fields[epochs]}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[losses]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=Console(stderr=True, emoji=False),
            transient=True,
        )
        self._task = self._bar.add_task("", total=None, epoch=1, epochs="?", losses="")
        self._epochs = self._steps_per_epoch = 0

    def start(self, *, epochs: int, steps_per_epoch: int, epoch: int, step: int) -> None:
        """Show the bar, filled as far as an earlier session came."""
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        done = (epoch - 1) * steps_per_epoch + step
        self._bar.reset(
            self._task,
            total=epochs * steps_per_epoch,
            completed=done,
            epoch=min(epoch, epochs),
            epochs=epochs,
            losses="",
        )
        self._bar.start()

    def step(self, epoch: int, step: int, latest: StepMetrics) -> None:
        """Move the bar."""
        losses = f"loss {latest.data_loss:.3f}"
        if latest.penalty:
            losses += f" + penalty {latest.penalty:.3f}"
        self._bar.update(
            self._task,
            completed=(epoch - 1) * self._steps_per_epoch + step,
            epoch=epoch,
            losses=losses,
        )

    def epoch(self, metrics: EpochMetrics) -> None:
        """Print the epoch's line above the bar."""
        self.message(_epoch_line(metrics, self._epochs))

    def message(self, text: str) -> None:
        """Print a line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def finish(self) -> None:
        """Take the bar away."""
        self._bar.stop()


def console_progress() -> Progress:
    """Return what suits standard error: a bar if it is a terminal, otherwise lines."""
    return TerminalProgress() if sys.stderr.isatty() else LineProgress()


def _epoch_line(metrics: EpochMetrics, epochs: int) -> str:
    parts = [f"epoch {metrics.epoch}/{epochs}", f"loss {metrics.data_loss:.4f}"]
    if metrics.penalty:
        parts.append(f"penalty {metrics.penalty:.4f}")
    parts.append(f"train accuracy {metrics.train_accuracy:.4f}")
    if metrics.validation_accuracy is not None:
        parts.append(f"validation accuracy {metrics.validation_accuracy:.4f}")
    if metrics.test_accuracy is not None:
        parts.append(f"test accuracy {metrics.test_accuracy:.4f}")
    if metrics.update_similarity is not None:
        parts.append(f"update similarity {metrics.update_similarity:.3f}")
    parts.append(f"{metrics.seconds:.1f} s")
    return "  ".join(parts)
