"""Filters of the first complex convolution, trained with and without noise."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from steadygrad.evaluation.statistics import mean_interval
from steadygrad.experiments.chart import ImageGrid
from steadygrad.experiments.complex_filters import ComplexFilters, color_key, first_filters
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Interval, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.training_histories import training_caution
from steadygrad.experiments.workbench import Workbench
from steadygrad.seeds import derive_seed

__all__ = ["Filters"]

_PATCHES = 200


@dataclass(frozen=True)
class _Measured:
    """A network's filters, and each filter's value of every measure by its name."""

    network: Network
    filters: ComplexFilters
    measures: dict[str, Tensor]


@dataclass(frozen=True, kw_only=True)
class Filters(Artefact):
    """Two networks that differ by the noise in their training alone.

    For scale, the tables also have a third one, and filters as initialised.

    Args:
        data_title: the data set for people.
        noisy, still: the networks, drawn and measured; beside: measured alone. Of any seed.
        noise: standard deviation at which the slope "near black" is measured too, in pixel units.
    """

    data_title: str
    noisy: Network
    still: Network
    beside: Network
    noise: float

    @property
    def title(self) -> str:
        """What it shows."""
        return f"first filters of complex networks on {self.data_title}, with and without noise"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the three networks of every seed."""
        return scale.all_of((self.noisy, self.still, self.beside), seeds)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Draw the filters of the first seed that is there, and measure those of all."""
        trained = bench.trained(self.networks(bench.scale, bench.seeds))
        measured = [
            _measure(network, first_filters(bench.model(network)), self.noise)
            for network in trained
        ]
        pair = {self.noisy.variant, self.still.variant}
        drawn = [own for own in measured if own.network.variant in pair]
        shown = {own.network.variant: own for own in reversed(drawn)}
        seeds = sorted({own.network.config.seed for own in shown.values()})
        limit = bench.scale.limit_train
        caption = (
            f"{self.data_title}, scale {bench.scale.name}, "
            f"{'all' if limit is None else f'the first {limit:,}'} training images, "
            f"{trained[0].config.epochs} epoch(s), seed {', '.join(map(str, seeds))}, in the "
            f"tables seeds {', '.join(map(str, bench.seeds))}. Filters of the first convolution; "
            "the responses of a column are added up. Hue: angle of a weight against its filter's "
            "bias, for turning both together changes nothing. Value: magnitude, full "
            "from the median of the filters' largest on. Last row: the key, magnitude falling from "
            "above. "
            f"{training_caution(own.network for own in measured)}"
        )
        return ExperimentOutcome(
            caption=caption.strip(),
            charts={self.stem: tuple(_grid(shown[variant]) for variant in reversed(shown))}
            if shown
            else {},
            tables={
                self.stem: self._table(bench, measured),
                f"{self.stem}-noise": self._noise_table(bench, measured),
            },
        )

    def _table(self, bench: Workbench, measured: Sequence[_Measured]) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for own in measured:
            epochs = bench.metrics(own.network)
            losses = [epoch.data_loss for epoch in epochs]
            rises = [after - before for before, after in pairwise(losses)]
            accuracy = epochs[-1].test_accuracy
            rows.append(
                (
                    own.network.label,
                    own.network.config.seed,
                    *_means(own),
                    f"{own.filters.largest:.3f}",
                    "" if accuracy is None else f"{100 * accuracy:.2f}",
                    f"{losses[-1]:.4f}",
                    f"{max(rises):.4f}" if rises else "",
                )
            )
        for seed in sorted({own.network.config.seed for own in measured}):
            first = next(own for own in measured if own.network.config.seed == seed)
            own = _measure(first.network, _initial_filters(first.network), self.noise)
            largest = f"{own.filters.largest:.3f}"
            rows.append(("as initialised", seed, *_means(own), largest, "", "", ""))
        return Table(
            title=self.title,
            columns=(
                "network",
                "seed",
                *(f"{name} (mean)" for name in measured[0].measures),
                "largest magnitude",
                "test accuracy (%)",
                "training loss (nats)",
                "steepest rise of the training loss (nats an epoch)",
            ),
            rows=tuple(rows),
            note=f"Means over the {len(measured[0].filters.weight)} filters. Agreement: cosine of "
            "the angle between neighbouring weights, weighted by magnitude; variation: their "
            "differences over their magnitudes, 0 for a constant filter, 1 for an alternating "
            "one. Slope: L1 norm of a response's input gradient over that of its weights, at a "
            f"black patch and at black with noise {self.noise:g}; 0 where it is flat.",
        )

    def _noise_table(self, bench: Workbench, measured: Sequence[_Measured]) -> Table:
        found = {(own.network.variant, own.network.config.seed): own for own in measured}
        rows: list[tuple[Cell, ...]] = []
        for seed in bench.seeds:
            noisy, still = (found.get((n.variant, seed)) for n in (self.noisy, self.still))
            if noisy is not None and still is not None:
                rows += [(seed, *row) for row in _differences(noisy, still)]
        return Table(
            title="What the noise in training does to the filters",
            columns=(
                "seed",
                "measure",
                "with",
                "without",
                "difference",
                "95 % interval",
                "verdict",
            ),
            rows=tuple(rows),
            note="Interval: of the difference of the means over the filters of the two networks; "
            "other trainings may differ by more.",
            intervals=("95 % interval",),
        )


def _measure(network: Network, filters: ComplexFilters, noise: float) -> _Measured:
    shape = filters.weight.shape[1:]
    draws = torch.randn(_PATCHES, *shape, generator=torch.Generator().manual_seed(0))
    return _Measured(
        network,
        filters,
        {
            "agreement": filters.neighbour_agreement(),
            "variation": filters.relative_variation(),
            "slope at black": filters.relative_slope(torch.zeros(1, *shape)),
            "slope near black": filters.relative_slope((noise * draws).clamp(0, 1)),
        },
    )


def _means(own: _Measured) -> list[str]:
    return [f"{values.mean().item():.3f}" for values in own.measures.values()]


def _initial_filters(network: Network) -> ComplexFilters:
    """Return the filters that the training of a network began with."""
    with torch.random.fork_rng():
        torch.manual_seed(derive_seed(network.config.seed, "initialisation"))
        return first_filters(network.config.model.build())


def _differences(noisy: _Measured, still: _Measured) -> Iterator[tuple[Cell, ...]]:
    for name, values in noisy.measures.items():
        other = still.measures[name]
        difference = (values.mean() - other.mean()).item()
        half = math.hypot(*(_half_width(part) for part in (values, other)))
        verdict = "undecided"
        if abs(difference) > half:
            verdict = "higher with noise" if difference > 0 else "lower with noise"
        yield (
            name,
            f"{values.mean().item():.3f}",
            f"{other.mean().item():.3f}",
            f"{difference:+.3f}",
            Interval(difference - half, difference + half, digits=3, is_signed=True),
            verdict,
        )


def _half_width(values: Tensor) -> float:
    interval = mean_interval(values)
    assert interval is not None
    return (interval[1] - interval[0]) / 2


def _grid(own: _Measured) -> ImageGrid:
    """Return the filters, columns added up by the network, over a row of the key."""
    columns = own.filters.sums
    height, width = own.filters.weight.shape[-2:]
    key = color_key(columns, height, width)
    images = torch.cat((own.filters.colors(), key))
    degrees = (360 * k / columns for k in range(columns))
    return ImageGrid(
        title=own.network.label,
        images=images,
        titles=(*[""] * (len(images) - columns), *(f"{angle:g}°" for angle in degrees)),
        columns=columns,
        legend=f"Magnitude at full brightness: {own.filters.typical_peak:.3f}; largest: "
        f"{own.filters.largest:.3f}.",
    )
