"""The file of an accelerator run: finished measurements, failed ones, and those left out."""

import json
import platform
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, TypeAlias

import torch

from steadygrad.atomic_file import write_atomically

__all__ = ["DeviceLostError", "Measurement", "Record", "RecordError", "Values", "describe_machine"]

Values: TypeAlias = dict[str, Any]
"""What JSON can hold, by name."""

MOST_ATTEMPTS = 2
"""How often a measurement may end the process before it counts as failed."""


class RecordError(Exception):
    """The file cannot be gone on with; the text is one sentence for the user."""


class DeviceLostError(Exception):
    """After a failed measurement the device computes nothing any more; a new process is needed."""


class _TimeIsUpError(BaseException):
    """A measurement took longer than there was time for; nothing in between may handle it."""


@dataclass(frozen=True)
class Measurement:
    """Something to measure.

    key: its name, unique, "section/...".
    seconds: that it is expected to take on a recent GPU; it is left out where less is left.
    run: returns its values.
    """

    key: str
    seconds: float
    run: Callable[[], Values]


class Record:
    """Measurements of one machine, each written to the file as soon as it is finished.

    path: read if it exists: what is finished or has failed there is not measured again.
    machine: from ``describe_machine``; RecordError if the file is of another one.
    minutes: of this call; 0 or more.
    """

    def __init__(self, path: Path, machine: Values, minutes: float) -> None:
        self.path = path
        self.ends_at = time.monotonic() + 60 * minutes
        self.content = read_content(path) if path.exists() else _empty(machine)
        differing = [
            f"{name} {self.content['machine'].get(name)!r} and here {value!r}"
            for name, value in machine.items()
            if self.content["machine"].get(name) != value
        ]
        if differing:
            raise RecordError(
                f"{path} was measured elsewhere ({'; '.join(differing)}): give another --out"
            )
        self.content["left_out"] = {}

    @property
    def seconds_left(self) -> float:
        """Of this call."""
        return self.ends_at - time.monotonic()

    def take(self, measurement: Measurement, device: torch.device) -> str:
        """Measure it, unless the file has it or too little time is left; return what was done.

        An error becomes part of the file and stops nothing else.

        Raises:
            DeviceLostError: if the device answers no more after an error.
        """
        key, content = measurement.key, self.content
        if key in content["finished"] or key in content["failed"]:
            return "is there already"
        attempts = content["attempts"].get(key, 0)
        if attempts >= MOST_ATTEMPTS:
            return self._fail(key, f"the process ended {attempts} times during this measurement")
        if measurement.seconds > self.seconds_left:
            why = f"takes about {measurement.seconds:.0f} s, {max(0, self.seconds_left):.0f} s left"
            content["left_out"][key] = why
            self.write()
            return f"left out: {why}"
        content["attempts"][key] = attempts + 1
        self.write()
        began = time.monotonic()
        try:
            with warnings.catch_warnings(), _at_most(max(1.0, self.seconds_left)):
                warnings.simplefilter("ignore")  # a compiler's would fill the screen
                values = measurement.run()
        except _TimeIsUpError:
            return self._leave_unfinished(key, began)
        except Exception as error:  # whatever a configuration does not support
            if self.seconds_left <= 0:  # a compiler wraps the stop in an error of its own
                return self._leave_unfinished(key, began)
            outcome = self._fail(key, sentence(error))
            _require_answer(device)
            return outcome
        del content["attempts"][key]
        content["finished"][key] = values | {"seconds": round(time.monotonic() - began, 2)}
        self.write()
        return f"{time.monotonic() - began:.1f} s"

    def write(self) -> None:
        """Replace the file."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self.path, (json.dumps(self.content, indent=1) + "\n").encode())

    def _leave_unfinished(self, key: str, began: float) -> str:
        """Note that the time was over: no failure, with more minutes it may be finished."""
        why = f"not finished after {time.monotonic() - began:.0f} s"
        self.content["attempts"].pop(key, None)
        self.content["left_out"][key] = why
        self.write()
        return why

    def _fail(self, key: str, why: str) -> str:
        self.content["failed"][key] = why
        self.content["attempts"].pop(key, None)
        self.write()
        return f"failed: {why}"


def read_content(path: Path) -> Values:
    """Return the content of a record's file.

    Raises:
        RecordError: if it is not one.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        is_record = _empty({}).keys() <= content.keys()
    except (OSError, ValueError, AttributeError) as error:
        raise RecordError(f"cannot read {path} as a file of measurements: {error}") from error
    if not is_record:
        raise RecordError(f"{path} is not a file of accelerator measurements")
    return dict(content)


def describe_machine(device: torch.device, *, is_tiny: bool) -> Values:
    """Return what numbers depend on and a second machine may differ in."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        name, gibibytes = properties.name, round(properties.total_memory / 2**30, 1)
    else:
        name, gibibytes = platform.processor() or platform.machine(), None
    return {
        "device": name,
        "memory_gib": gibibytes,
        "torch": torch.__version__,
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version()  # type: ignore[no-untyped-call] # torch leaves it untyped
        if device.type == "cuda"
        else None,
        "threads": None if device.type == "cuda" else torch.get_num_threads(),
        "is_tiny": is_tiny,
    }


def sentence(error: Exception) -> str:
    """Return an error's kind and text on one line, cut to what a table can hold."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}"[:400]


def _empty(machine: Values) -> Values:
    return {"machine": machine, "finished": {}, "failed": {}, "left_out": {}, "attempts": {}}


def _require_answer(device: torch.device) -> None:
    try:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        torch.zeros(1, device=device).add_(1).item()
    except RuntimeError as error:
        raise DeviceLostError(sentence(error)) from error


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """Raise _TimeIsUpError in the block when the seconds are over, where there are signals."""
    if not hasattr(signal, "SIGALRM"):
        yield
        return

    def stop(_: int, __: FrameType | None) -> None:
        raise _TimeIsUpError

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
