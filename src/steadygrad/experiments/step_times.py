"""What one optimizer step costs, of several networks measured in turn."""

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from steadygrad._typing import Images, Labels
from steadygrad.datasets import ImageDataset, batches
from steadygrad.experiments.network import Network
from steadygrad.training.session import TrainingSession

__all__ = ["WARM_UP", "StepTimes", "median_interval", "step_seconds_in_turn"]

WARM_UP = 2
"""Steps that are not counted, in which caches fill and memory is allocated."""


@dataclass(frozen=True)
class StepTimes:
    """Seconds of a network's steps, round by round."""

    network: Network
    seconds: tuple[float, ...]

    @property
    def milliseconds(self) -> float:
        """The median."""
        return 1000 * statistics.median(self.seconds)

    def ratios(self, reference: "StepTimes") -> tuple[float, ...]:
        """Return each round's seconds over those of the reference in the same round."""
        pairs = zip(self.seconds, reference.seconds, strict=True)
        return tuple(own / other for own, other in pairs)


def step_seconds_in_turn(
    sessions: Sequence[TrainingSession], rounds: int
) -> list[tuple[float, ...]]:
    """Return the seconds of ``rounds`` steps of every session, all of one device.

    In each round every session takes a step on the same batch of the first one's data, in changing
    order. On the CPU processor seconds on one thread, elsewhere wall time until the device is done.
    """
    device = sessions[0].device
    train = sessions[0].train
    assert isinstance(train, ImageDataset)  # experiments train on named sets, whole in memory
    own = list(batches(train, sessions[0].config.batch_size, shuffle_seed=None))
    seconds: list[list[float]] = [[] for _ in sessions]
    threads = torch.get_num_threads()
    if device.type == "cpu":
        torch.set_num_threads(1)
    try:
        for index in range(-WARM_UP, rounds):
            images, labels = own[index % len(own)]
            places = range(len(sessions))
            for place in places if index % 2 else reversed(places):
                taken = _seconds(sessions[place], images, labels)
                if index >= 0:
                    seconds[place].append(taken)
    finally:
        torch.set_num_threads(threads)
    return [tuple(taken) for taken in seconds]


def median_interval(values: Sequence[float]) -> tuple[float, float]:
    """Return a 95 % interval for the median, between two of the values; below 6 values all.

    By ranks (the sign test), in the normal approximation: nothing is assumed of the values.
    """
    ordered, n = sorted(values), len(values)
    below = max(0, math.floor((n - 1.96 * math.sqrt(n)) / 2))
    return ordered[below], ordered[n - 1 - below]


def _seconds(session: TrainingSession, images: Images, labels: Labels) -> float:
    if session.device.type == "cpu":
        began = time.process_time()
        session.step(images, labels)
        return time.process_time() - began
    torch.accelerator.synchronize(session.device)
    began = time.perf_counter()
    session.step(images, labels)
    torch.accelerator.synchronize(session.device)
    return time.perf_counter() - began
