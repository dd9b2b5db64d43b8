"""Timing several contestants in turn, so that a busy machine slows all of them alike."""

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

__all__ = ["Timing", "measure_in_turn", "ratio_cells"]


@dataclass(frozen=True)
class Timing:
    """Medians over the rounds. Processor seconds count all threads and no waiting."""

    processor_seconds: float
    wall_seconds: float
    spread: float
    """Interquartile range of the processor seconds over their median."""


def measure_in_turn(
    contestants: Mapping[str, Callable[[], object]], rounds: int, warm_up: int = 3
) -> dict[str, Timing]:
    """Run every contestant once a round, in changing order, and return its medians."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for index in range(-warm_up, rounds):
        names = list(contestants)
        for name in names if index % 2 else reversed(names):
            wall, processor = time.perf_counter(), time.process_time()
            contestants[name]()
            processor, wall = time.process_time() - processor, time.perf_counter() - wall
            if index >= 0:
                seconds[name].append((processor, wall))
    return {name: _timing(measured) for name, measured in seconds.items()}


def ratio_cells(ours: Timing, theirs: Timing) -> tuple[str, str, str, str]:
    """Return processor milliseconds of both, ours over theirs, and the larger spread."""
    return (
        f"{1e3 * ours.processor_seconds:.1f}",
        f"{1e3 * theirs.processor_seconds:.1f}",
        f"{ours.processor_seconds / theirs.processor_seconds:.2f}",
        f"{max(ours.spread, theirs.spread):.0%}",
    )


def _timing(measured: list[tuple[float, float]]) -> Timing:
    processor, wall = zip(*measured, strict=True)
    middle = statistics.median(processor)
    quartiles = statistics.quantiles(processor, n=4) if len(processor) > 1 else [middle] * 3
    return Timing(middle, statistics.median(wall), (quartiles[2] - quartiles[0]) / middle)
