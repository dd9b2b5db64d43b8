"""The response of one complex feature, and of a sum of several, to two inputs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool2d, pad

from steadygrad.experiments.chart import Surface
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.workbench import Workbench
from steadygrad.layers import ChannelGroupSum, ComplexLinear

__all__ = ["ResponseSurface", "extrema", "summed_features"]

REACH = 0.15
"""Radians around a point within which nothing lies higher (lower), for it to count."""

NEIGHBOURHOOD = 0.2
"""Radians around an extremum over which the slope is averaged."""


@dataclass(frozen=True, kw_only=True)
class ResponseSurface(Artefact):
    """``g(x) = |w1 exp(i x1) + w2 exp(i x2) + b|`` and its sum over features, by the layers.

    angles: of w1 and w2, in degrees, for each feature; b has angle 0. Turning all three together
        changes nothing, and another angle of a weight moves the surface of one feature.
    magnitude: of every weight and bias; the default is that of the layer's initialisation.
    points: grid points a full turn.
    draws: random sets of features for the second table, counted on a grid of half as many points.
    """

    angles: tuple[tuple[float, float], ...]
    magnitude: float = 1 / math.sqrt(2)
    points: int = 240
    draws: int = 50
    title: str = "response of one complex feature and of a sum of two"

    def measure(self, bench: Workbench) -> ExperimentOutcome:  # noqa: ARG002 - measures no network
        """Evaluate the layers on a grid, and count where the surfaces turn."""
        first, several = self.angles[:1], self.angles
        surfaces = {
            "one feature": summed_features(first, self.magnitude),
            f"sum of {len(several)}": summed_features(several, self.magnitude),
        }
        rows = [row for label, model in surfaces.items() for row in self._counted(label, model)]
        angles = "; ".join("{:g} and {:g} degrees".format(*pair) for pair in several)
        return ExperimentOutcome(
            caption="Axes: phases of the two inputs, a full turn of each, in radians. A pixel in "
            "[0, 1] is the phase pi times the pixel and reaches the quarter from 0 to pi alone; "
            f"inside a network any phase occurs. Magnitude {self.magnitude:.3f} of every weight "
            f"and bias; the weights' angles are {angles}, the bias has angle 0. Nothing is "
            "trained, nothing random is drawn for the figure.",
            charts={self.stem: tuple(self._surface(k, model) for k, model in surfaces.items())},
            tables={
                self.stem: Table(
                    title="Interior maxima and minima",
                    columns=(
                        "features",
                        "input",
                        "maxima",
                        "minima",
                        "greatest value",
                        "least value",
                        "slope at maxima",
                        "slope at minima",
                    ),
                    rows=tuple(rows),
                    note="A grid point counts if nothing on the full turn is higher (lower) within "
                    f"{REACH:g} radians. Slope: mean length of the gradient within "
                    f"{NEIGHBOURHOOD:g} radians of them, per radian. Where a feature is 0 its "
                    "surface is a cone: the slope turns round there and does not fade.",
                ),
                f"{self.stem}-random-features": self._random_features(),
            },
        )

    def _surface(self, label: str, model: nn.Module) -> Surface:
        axis = torch.linspace(-math.pi, math.pi, self.points + 1, dtype=torch.float64)
        return Surface(
            title=label.capitalize(),
            x_label="phase of the first input x1 (radians)",
            y_label="phase of the second input x2 (radians)",
            value_label="response g (no unit)",
            x=tuple(axis.tolist()),
            y=tuple(axis.tolist()),
            values=_response(model, axis).detach(),
        )

    def _counted(self, label: str, model: nn.Module) -> list[tuple[Cell, ...]]:
        """Return a row for the full turn and one for the quarter that pixels reach."""
        grid = _grid(_full_turn(self.points)).requires_grad_()
        values = _evaluate(model, grid)
        (gradient,) = torch.autograd.grad(values.sum(), grid)
        slope, values = gradient.norm(dim=-1), values.detach()
        maxima, minima = extrema(values, _cells(REACH, self.points))
        inner = ((grid > 0) & (grid < math.pi)).all(dim=-1)
        rows: list[tuple[Cell, ...]] = []
        for where, region in (
            ("full turn, -pi to pi", torch.ones_like(inner)),
            ("pixels, 0 to pi", inner),
        ):
            found = [(tops & region) for tops in (maxima, minima)]
            rows.append(
                (
                    label,
                    where,
                    *(int(tops.sum()) for tops in found),
                    f"{values[region].max().item():.3f}",
                    f"{values[region].min().item():.3f}",
                    *(self._slope_near(tops, slope) for tops in found),
                )
            )
        return rows

    def _slope_near(self, tops: Tensor, slope: Tensor) -> str:
        near = _highest(tops.double(), _cells(NEIGHBOURHOOD, self.points)) > 0
        return f"{slope[near].mean().item():.3f}" if near.any() else ""

    def _random_features(self) -> Table:
        """Return counts for features as the layer initialises them: no choice of angles."""
        rows: list[tuple[Cell, ...]] = []
        points = self.points // 2
        generator = torch.Generator().manual_seed(0)
        for features in (1, 2, 4, 8):
            counts = []
            for _ in range(self.draws):
                angles = 360 * torch.rand(features, 2, generator=generator, dtype=torch.float64)
                model = summed_features(angles.tolist(), self.magnitude)
                values = _response(model, _full_turn(points)).detach()
                found = extrema(values, _cells(REACH, points))
                counts.append([float(tops.sum()) for tops in found])
            maxima, minima = torch.tensor(counts).T
            most = [int(tops.max()) for tops in (maxima, minima)]
            means = [f"{tops.mean().item():.2f}" for tops in (maxima, minima)]
            rows.append((features, self.draws, means[0], most[0], means[1], most[1]))
        return Table(
            title="Maxima and minima of sums of random features, over a full turn",
            columns=(
                "features summed",
                "draws",
                "maxima (mean)",
                "maxima (most)",
                "minima (mean)",
                "minima (most)",
            ),
            rows=tuple(rows),
            note="Angles drawn evenly from the full turn, as the layers are initialised.",
        )


def summed_features(angles: Sequence[Sequence[float]], magnitude: float) -> nn.Sequential:
    """Return complex features of two inputs, added up: ``(n, 2)`` radians to ``(n, 1)``.

    angles: of the two weights, in degrees, for each feature; biases have angle 0.
    magnitude: of every weight and bias.
    """
    layer = ComplexLinear(2, len(angles), dtype=torch.float64)
    turned = torch.deg2rad(torch.tensor(angles, dtype=torch.float64))
    with torch.no_grad():
        layer.weight_real.copy_(magnitude * turned.cos())
        layer.weight_imag.copy_(magnitude * turned.sin())
        layer.bias_real.fill_(magnitude)
        layer.bias_imag.zero_()
    return nn.Sequential(layer, ChannelGroupSum(len(angles)))


def extrema(values: Tensor, reach: int) -> tuple[Tensor, Tensor]:
    """Return where a surface over a full turn has its maxima and its minima.

    values: (n, n), periodic in both; reach: cells to each side that must not be higher (lower).
    A smaller reach takes the steps of a grid across a valley for minima. Of equals within reach
    one counts.
    """
    return _tops(values, reach), _tops(-values, reach)


def _tops(values: Tensor, reach: int) -> Tensor:
    tops = _highest(values, reach) == values
    places = torch.arange(1, values.numel() + 1, dtype=torch.float64).view_as(values)
    return tops & (_highest(places * tops, reach) == places)


def _highest(values: Tensor, reach: int) -> Tensor:
    around = pad(values[None, None], (reach,) * 4, mode="circular")
    for window in ((2 * reach + 1, 1), (1, 2 * reach + 1)):
        around = max_pool2d(around, window, stride=1)
    return around[0, 0]


def _full_turn(points: int) -> Tensor:
    """Return the phases of a grid, each place of the turn once."""
    steps = torch.arange(points, dtype=torch.float64)
    return 2 * math.pi * steps / points - math.pi


def _cells(radians: float, points: int) -> int:
    return max(1, round(radians * points / (2 * math.pi)))


def _response(model: nn.Module, axis: Tensor) -> Tensor:
    """Return the surface over ``axis`` x ``axis``: rows of x2, columns of x1."""
    return _evaluate(model, _grid(axis))


def _grid(axis: Tensor) -> Tensor:
    x2, x1 = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack((x1, x2), dim=-1)


def _evaluate(model: nn.Module, grid: Tensor) -> Tensor:
    values: Tensor = model(grid.reshape(-1, 2))
    return values.reshape(grid.shape[:2])
