"""Experiment trackers: where the metrics of each epoch go besides the run folder."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from steadygrad.atomic_file import write_atomically
from steadygrad.error_text import reason
from steadygrad.errors import OutputError
from steadygrad.json_file import read_object, required
from steadygrad.parts import Family
from steadygrad.training.metrics import EpochMetrics

__all__ = ["TRACKERS", "OpenTracker", "TrackedRun", "Tracker", "Tracking", "tracker"]

C = TypeVar("C", bound=type[Any])


@dataclass(frozen=True, kw_only=True)
class TrackedRun:
    """What a tracker is told of a run when it begins or goes on.

    name: its folder, as the user gave it.
    settings: the configuration, nested parts under dotted keys (``penalty.eps``).
    key: what the tracker called the run when it began; None for one that begins now.
    """

    name: str
    settings: Mapping[str, Any]
    key: str | None


class OpenTracker(Protocol):
    """A run in a tracker, while metrics are added to it."""

    @property
    def key(self) -> str:
        """By which the tracker finds the run again."""

    def write(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Add the metrics of an epoch, counted from 1; any exception says that it failed."""
        ...

    def close(self, *, is_finished: bool) -> None:
        """End the run, or let it rest where it was interrupted."""
        ...


class Tracker(Protocol):
    """Where metrics go, as a part of the configuration."""

    def check(self) -> None:
        """Refuse what cannot work, before the training.

        Raises: MissingExtraError, if the tracker's library is not installed.
        """
        ...

    def open(self, run: TrackedRun) -> OpenTracker:
        """Begin a run, or go on with the one of ``run.key``; any exception says that it failed."""
        ...


TRACKERS: Family[Tracker] = Family("tracker", "steadygrad.training", group="steadygrad.trackers")
"""Every registered tracker."""


def tracker(name: str) -> Callable[[C], C]:
    """Return a class decorator that registers a ``Tracker`` under ``name``."""
    return TRACKERS.register(name)


class Tracking:
    """The trackers of a run, and which epochs each has.

    An epoch that a tracker does not take is told of and offered again after the next one: the run
    goes on, since its folder holds everything.
    """

    def __init__(self, file: Path, notify: Callable[[str], None]) -> None:
        """Begin with no tracker.

        Args:
            file: keeps what a resumed run needs to know.
            notify: is told in a sentence what a tracker did not take.
        """
        self._file, self._notify = file, notify
        self._open: dict[str, OpenTracker] = {}
        self._written: dict[str, int] = {}

    def open(
        self,
        trackers: Sequence[Tracker],
        name: str,
        settings: Mapping[str, Any],
        *,
        is_resumed: bool,
    ) -> None:
        """Begin the run in each tracker, or go on there.

        Args:
            trackers: of the configuration.
            name: of the run.
            settings: of the run, as ``TrainingConfig.to_dict`` gives them.
            is_resumed: go on with what ``file`` knows.

        Raises:
            OutputError: a tracker does not begin.
            CheckpointError: ``file`` is damaged.
        """
        known = read_object(self._file) if is_resumed and self._file.exists() else {}
        flat = flattened(settings)
        for each in trackers:
            text = TRACKERS.text(each)
            key, written = None, 0
            if text in known:
                where = f"{self._file}, {text}"
                record = required(known, text, dict, str(self._file))
                key, written = required(record, "key", str, where), record.get("epochs", 0)
            try:
                opened = each.open(TrackedRun(name=name, settings=flat, key=key))
                key = opened.key
            except Exception as error:  # whatever a library raises, of a network or an account
                raise OutputError(f"the tracker {text} does not begin: {reason(error)}") from error
            if not isinstance(key, str):  # the run could not go on with it
                raise OutputError(
                    f"the tracker {text} does not begin: expected a text as the run's key, got "
                    f"{key!r}"
                )
            self._open[text] = opened
            self._written[text] = written

    def write(self, history: Sequence[EpochMetrics]) -> None:
        """Give every tracker the epochs that it does not have yet.

        Raises: OutputError, if ``file`` cannot be written.
        """
        if not self._open:
            return
        for text, opened in self._open.items():
            try:
                for metrics in history[self._written[text] :]:
                    values = metrics.to_dict()
                    epoch = values.pop("epoch")
                    opened.write(epoch, {k: v for k, v in values.items() if v is not None})
                    self._written[text] = epoch
            except Exception as error:
                self._notify(
                    f"the tracker {text} did not take epoch {self._written[text] + 1}, which is "
                    f"offered again after the next: {reason(error)}"
                )
        records = {
            text: {"key": opened.key, "epochs": self._written[text]}
            for text, opened in self._open.items()
        }
        write_atomically(self._file, (json.dumps(records, indent=1) + "\n").encode())

    def close(self, *, is_finished: bool) -> None:
        """End the run in each tracker, or let it rest there."""
        for text, opened in self._open.items():
            try:
                opened.close(is_finished=is_finished)
            except Exception as error:
                self._notify(f"the tracker {text} was not closed: {reason(error)}")
        self._open.clear()


def flattened(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted keys; lists become texts."""
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= flattened(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = json.dumps(value) if isinstance(value, list) else value
    return flat
