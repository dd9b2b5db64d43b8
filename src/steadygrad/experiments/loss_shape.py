"""What the loss looks like within the ball, and which of its measures tells robustness best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels
from steadygrad.attacks.goal import Goal
from steadygrad.experiments.accuracies import MeanAccuracy, mean_accuracy, percent_series
from steadygrad.experiments.chart import LineChart, Series
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.measurements import Answer
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.white_box import PERCENT_RANGE, Curves
from steadygrad.experiments.workbench import EVALUATION_SEED, Workbench
from steadygrad.json_file import required
from steadygrad.seeds import derived_generator

__all__ = ["LossShape", "Shape", "loss_shape"]

CHUNK = 250
"""Images of one pass."""


@dataclass(frozen=True)
class Shape:
    """Means over images, of the cross-entropy in nats with respect to pixels in [0, 1].

    Args:
        length: L1 norm of the gradient at the image.
        neighbour_length: the same at a point drawn uniformly from the L-infinity ball.
        turn: 1 minus the cosine between the gradients at the image and at the end of a step of
            length eps along its sign: 0 where the loss is linear.
        error: how far the loss at that end is from the line that the image's gradient predicts.
    """

    length: float
    neighbour_length: float
    turn: float
    error: float


MEASURES: Mapping[str, Callable[[Shape], float]] = {
    "gradient length at the image": lambda shape: shape.length,
    "gradient length at a random neighbour": lambda shape: shape.neighbour_length,
    "turn of the gradient along the step": lambda shape: shape.turn,
    "error of the linear prediction": lambda shape: shape.error,
}


def loss_shape(model: nn.Module, images: Images, labels: Labels, eps: float) -> Shape:
    """Measure the loss around images (n, channels, height, width) in [0, 1]; model in eval mode.

    labels: int64 (n,). eps: radius of the ball, positive.
    """
    sums = torch.zeros(4, dtype=torch.float64, device="cpu")
    generator = derived_generator(EVALUATION_SEED, f"shape of the loss, eps {eps!r}")
    for pixels, truth in zip(torch.split(images, CHUNK), torch.split(labels, CHUNK), strict=True):
        goal = Goal(truth)
        losses, gradient = goal.ascent(model, pixels)
        drawn = torch.rand(pixels.shape, generator=generator).to(pixels)
        neighbour = (pixels + eps * (2 * drawn - 1)).clamp(0, 1)
        _, at_neighbour = goal.ascent(model, neighbour)
        end = (pixels + eps * gradient.sign()).clamp(0, 1)
        reached, at_end = goal.ascent(model, end)
        predicted = losses + ((end - pixels) * gradient).flatten(1).sum(1)
        cosine = nn.functional.cosine_similarity(gradient.flatten(1), at_end.flatten(1))
        measured = (
            gradient.flatten(1).abs().sum(1),
            at_neighbour.flatten(1).abs().sum(1),
            1 - cosine,
            (reached - predicted).abs(),
        )
        sums += torch.stack([values.double().sum().cpu() for values in measured])
    return Shape(*(sums / len(images)).tolist())


@dataclass(frozen=True, kw_only=True)
class LossShape(Artefact):
    """Measures of the loss beside the accuracy under attack, and a prediction from the best.

    Args:
        data_title: the data set for people; compared_networks: of seed 0, all with validation
            images; untried: a network of other settings, whose accuracy is predicted from theirs.
        validation_size: of every network's configuration.
        curves: the attack; its judged radius is that of the ball.
    """

    title: str
    data_title: str
    compared_networks: tuple[Network, ...]
    untried: Network
    validation_size: int
    curves: Curves

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks of every seed, the untried one last."""
        return scale.all_of((*self.compared_networks, self.untried), seeds)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Measure the loss around validation images, and attack them."""
        bench = replace(bench, validation_size=self.validation_size)
        eps = self.curves.judged_eps
        found: list[tuple[Network, Shape, MeanAccuracy]] = []
        for network in bench.measurable(self.networks(bench.scale, bench.seeds)):
            (point,) = bench.points(network, self.curves.attack, (eps,), bench.scale.attacked)
            found.append((network, self._shape(bench, network, eps), mean_accuracy([point])))
        fits = {name: self._fit(found, measure) for name, measure in MEASURES.items()}
        known = {name: fit for name, fit in fits.items() if fit is not None}
        best = max(known, key=lambda name: abs(known[name].rank_correlation)) if known else None
        tables = {self.stem: self._table(found)}
        if known:
            tables[f"{self.stem}-prediction"] = self._predictions(known, found)
        return ExperimentOutcome(
            caption=f"{self.data_title}, scale {bench.scale.name}: the loss around the first "
            f"{bench.scale.attacked:,} validation images within L-infinity {eps:g}, and "
            f"{self.curves.protocol} on them; seeds {', '.join(map(str, bench.seeds))}.",
            charts={self.stem: (self._chart(best, known[best], found),)} if best else {},
            tables=tables,
        )

    def _shape(self, bench: Workbench, network: Network, eps: float) -> Shape:
        data = bench.image_set(network.config.data, bench.scale.attacked)
        question = bench.question("shape of the loss", data, eps=eps)

        def measure() -> Answer:
            bench.progress(f"{network.label}: the loss around {len(data)} images")
            images, labels = data.images().to(bench.device), data.labels.to(bench.device)
            return vars(loss_shape(bench.model(network), images, labels, eps)).copy()

        answer = bench.answer(network, question, measure)
        where = f"what was measured of {network.label}"
        names = ("length", "neighbour_length", "turn", "error")
        return Shape(*(required(answer, name, float, where) for name in names))

    def _fit(
        self,
        found: Sequence[tuple[Network, Shape, MeanAccuracy]],
        measure: Callable[[Shape], float],
    ) -> "_Line | None":
        """Return accuracy over the measure's logarithm, of all but the untried network."""
        tried = [
            (math.log10(measure(shape)), 100 * accuracy.accuracy)
            for network, shape, accuracy in found
            if network.variant != self.untried.variant and measure(shape) > 0
        ]
        if len({x for x, _ in tried}) < 3:
            return None
        x, y = (
            torch.tensor(values, dtype=torch.float64, device="cpu")
            for values in zip(*tried, strict=True)
        )
        slope = float(((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum())
        intercept = float(y.mean() - slope * x.mean())
        spread = float((y - intercept - slope * x).square().sum() / (len(y) - 2)) ** 0.5
        ranked = torch.stack([ranks(values) for values in (x, y)])
        return _Line(slope, intercept, spread, float(torch.corrcoef(ranked)[0, 1]))

    def _table(self, found: Sequence[tuple[Network, Shape, MeanAccuracy]]) -> Table:
        rows: list[tuple[Cell, ...]] = [
            (
                network.label,
                network.config.seed,
                round(shape.length, 3),
                round(shape.neighbour_length, 3),
                round(shape.turn, 3),
                round(shape.error, 4),
                round(100 * accuracy.accuracy, 1),
            )
            for network, shape, accuracy in found
        ]
        name = f"{self.curves.name} at {self.curves.judged_eps:.3g}"
        return Table(
            title=f"{self.data_title}: {self.title}",
            columns=("network", "seed", *MEASURES, name),
            rows=tuple(rows),
            note="Means over validation images. Lengths: L1 norm of the gradient of the "
            "cross-entropy, nats for the whole pixel range. Turn: 1 minus the cosine between the "
            "gradients at both ends of a step of length eps along the gradient's sign. Error: how "
            "far the loss at its end is from the linear prediction, nats.",
        )

    def _predictions(
        self, fits: Mapping[str, "_Line"], found: Sequence[tuple[Network, Shape, MeanAccuracy]]
    ) -> Table:
        untried = [entry for entry in found if entry[0].variant == self.untried.variant]
        rows: list[tuple[Cell, ...]] = []
        for name, line in fits.items():
            row: list[Cell] = [name, round(line.rank_correlation, 2), round(line.spread, 1)]
            if untried:
                _, shape, accuracy = untried[0]
                row += [
                    round(line.at(MEASURES[name](shape)), 1),
                    round(100 * accuracy.accuracy, 1),
                ]
            else:
                row += [None, None]
            rows.append(tuple(row))
        return Table(
            title=f"{self.data_title}: accuracy predicted from the loss alone",
            columns=(
                "measure",
                "rank correlation",
                "spread of the fit (points)",
                "predicted for the untried network",
                "measured",
            ),
            rows=tuple(rows),
            note=f"A line of accuracy over the measure's logarithm, fitted to all networks but the "
            f"untried one ({self.untried.label}).",
        )

    def _chart(
        self, name: str, line: "_Line", found: Sequence[tuple[Network, Shape, MeanAccuracy]]
    ) -> LineChart:
        measure = MEASURES[name]
        shown = [
            (network.label, math.log10(measure(shape)), accuracy)
            for network, shape, accuracy in found
            if measure(shape) > 0
        ]
        ends = min(x for _, x, _ in shown), max(x for _, x, _ in shown)
        return LineChart(
            title=f"{self.data_title}: {self.title}",
            x_label=f"log10 of the {name}",
            y_label=f"{self.curves.name} accuracy at eps {self.curves.judged_eps:g} (%)",
            series=(
                *(
                    percent_series(label, [x], [accuracy], drawn="points")
                    for label, x, accuracy in shown
                ),
                Series(
                    label="line fitted to them",
                    x=ends,
                    y=tuple(line.at(10**x) for x in ends),
                ),
            ),
            y_range=PERCENT_RANGE,
        )


def ranks(values: Tensor) -> Tensor:
    """Return the rank of each of (n,) values from 0, equal ones having the mean of theirs."""
    others = values.unsqueeze(1)
    below, equal = (values < others).sum(dim=1), (values == others).sum(dim=1)
    return below + (equal - 1) / 2


@dataclass(frozen=True)
class _Line:
    """Accuracy in percent over the logarithm of a measure.

    spread: standard deviation of what the line leaves; rank_correlation: Spearman's.
    """

    slope: float
    intercept: float
    spread: float
    rank_correlation: float

    def at(self, measure: float) -> float:
        """Return the accuracy in percent that the line predicts, within [0, 100]."""
        return min(100.0, max(0.0, self.intercept + self.slope * math.log10(measure)))
