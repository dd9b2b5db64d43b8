"""The supplement's comparison of training times on MNIST, as the cost of a step of each kind."""

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from steadygrad.datasets import load_dataset
from steadygrad.devices import resolve_device
from steadygrad.experiments.chart import LineChart, PrintedPoint, Series
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import NOT_TRAINED, Workbench
from steadygrad.experiments.yeats2021.printed import PAPER
from steadygrad.experiments.yeats2021.recipes import RECIPES, Recipe
from steadygrad.experiments.yeats2021.step_times import (
    WARM_UP,
    StepTimes,
    median_interval,
    step_seconds_in_turn,
)
from steadygrad.training.session import TrainingSession

__all__ = ["TrainingTime"]

ROUNDS: Mapping[str, int] = {"smoke": 2, "quick": 10, "paper": 30}
"""Measured steps of every network, by scale."""

_BATCHES = 8
_PRINTED = "supplement_training_seconds_mnist_rtx2070s"


@dataclass(frozen=True, kw_only=True)
class TrainingTime:
    """Steps of all networks in turn, so that a busy machine slows all of them alike.

    beta: strength of the penalty, which changes no cost.
    """

    name: str = "yeats2021/supplement-training-time"
    recipe: Recipe = RECIPES["mnist"]
    beta: float = 512

    @property
    def title(self) -> str:
        """What it shows."""
        return f"training time on {self.recipe.title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:  # noqa: ARG002 - trains nothing
        """Return none: a few steps from the start tell what a step costs."""
        return ()

    def printed_paths(self) -> tuple[str, ...]:
        """Return the printed seconds of six trainings."""
        return tuple(self._printed(seed=0))

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Take steps of every network in turn."""
        seed, device = bench.seeds[0], resolve_device(bench.device)
        rounds = ROUNDS.get(bench.scale.name, ROUNDS["smoke"])
        printed = self._printed(seed)
        networks = (*printed.values(), *self._beyond(seed))
        bench.progress(f"{rounds} steps of each of {len(networks)} networks")
        data = load_dataset(
            self.recipe.dataset,
            "train",
            data_dir=bench.data_dir,
            limit=_BATCHES * self.recipe.batch_size,
        )
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            sessions = [TrainingSession(n.config, data.to(device), device) for n in networks]
            seconds = step_seconds_in_turn(sessions, rounds)
        times = [StepTimes(*pair) for pair in zip(networks, seconds, strict=True)]
        paths = {network.label: path for path, network in printed.items()}
        how = "processor seconds on one thread of the CPU"
        if device.type != "cpu":
            how = f"wall time on {device.type}, waiting for the device after each step"
        caption = (
            f"{self.recipe.title}, seed {seed}: one optimizer step on {self.recipe.batch_size} "
            f"training images, from the initialisation on; {how}; {rounds} rounds in which every "
            f"network takes one step, after {WARM_UP} that are not counted. Ratios are taken "
            "within a round; points are medians, bars their 95 % intervals (the range, if there "
            "are fewer than 6 rounds). Stars: ratios of the paper's seconds, of whole trainings "
            "on another processor. No network is trained."
        )
        return ExperimentOutcome(
            caption=caption,
            charts={"supplement-training-time": (_chart(times, paths),)},
            tables={"supplement-training-time": _table(self.title, times, paths)},
            compared=self._compared(bench, printed),
        )

    def _printed(self, seed: int) -> dict[str, Network]:
        """Return the networks of the printed seconds, by path; the reference comes first."""
        recipe = self.recipe
        return {
            f"{_PRINTED}/real/undefended": recipe.plain("real", seed=seed),
            f"{_PRINTED}/real/gr": recipe.penalised_network("real", self.beta, seed=seed),
            f"{_PRINTED}/real/pgd4_trained": recipe.pgd_trained("real", seed=seed, steps=4),
            f"{_PRINTED}/real/pgd8_trained": recipe.pgd_trained("real", seed=seed, steps=8),
            f"{_PRINTED}/complex/undefended": recipe.plain("complex", seed=seed),
            f"{_PRINTED}/complex/gr": recipe.penalised_network("complex", self.beta, seed=seed),
        }

    def _beyond(self, seed: int) -> tuple[Network, ...]:
        frozen = self.recipe.penalised_network(
            "complex", self.beta, seed=seed, second_order="frozen_phase"
        )
        smooth = self.recipe.penalised_network("gelu", self.beta, seed=seed)
        return frozen, self.recipe.plain("gelu", seed=seed), smooth

    def _compared(self, bench: Workbench, printed: Mapping[str, Network]) -> tuple[Compared, ...]:
        """Return the seconds of whole trainings, of those networks that are trained anyway."""
        compared = []
        for path, network in printed.items():
            trained = bench.trained([bench.scale.of(network)])
            seconds, obstacle = None, f"other hardware; {NOT_TRAINED}"
            if trained:
                seconds = sum(epoch.seconds for epoch in bench.metrics(trained[0]))
                obstacle = "other hardware"
            compared.append(
                Compared(
                    quantity=f"{network.label}: training (s)",
                    paper=PAPER,
                    path=path,
                    ours=seconds,
                    obstacle=obstacle,
                    note="ours: wall time of the whole training at this scale, whatever else the "
                    "machine did"
                    if trained
                    else "",
                )
            )
        return tuple(compared)


def _printed_ratio(path: str) -> float:
    reference = published_number(PAPER, f"{_PRINTED}/real/undefended")
    return published_number(PAPER, path) / reference


def _chart(times: Sequence[StepTimes], paths: Mapping[str, str]) -> LineChart:
    ratios = [own.ratios(times[0]) for own in times]
    low, high = zip(*map(median_interval, ratios), strict=True)
    return LineChart(
        title="Time of a step",
        x_label="network and training",
        y_label="time over that of the real network, no defence",
        series=(
            Series(
                label="measured: one step",
                x=tuple(map(float, range(len(times)))),
                y=tuple(map(statistics.median, ratios)),
                low=low,
                high=high,
                drawn="points",
            ),
        ),
        printed=tuple(
            PrintedPoint("", place, _printed_ratio(paths[own.network.label]))
            for place, own in enumerate(times)
            if own.network.label in paths
        ),
        x_names=tuple(
            "\n".join(textwrap.wrap(own.network.label, 14, break_on_hyphens=False)) for own in times
        ),
    )


def _table(title: str, times: Sequence[StepTimes], paths: Mapping[str, str]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for own in times:
        path = paths.get(own.network.label)
        ratios = own.ratios(times[0])
        low, high = median_interval(ratios)
        rows.append(
            (
                own.network.label,
                f"{own.milliseconds:.2f}",
                f"{statistics.median(ratios):.2f}",
                f"{low:.2f} to {high:.2f}",
                "" if path is None else f"{published_number(PAPER, path):g}",
                "" if path is None else f"{_printed_ratio(path):.2f}",
            )
        )
    return Table(
        title=title,
        columns=(
            "network",
            "milliseconds a step",
            "ratio to the first",
            "95 % interval",
            "printed seconds",
            "printed ratio",
        ),
        rows=tuple(rows),
        note="Medians over the rounds. The printed seconds are those of whole trainings on an RTX "
        "2070 Super; rows without them go beyond the paper.",
    )
