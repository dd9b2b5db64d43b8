"""One experiment from its plan to its folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from steadygrad.errors import CheckpointError, HyperparameterError
from steadygrad.experiments import (
    Experiment,
    Measurements,
    Network,
    NetworkStore,
    Scale,
    Workbench,
    distinct,
    missing,
    train_networks,
)
from steadygrad.reports.experiments.result_folder import (
    ExperimentRecord,
    read_measurements,
    write_experiment,
)
from steadygrad.training import Progress

__all__ = ["planned_networks", "result_folder", "run_experiment"]


def planned_networks(
    experiment: Experiment, scale: Scale, seeds: Sequence[int], data_dir: Path | None
) -> tuple[Network, ...]:
    """Return the networks that an experiment needs, each configuration once.

    Raises: HyperparameterError, if there is no seed or one twice.
    """
    if not seeds or len(set(seeds)) != len(seeds):
        raise HyperparameterError(f"expected distinct seeds, at least one, got {list(seeds)}")
    place = None if data_dir is None else str(data_dir)
    return distinct(
        [
            Network(network.label, replace(network.config, data_dir=place))
            for network in experiment.networks(scale, seeds)
        ]
    )


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
    progress: Progress | None = None,
    message: Callable[[str], None] = lambda _: None,
) -> Path | None:
    """Train what is missing, measure, write the results; return their folder.

    store: where trained networks are kept and looked for; jobs: trained at a time.
    only_trained: train nothing, and measure what can be measured with the networks that are there;
        the results name those that are missing.
    keep_measured: what earlier results in ``out`` measured of networks that are not in the store
        counts: these are not trained.
    Returns None, if training was interrupted: the next call goes on where it stopped.
    Raises: CheckpointError, with ``only_trained`` and no network, or if earlier measurements are
        damaged or answer other questions than are asked now; OutputError; what training, loading
        data or measuring raises.
    """
    began = time.perf_counter()
    networks = planned_networks(experiment, scale, seeds, data_dir)
    folder = result_folder(out, experiment, scale)
    earlier = read_measurements(folder) if keep_measured else Measurements()
    wanted = [network for network in networks if not earlier.has(network)]
    if not only_trained and not train_networks(wanted, store, jobs=jobs, progress=progress):
        return None
    lacking = missing(networks, store)
    if not keep_measured:
        _say_what_is_lost(folder, lacking, message)
    taken_over = tuple(network for network in lacking if earlier.has(network))
    untrained = tuple(network for network in lacking if not earlier.has(network))
    measured = tuple(network for network in networks if network not in untrained)
    if networks and not measured:
        raise CheckpointError(f"{store.folder} has none of the networks of {experiment.name}")
    bench = Workbench(
        store=store,
        scale=scale,
        seeds=tuple(seeds),
        data_dir=data_dir,
        device=device,
        progress=message,
        earlier=earlier,
    )
    outcome = experiment.measure(bench)
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
    write_experiment(folder, outcome, record)
    return folder


def _say_what_is_lost(
    folder: Path, lacking: Sequence[Network], message: Callable[[str], None]
) -> None:
    """Warn before results without these networks replace results that know of them."""
    try:
        earlier = read_measurements(folder)
    except CheckpointError:
        return  # nothing to be read there
    lost = [network for network in lacking if earlier.has(network)]
    if lost:
        message(
            f"{folder} has measurements of {len(lost)} networks that are not at hand: these "
            "results will be without them; --keep-measured takes them over"
        )


def _training_seconds(bench: Workbench, network: Network) -> float:
    """Return what a training took, and note it where anything else is noted of the network."""
    if bench.measurements.has(network):
        return bench.training_seconds(network)
    return sum(epoch.seconds for epoch in bench.metrics(network))
