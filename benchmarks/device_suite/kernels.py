"""What the device does in one step: how many kernels, for how long, and which take the time."""

import math
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import torch
from torch._C._autograd import DeviceType
from torch.profiler import ProfilerActivity, profile

from device_suite.record import Measurement, Values
from device_suite.steps import EXACT, PLAIN, Configuration, Subject, step_contestants, subjects
from device_suite.timing import Contestant, synchronise

__all__ = ["kernel_measurements", "measure_kernels"]

STEPS = 5
"""Profiled after two that are not."""

SHOWN = 12
"""Kernels listed, by the time they take."""


def kernel_measurements(device: torch.device, *, is_tiny: bool) -> Iterator[Measurement]:
    """Yield one measurement for each network of the first paper; the CPU has no kernels."""
    if device.type != "cuda":
        return
    for subject in subjects(is_tiny=is_tiny):
        if subject.is_complex:
            yield Measurement(
                f"kernels/{subject.name}", 6.0, partial(measure_kernels, subject, device)
            )


def measure_kernels(subject: Subject, device: torch.device) -> Values:
    """Return kernels and their milliseconds in a plain and a penalised step."""
    values: Values = {}
    with step_contestants(subject, Configuration(), device) as (steps, _):
        for name in (PLAIN, EXACT):
            values[name] = _profiled(steps[name], device)
    return values


def _profiled(step: Contestant, device: torch.device) -> Values:
    for _ in range(2):
        step()
    synchronise(device)
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
        for _ in range(STEPS):
            step()
        synchronise(device)
    kernels = [event for event in profiler.key_averages() if event.device_type == DeviceType.CUDA]
    kernels.sort(key=lambda event: -event.self_device_time_total)
    return {
        "kernels": sum(event.count for event in kernels) / STEPS,
        "device_milliseconds": _milliseconds(kernels),
        "longest": {
            event.key[:100]: [event.count / STEPS, _milliseconds([event])]
            for event in kernels[:SHOWN]
        },
    }


def _milliseconds(events: Sequence[Any]) -> float:
    microseconds = math.fsum(event.self_device_time_total for event in events)
    return round(microseconds / STEPS / 1e3, 4)
