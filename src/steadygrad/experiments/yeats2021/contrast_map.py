"""Figure 3: the sinusoidal contrast map of the complex CIFAR-10 networks, beside the identity."""

from collections.abc import Sequence

import torch

from steadygrad.experiments.chart import LineChart, Series
from steadygrad.experiments.experiment import ExperimentOutcome
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.layers import SinusoidalContrast

__all__ = ["ContrastMap"]


class ContrastMap:
    """``phi(x) = x - sin(2 pi x) / (2 pi)``: what the layer computes, drawn."""

    name = "yeats2021/figure3"
    title = "contrast map of the complex CIFAR-10 networks"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:  # noqa: ARG002 - trains nothing
        """Return none: nothing is trained."""
        return ()

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the paper prints the curve alone."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:  # noqa: ARG002 - measures no network
        """Evaluate the layer on a grid."""
        x = torch.linspace(0, 1, 201, dtype=torch.float64)
        mapped = SinusoidalContrast()(x.view(1, 1, 1, -1)).flatten()
        grid = tuple(x.tolist())
        chart = LineChart(
            title="Contrast map",
            x_label="pixel x (0 black, 1 white)",
            y_label="what the network reads",
            series=(
                Series(label="identity", x=grid, y=grid),
                Series(label="x - sin(2πx) / 2π", x=grid, y=tuple(mapped.tolist())),
            ),
        )
        return ExperimentOutcome(
            caption="Slope 0 at black and white, 2 at mid grey. Nothing is trained.",
            charts={"figure3": (chart,)},
        )
