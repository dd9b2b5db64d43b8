"""Measure one optimizer step of every network that an experiment trains, for minutes of training.

Processor seconds on one thread, the median of a few rounds in which every network takes a step in
turn, so that a machine of changing speed slows all of them alike. On random images: what a step
costs does not depend on what they show.

Run: python benchmarks/step_seconds.py [--rounds 9] [--missing]
It writes src/steadygrad/experiments/step_seconds.json; where ratios change, tests ask for new
epochs of the attack training of equal time. With ``--missing`` it adds the steps that the file
lacks and leaves the others: measured beside some of those, and scaled to their seconds.
"""

import argparse
import json
import platform
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, get_args

import torch
from interleaved import measure_in_turn
from rich.console import Console

from steadygrad.atomic_file import write_atomically
from steadygrad.datasets import ImageDataset, dataset_entry
from steadygrad.experiments import experiment_by_name, experiment_names, scale_by_name
from steadygrad.experiments.training_cost import measured_model, objective_name
from steadygrad.experiments.yeats2021.recipes import RECIPES, Kind, Recipe
from steadygrad.memory import keep_freed_memory
from steadygrad.training import TrainingConfig
from steadygrad.training.session import TrainingSession

TARGET = Path(__file__).parents[1] / "src/steadygrad/experiments/step_seconds.json"
BETA = 64
"""Of the penalties: a strength changes no cost."""

REFERENCES = 5
"""Known steps that are measured beside missing ones."""


def main() -> None:
    """Measure every kind of step and write the file."""
    arguments = _arguments()
    keep_freed_memory()
    torch.set_num_threads(1)
    by_name = {(measured_model(c), objective_name(c)): c for c in _configurations()}
    record: dict[str, Any] = {
        "measured": datetime.now(UTC).date().isoformat(),
        "processor": _processor(),
        "torch": torch.__version__,
        "threads": 1,
        "seconds": {},
    }
    if arguments.missing:
        record = json.loads(TARGET.read_text())
        if record["processor"] != _processor():
            raise SystemExit(f"expected the file's processor, {record['processor']}, for --missing")
    known = dict(_flat(record["seconds"]))
    missing = [name for name in by_name if name not in known]
    measured = missing + [name for name in by_name if name in known][:REFERENCES]
    Console().print(f"{arguments.rounds} rounds of {len(measured)} networks, some minutes")
    steps = {": ".join(name): _step(by_name[name]) for name in measured}
    timings = measure_in_turn(steps, arguments.rounds)
    taken = {name: timings[": ".join(name)].processor_seconds for name in measured}
    # Of a machine that is slower now than it was, or busy.
    scale = median(known[name] / taken[name] for name in measured if name in known) if known else 1
    everything = known | {name: round(scale * taken[name], 5) for name in missing}
    record["seconds"] = {}
    for (model, objective), seconds in sorted(everything.items()):
        record["seconds"].setdefault(model, {})[objective] = seconds
    write_atomically(TARGET, (json.dumps(record, indent=2) + "\n").encode())


def _flat(seconds: dict[str, dict[str, float]]) -> Iterable[tuple[tuple[str, str], float]]:
    for model, of_model in seconds.items():
        for objective, value in of_model.items():
            yield (model, objective), value


def _configurations() -> Iterable[TrainingConfig]:
    """Yield what the experiments train and what their recipes might, as it is and without measures.

    Update similarity is one that costs time in every step.
    """
    for config in _as_planned():
        yield config
        yield replace(config, update_similarity=False)


def _as_planned() -> Iterable[TrainingConfig]:
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


def _step(config: TrainingConfig) -> Callable[[], object]:
    entry = dataset_entry(config.data_title)
    images = torch.rand(config.batch_size, *entry.input_shape)
    labels = torch.randint(entry.num_classes, (config.batch_size,))
    data = ImageDataset(config.data_title, "train", images, labels, entry.class_names)
    return partial(TrainingSession(config, data, torch.device("cpu")).step, images, labels)


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
    parser.add_argument("--missing", action="store_true", help="add what the file lacks")
    parser.add_argument("--rounds", type=int, default=9, help="steps of each (default 9)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
