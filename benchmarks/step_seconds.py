"""Measure one optimizer step of every network that an experiment trains, for the plans' minutes.

Processor seconds on one thread, the median of a few steps on random images, one network after the
other: what a step costs does not depend on what the images show.

Run: python benchmarks/step_seconds.py [--steps 5] [--anew]
It writes src/steadygrad/experiments/step_seconds.json, and keeps what the file has from the same
processor and version of torch.
"""

import argparse
import json
import platform
import statistics
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import torch
from rich.console import Console

from steadygrad.atomic_file import write_atomically
from steadygrad.datasets import ImageDataset, dataset_entry
from steadygrad.experiments import experiment_by_name, experiment_names, scale_by_name
from steadygrad.experiments.training_cost import objective_name
from steadygrad.experiments.yeats2021.recipes import RECIPES, Kind, Recipe
from steadygrad.experiments.yeats2021.step_times import step_seconds_in_turn
from steadygrad.json_file import read_object
from steadygrad.memory import keep_freed_memory
from steadygrad.training import TrainingConfig
from steadygrad.training.session import TrainingSession

TARGET = Path(__file__).parents[1] / "src/steadygrad/experiments/step_seconds.json"
BETA = 64
"""Of the penalties: a strength changes no cost."""


def main() -> None:
    """Measure every kind of step once and write the file."""
    arguments = _arguments()
    keep_freed_memory()
    console = Console()
    origin = {"processor": _processor(), "torch": torch.__version__, "threads": 1}
    seconds = {} if arguments.anew else _kept(origin)
    for config in _configurations():
        network = f"{config.model}, batch {config.batch_size}"
        of_network, objective = seconds.setdefault(network, {}), objective_name(config)
        if objective not in of_network:
            of_network[objective] = round(_seconds_of_step(config, arguments.steps), 5)
            console.print(f"{network}, {objective}: {of_network[objective]} s")
    record = {
        "measured": datetime.now(UTC).date().isoformat(),
        **origin,
        "seconds": {name: dict(sorted(found.items())) for name, found in sorted(seconds.items())},
    }
    write_atomically(TARGET, (json.dumps(record, indent=2) + "\n").encode())


def _kept(origin: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """Return the seconds of the file, if it is of this origin."""
    if not TARGET.is_file():
        return {}
    record = read_object(TARGET)
    is_same = all(record.get(name) == value for name, value in origin.items())
    seconds: dict[str, dict[str, float]] = record["seconds"] if is_same else {}
    return seconds


def _configurations() -> Iterable[TrainingConfig]:
    """Yield what the experiments train, and what their recipes might."""
    for name in experiment_names():
        for network in experiment_by_name(name).networks(scale_by_name("paper"), (0,)):
            yield network.config
    for recipe in RECIPES.values():
        yield from _of_recipe(recipe)


def _of_recipe(recipe: Recipe) -> Iterable[TrainingConfig]:
    kinds: tuple[Kind, ...] = get_args(Kind)
    for kind in kinds:
        if kind in recipe.models:
            yield recipe.plain(kind, seed=0).config
            yield recipe.penalised_network(kind, BETA, seed=0).config
            if kind == "complex":
                frozen = recipe.penalised_network(kind, BETA, seed=0, second_order="frozen_phase")
                yield frozen.config
            else:
                yield recipe.pgd_trained(kind, seed=0).config


def _seconds_of_step(config: TrainingConfig, steps: int) -> float:
    entry = dataset_entry(config.dataset)
    images = torch.rand(config.batch_size, *entry.input_shape)
    labels = torch.randint(entry.num_classes, (config.batch_size,))
    data = ImageDataset(config.dataset, "train", images, labels, entry.class_names)
    session = TrainingSession(config, data, torch.device("cpu"))
    (seconds,) = step_seconds_in_turn([session], steps)
    return statistics.median(seconds)


def _processor() -> str:
    """Return the processor's name as Linux knows it, elsewhere as Python does."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--steps", type=int, default=5, help="steps of each network (default 5)")
    parser.add_argument("--anew", action="store_true", help="measure all, keep nothing")
    return parser.parse_args()


if __name__ == "__main__":
    main()
