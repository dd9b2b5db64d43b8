"""One experiment from its plan to its outcome: train what is missing, then measure."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from steadygrad.datasets import data_source
from steadygrad.devices import resolve_device
from steadygrad.errors import CheckpointError, HyperparameterError
from steadygrad.experiments.experiment import Experiment, ExperimentOutcome
from steadygrad.experiments.measurements import Measurements
from steadygrad.experiments.network import Network
from steadygrad.experiments.network_store import NetworkStore
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.training_queue import distinct, missing, train_networks
from steadygrad.experiments.workbench import Workbench
from steadygrad.time_budget import TimeBudget
from steadygrad.training import Progress, TrainingConfig, decisive_settings
from steadygrad.versions import library_versions

__all__ = ["ExperimentRecord", "planned_networks", "result_folder", "run_experiment"]


@dataclass(frozen=True, kw_only=True)
class ExperimentRecord:
    """What was run: beside the results, everything needed to run it again.

    Args:
        name: of the experiment.
        title: what it shows.
        scale: its name.
        seeds: asked for; an experiment may need further ones.
        networks: that were measured.
        untrained: that were not measured, because they are not trained.
        taken_over: of ``networks``, those whose measurements are of an earlier run.
        measurements: what was found of each network, for a later run without it.
        seconds: wall time of this call.
        training_seconds: of every network together, whenever it was trained.
    """

    name: str
    title: str
    scale: str
    seeds: tuple[int, ...]
    networks: tuple[Network, ...]
    untrained: tuple[Network, ...] = ()
    taken_over: tuple[Network, ...] = ()
    measurements: Measurements = field(default_factory=Measurements)
    seconds: float
    training_seconds: float

    @property
    def seeds_measured(self) -> tuple[int, ...]:
        """Seeds of the networks that were measured; without networks, those asked for."""
        return tuple(sorted({n.config.seed for n in self.networks})) or self.seeds

    def to_json(self) -> dict[str, Any]:
        """Return plain values, with versions and date."""
        return {
            "experiment": self.name,
            "title": self.title,
            "scale": self.scale,
            "seeds": list(self.seeds),
            "seconds": self.seconds,
            "training_seconds": self.training_seconds,
            "networks": [
                {"label": n.label, "digest": n.digest, "configuration": decisive_settings(n.config)}
                for n in self.networks
            ],
            "untrained": [
                {"label": n.label, "digest": n.digest, "seed": n.config.seed}
                for n in self.untrained
            ],
            "taken_over": [n.digest for n in self.taken_over],
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "versions": library_versions(),
        }


def planned_networks(
    experiment: Experiment, scale: Scale, seeds: Sequence[int], data_dir: Path | None
) -> tuple[Network, ...]:
    """Return the networks that an experiment needs, each configuration once.

    Raises:
        HyperparameterError: there is no seed or one twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise HyperparameterError(f"expected distinct seeds, at least one, got {list(seeds)}")
    return distinct(
        [
            replace(network, config=_at(network.config, data_dir))
            for network in experiment.networks(scale, seeds)
        ]
    )


def _at(config: TrainingConfig, data_dir: Path | None) -> TrainingConfig:
    """Return a configuration whose data lie in a folder of local copies, if there is one."""
    return replace(config, data=data_source(config.data, data_dir))


def result_folder(out: Path, experiment: Experiment, scale: Scale) -> Path:
    """Return where the results of an experiment at a scale lie: ``out/NAME/SCALE``."""
    return out / experiment.name / scale.name


def run_experiment(
    experiment: Experiment,
    *,
    scale: Scale,
    seeds: Sequence[int],
    store: NetworkStore,
    out: Path,
    data_dir: Path | None = None,
    jobs: int = 1,
    only_trained: bool = False,
    keep_measured: bool = False,
    device: str = "cpu",
    minutes: float | None = None,
    progress: Progress | None = None,
    message: Callable[[str], None] = lambda _: None,
) -> tuple[ExperimentOutcome, ExperimentRecord] | None:
    """Train what is missing and measure; ``steadygrad.reports`` writes what is returned.

    Args:
        experiment: what to run.
        scale: how much of it.
        seeds: distinct, at least one.
        store: where trained networks are kept and looked for.
        out: where earlier results lie, see ``result_folder``; nothing is written there.
        data_dir: local copies of the data, None for the hub.
        jobs: networks trained at a time.
        only_trained: train nothing, and measure what can be measured with the networks that are
            there; the record names those that are missing.
        keep_measured: what earlier results in ``out`` measured of networks that are not in the
            store counts: these are not trained. What they measured of networks that are not asked
            for, such as those of other seeds, is kept.
        device: of the attacks; "auto" is CUDA if there is one.
        minutes: that training may take: then what is trained is measured.
        progress: follows the training.
        message: is called with each line for people.

    Returns:
        What was found and what was run; None, if training was interrupted, or its time over before
        any network was trained: the next call goes on where it stopped.

    Raises:
        CheckpointError: with ``only_trained`` there is no network, or earlier measurements are
            damaged or answer other questions than are asked now.
        HyperparameterError: there is no such device.
        OutputError: the networks' folder cannot be written.
    """
    began, budget = time.perf_counter(), TimeBudget(minutes)
    attacked_on = str(resolve_device(device))
    networks = planned_networks(experiment, scale, seeds, data_dir)
    folder = result_folder(out, experiment, scale)
    earlier = Measurements.of_results(folder) if keep_measured else Measurements()
    wanted = [network for network in networks if not earlier.has(network)]
    if not only_trained and not train_networks(
        wanted, store, jobs=jobs, progress=progress, budget=budget
    ):
        if not budget.is_spent():
            return None
        message("the time for training is over; the same command goes on with it")
    lacking = missing(networks, store)
    taken_over = tuple(network for network in lacking if earlier.has(network))
    untrained = tuple(network for network in lacking if not earlier.has(network))
    measured = tuple(network for network in networks if network not in untrained)
    if networks and not measured:
        if budget.is_spent():
            return None
        raise CheckpointError(f"{store.folder} has none of the networks of {experiment.name}")
    if not keep_measured:
        _say_what_is_lost(folder, measured, message)
    bench = Workbench(
        store=store,
        scale=scale,
        seeds=tuple(seeds),
        data_dir=data_dir,
        device=attacked_on,
        progress=message,
        earlier=earlier,
    )
    outcome = experiment.measure(bench)
    bench.measurements.keep_beside(networks, earlier)
    record = ExperimentRecord(
        name=experiment.name,
        title=experiment.title,
        scale=scale.name,
        seeds=tuple(seeds),
        networks=measured,
        untrained=untrained,
        taken_over=taken_over,
        measurements=bench.measurements,
        seconds=time.perf_counter() - began,
        training_seconds=sum(_training_seconds(bench, network) for network in measured),
    )
    return outcome, record


def _say_what_is_lost(
    folder: Path, measured: Sequence[Network], message: Callable[[str], None]
) -> None:
    """Warn before results of these networks replace results that know of others."""
    try:
        earlier = Measurements.of_results(folder)
    except CheckpointError:
        return  # nothing to be read there
    lost = earlier.count_beside(measured)
    if lost:
        message(
            f"{folder} has measurements of {lost} networks that are not available here, or of "
            "other seeds: these results will be without them; --keep-measured keeps them"
        )


def _training_seconds(bench: Workbench, network: Network) -> float:
    """Return what a training took, and note it where anything else is noted of the network."""
    if bench.measurements.has(network):
        return bench.training_seconds(network)
    return sum(epoch.seconds for epoch in bench.metrics(network))
