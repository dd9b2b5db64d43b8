"""One experiment from its plan to its folder."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from steadygrad.errors import CheckpointError, HyperparameterError
from steadygrad.experiments import (
    Experiment,
    Network,
    NetworkStore,
    Scale,
    Workbench,
    distinct,
    missing,
    train_networks,
)
from steadygrad.reports.experiments.result_folder import ExperimentRecord, write_experiment
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
    device: str = "cpu",
    progress: Progress | None = None,
    message: Callable[[str], None] = lambda _: None,
) -> Path | None:
    """Train what is missing, measure, write the results; return their folder.

    store: where trained networks are kept and looked for; jobs: trained at a time.
    only_trained: train nothing, and measure what can be measured with the networks that are there;
        the results name those that are missing.
    Returns None, if training was interrupted: the next call goes on where it stopped.
    Raises: CheckpointError, with ``only_trained`` and no network; OutputError; what training,
        loading data or measuring raises.
    """
    began = time.perf_counter()
    networks = planned_networks(experiment, scale, seeds, data_dir)
    if not only_trained and not train_networks(networks, store, jobs=jobs, progress=progress):
        return None
    untrained = missing(networks, store)
    trained = tuple(network for network in networks if network not in untrained)
    if networks and not trained:
        raise CheckpointError(f"{store.folder} has none of the networks of {experiment.name}")
    bench = Workbench(
        store=store,
        scale=scale,
        seeds=tuple(seeds),
        data_dir=data_dir,
        device=device,
        progress=message,
    )
    outcome = experiment.measure(bench)
    folder = result_folder(out, experiment, scale)
    record = ExperimentRecord(
        name=experiment.name,
        title=experiment.title,
        scale=scale.name,
        seeds=tuple(seeds),
        networks=trained,
        untrained=untrained,
        seconds=time.perf_counter() - began,
        training_seconds=sum(
            epoch.seconds for network in trained for epoch in store.metrics(network)
        ),
    )
    write_experiment(folder, outcome, record)
    return folder
