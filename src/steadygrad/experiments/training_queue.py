"""Training the networks that an experiment lacks, several side by side if asked."""

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from datetime import timedelta
from pathlib import Path

import torch

from steadygrad.distributed import agree_on, alone, any_rank
from steadygrad.errors import HyperparameterError
from steadygrad.experiments.network import Network
from steadygrad.experiments.network_store import NetworkStore
from steadygrad.experiments.training_cost import estimated_seconds
from steadygrad.time_budget import TimeBudget
from steadygrad.training import LineProgress, Progress, SilentProgress
from steadygrad.training.process_group import device_of_process, processes_together

__all__ = ["distinct", "missing", "train_networks", "train_networks_in_processes"]

_PATIENCE = timedelta(days=30)
"""How long a process waits for the others, which may have more to train; not for one that ended."""


def distinct(networks: Sequence[Network]) -> tuple[Network, ...]:
    """Return each configuration once, under the first label it has."""
    first: dict[str, Network] = {}
    for network in networks:
        first.setdefault(network.digest, network)
    return tuple(first.values())


def missing(networks: Sequence[Network], store: NetworkStore) -> tuple[Network, ...]:
    """Return those that are not trained to the end yet, each once."""
    return tuple(network for network in distinct(networks) if not store.has(network))


def train_networks(
    networks: Sequence[Network],
    store: NetworkStore,
    *,
    jobs: int = 1,
    progress: Progress | None = None,
    budget: TimeBudget | None = None,
) -> bool:
    """Train every network that the store lacks; return False if that was interrupted.

    jobs: processes at a time, which share the machine's cores; with one, ``progress`` follows the
        training, with more, each prints a line per epoch to standard error.
    budget: with a limit, those come first that are expected to take the shortest time, and when it
        is spent, the trainings in progress are interrupted.
    A killed or interrupted training goes on where it was with the next call.
    Raises: HyperparameterError, for jobs below 1; what ``steadygrad.training.train`` raises: the
        networks that remain are trained first, then the first error is raised.
    """
    if jobs < 1:
        raise HyperparameterError(f"expected jobs >= 1, got {jobs}")
    lacking, budget = missing(networks, store), budget or TimeBudget()
    if budget.minutes is not None:
        lacking = _shortest_first(lacking)
    if jobs == 1 or len(lacking) < 2:
        return _one_by_one(lacking, store, progress or SilentProgress(), budget)
    return _side_by_side(lacking, store, min(jobs, len(lacking)), budget)


def train_networks_in_processes(
    networks: Sequence[Network],
    store: NetworkStore,
    *,
    progress: Progress | None = None,
    budget: TimeBudget | None = None,
) -> bool:
    """Train what the store lacks, a part in each process of a launcher, and wait for all parts.

    Every network is trained by one process alone, on a GPU of its own where there are several:
    numbers are those of ``train_networks``.

    Args:
        networks: the same in every process.
        store: a folder that all processes reach.
        progress: of the main process.
        budget: as for ``train_networks``, of each process.

    Returns:
        In every process, False if any was interrupted.

    Raises:
        ProcessError: another process failed or was ended; what ``train_networks`` raises.
    """
    device_of_process("auto")  # chooses this process's GPU, for networks of device "auto"
    with processes_together(torch.device("cpu"), _PATIENCE) as ranks:
        lacking = agree_on(missing(networks, store))
        with alone():
            is_finished = train_networks(
                lacking[ranks.rank :: ranks.count], store, progress=progress, budget=budget
            )
        (stopped,) = any_rank(not is_finished)
    return not stopped


def _shortest_first(networks: Sequence[Network]) -> tuple[Network, ...]:
    """Return the networks by their expected seconds; those of unknown ones come last."""
    seconds = {network.digest: estimated_seconds(network.config) for network in networks}
    return tuple(sorted(networks, key=lambda n: (seconds[n.digest] is None, seconds[n.digest])))


def _one_by_one(
    lacking: Sequence[Network], store: NetworkStore, progress: Progress, budget: TimeBudget
) -> bool:
    failure: Exception | None = None
    for number, network in enumerate(lacking, start=1):
        if budget.is_spent():
            return False
        progress.message(f"network {number} of {len(lacking)}: {network.label}")
        try:
            if not store.train(network, progress, budget.minutes_left):
                return False
        except (RuntimeError, ValueError) as error:
            progress.message(f"{network.label}: {error}")
            failure = failure or error
    if failure is not None:
        raise failure
    return True


def _side_by_side(
    lacking: Sequence[Network], store: NetworkStore, jobs: int, budget: TimeBudget
) -> bool:
    threads = max(1, (os.cpu_count() or 1) // jobs)
    context = multiprocessing.get_context("spawn")
    failure: BaseException | None = None
    is_finished = True
    left = budget.minutes_left
    end = None if left is None else time.time() + 60 * left  # by a clock that processes share
    with ProcessPoolExecutor(jobs, mp_context=context) as pool:
        waiting = {
            pool.submit(_train_alone, store.folder, network, threads, end): network
            for network in lacking
        }
        try:
            for done in as_completed(waiting):
                error = done.exception()
                if error is not None:
                    print(f"{waiting[done].label}: {error}", file=sys.stderr, flush=True)
                    failure = failure or error
                else:
                    is_finished &= done.result()
        except KeyboardInterrupt:
            # The workers got the signal too: each writes its checkpoint and ends.
            pool.shutdown(cancel_futures=True)
            return False
    if failure is not None:
        raise failure
    return is_finished


def _train_alone(folder: Path, network: Network, threads: int, end: float | None) -> bool:
    minutes = None if end is None else (end - time.time()) / 60
    if minutes is not None and minutes <= 0:
        return False
    torch.set_num_threads(threads)
    return NetworkStore(folder).train(network, _LabelledLines(network.label), minutes)


class _LabelledLines(LineProgress):
    """Lines that say whose epoch they report."""

    def __init__(self, label: str) -> None:
        super().__init__()
        self._label = label

    def message(self, text: str) -> None:
        super().message(f"{self._label}: {text}")
