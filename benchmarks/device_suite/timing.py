"""Times and memory of several contestants on one device, taken in turns."""

import gc
import statistics
import time
from collections.abc import Callable, Mapping

import torch

from device_suite.record import Values, sentence

__all__ = ["Contestant", "compare_in_turn", "synchronise"]

Contestant = Callable[[], object]

LEAST_SAMPLE_SECONDS = 0.02
"""A sample repeats a short step until it takes so long: one launch more or less is then noise."""

MOST_ROUNDS, FEWEST_ROUNDS = 15, 3


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what was asked of it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def compare_in_turn(
    contestants: Mapping[str, Contestant], device: torch.device, *, seconds: float, warm_up: int = 2
) -> Values:
    """Return each contestant's median milliseconds, spread and peak memory, or why it failed.

    Every contestant runs once a round, in changing order, so that a device of changing speed slows
    all of them alike. One that fails is left out of the rounds.

    Args:
        contestants: by name; each call does the same work.
        device: where they work.
        seconds: that the rounds may take together; at least three rounds are made.
        warm_up: calls before anything is measured.
    """
    values: dict[str, Values] = {}
    repeats: dict[str, int] = {}
    for name, contestant in contestants.items():
        try:
            repeats[name], values[name] = _warm(contestant, device, warm_up)
        except Exception as error:  # a configuration that is not supported, or out of memory
            values[name] = {"error": sentence(error)}
        _collect(device)
    samples: dict[str, list[float]] = {name: [] for name in repeats}
    began = time.monotonic()
    for index in range(MOST_ROUNDS):
        names = list(repeats)
        for name in names if index % 2 else reversed(names):
            samples[name].append(_sample(contestants[name], device, repeats[name]))
        elapsed = time.monotonic() - began
        if index + 1 >= FEWEST_ROUNDS and elapsed * (index + 2) / (index + 1) > seconds:
            break
    for name, taken in samples.items():
        middle = statistics.median(taken)
        quartiles = statistics.quantiles(taken, n=4)
        values[name]["milliseconds"] = round(1e3 * middle, 4)
        values[name]["spread"] = round((quartiles[2] - quartiles[0]) / middle, 3)
        values[name]["rounds"] = len(taken)
    return {name: values[name] for name in contestants}


def _warm(contestant: Contestant, device: torch.device, calls: int) -> tuple[int, Values]:
    """Return how often a sample repeats the contestant, and the memory of a call."""
    for _ in range(calls):
        contestant()
    values: Values = {}
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        resting = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        contestant()
        torch.cuda.synchronize(device)
        peak = torch.cuda.max_memory_allocated(device)
        values["peak_mib"] = round(peak / 2**20, 1)
        values["added_mib"] = round((peak - resting) / 2**20, 1)
    once = _sample(contestant, device, 1)
    return max(1, min(50, round(LEAST_SAMPLE_SECONDS / max(once, 1e-6)))), values


def _sample(contestant: Contestant, device: torch.device, repeats: int) -> float:
    """Return the seconds of one call, from ``repeats`` of them queued in a row."""
    if device.type == "cuda":
        start = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call] # torch leaves it untyped
        end = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call] # the same
        torch.cuda.synchronize(device)
        start.record()
        for _ in range(repeats):
            contestant()
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end)) / 1e3 / repeats
    began = time.perf_counter()
    for _ in range(repeats):
        contestant()
    return (time.perf_counter() - began) / repeats


def _collect(device: torch.device) -> None:
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
