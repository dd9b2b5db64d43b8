"""Printed training times, beside the cost of a step of each kind of training."""

import statistics
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from steadygrad.datasets import load_dataset
from steadygrad.devices import resolve_device
from steadygrad.experiments.chart import LineChart, PrintedPoint, Series
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Interval, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.step_times import (
    WARM_UP,
    StepTimes,
    median_interval,
    step_seconds_in_turn,
)
from steadygrad.experiments.workbench import NOT_TRAINED, Workbench
from steadygrad.training.session import TrainingSession

__all__ = ["TrainingTime"]

_BATCHES = 8


@dataclass(frozen=True, kw_only=True)
class TrainingTime(Artefact):
    """Steps of all networks in turn, so that a busy machine slows all of them alike.

    Args:
        dataset, data_title: the training images, and what people call them.
        of_paper: networks of the paper, by where the seconds of their training are printed; the
            first is what the others are held against, in words ``reference_name``. beyond: ours
            besides.
    """

    dataset: str
    data_title: str
    of_paper: Mapping[str, Network]
    reference_name: str
    beyond: tuple[Network, ...] = ()

    @property
    def title(self) -> str:
        """What it shows."""
        return f"training time on {self.data_title}"

    @property
    def reference(self) -> Network:
        """The network that the others are held against."""
        return next(iter(self.of_paper.values()))

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the seconds of the paper's trainings are printed."""
        return tuple(self.of_paper)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Take steps of every network in turn."""
        seed, device, rounds = bench.seeds[0], resolve_device(bench.device), bench.scale.timed_steps
        networks = [n.of_seed(seed) for n in (*self.of_paper.values(), *self.beyond)]
        bench.progress(f"{rounds} steps of each of {len(networks)} networks")
        batch = self.reference.config.batch_size
        data = load_dataset(self.dataset, "train", data_dir=bench.data_dir, limit=_BATCHES * batch)
        with torch.random.fork_rng([device] if device.type == "cuda" else []):
            sessions = [TrainingSession(n.config, data.to(device), device) for n in networks]
            seconds = step_seconds_in_turn(sessions, rounds)
        times = [StepTimes(*pair) for pair in zip(networks, seconds, strict=True)]
        how = "processor seconds on one thread of the CPU"
        if device.type != "cpu":
            how = f"wall time on {device.type}, waiting for the device after each step"
        caption = (
            f"{self.data_title}, seed {seed}: one optimizer step on {batch} "
            f"training images, from the initialisation on; {how}; {rounds} rounds in which every "
            f"network takes one step, after {WARM_UP} that are not counted. Ratios are taken "
            "within a round; points are medians, bars their 95 % intervals (the range, if there "
            "are fewer than 6 rounds). Stars: ratios of the paper's seconds, of whole trainings "
            "on another processor. No network is trained."
        )
        return ExperimentOutcome(
            caption=caption,
            charts={self.stem: (self._chart(times),)},
            tables={self.stem: self._table(times)},
            compared=self._compared(bench),
        )

    def _compared(self, bench: Workbench) -> tuple[Compared, ...]:
        """Return the seconds of whole trainings, of those networks that are trained anyway."""
        compared = []
        for path, network in self.of_paper.items():
            trained = bench.trained(bench.scale.all_of([network], bench.seeds[:1]))
            seconds, obstacle = None, f"other hardware; {NOT_TRAINED}"
            if trained:
                seconds = sum(epoch.seconds for epoch in bench.metrics(trained[0]))
                obstacle = "other hardware"
            compared.append(
                Compared(
                    quantity=f"{network.label}: training (s)",
                    paper=self.paper,
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

    def _printed(self, network: Network) -> float | None:
        """Return the printed seconds of a network, None beyond the paper."""
        paths = {own.variant: path for path, own in self.of_paper.items()}
        path = paths.get(network.variant)
        return None if path is None else published_number(self.paper, path)

    def _printed_ratio(self, network: Network) -> float | None:
        seconds, reference = self._printed(network), self._printed(self.reference)
        return None if seconds is None or reference is None else seconds / reference

    def _chart(self, times: Sequence[StepTimes]) -> LineChart:
        ratios = [own.ratios(times[0]) for own in times]
        low, high = zip(*map(median_interval, ratios), strict=True)
        return LineChart(
            title="Time of a step",
            x_label="network and training",
            y_label=f"time over that of the {self.reference_name}",
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
                PrintedPoint("", place, ratio)
                for place, own in enumerate(times)
                if (ratio := self._printed_ratio(own.network)) is not None
            ),
            x_names=tuple(
                "\n".join(textwrap.wrap(own.network.label, 14, break_on_hyphens=False))
                for own in times
            ),
        )

    def _table(self, times: Sequence[StepTimes]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for own in times:
            seconds, ratio = self._printed(own.network), self._printed_ratio(own.network)
            ratios = own.ratios(times[0])
            low, high = median_interval(ratios)
            rows.append(
                (
                    own.network.label,
                    f"{own.milliseconds:.2f}",
                    f"{statistics.median(ratios):.2f}",
                    Interval(low, high, digits=2),
                    "" if seconds is None else f"{seconds:g}",
                    "" if ratio is None else f"{ratio:.2f}",
                )
            )
        return Table(
            title=self.title,
            columns=(
                "network",
                "milliseconds a step",
                "ratio to the first",
                "95 % interval",
                "printed seconds",
                "printed ratio",
            ),
            rows=tuple(rows),
            note="Medians over the rounds. The printed seconds are those of whole trainings on an "
            "RTX 2070 Super; rows without them go beyond the paper.",
            intervals=("95 % interval",),
        )
