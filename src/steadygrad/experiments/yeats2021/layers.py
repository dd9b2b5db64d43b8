"""Figures 1 to 3 and Table 1: responses, filters, the contrast map, and sizes of networks."""

from collections.abc import Iterator
from dataclasses import replace

import torch

from steadygrad.datasets import GaussianNoise
from steadygrad.experiments.chart import LineChart, Series
from steadygrad.experiments.counts import Counted, Counts
from steadygrad.experiments.filters import Filters
from steadygrad.experiments.plotted_function import PlottedFunction
from steadygrad.experiments.response_surface import ResponseSurface
from steadygrad.experiments.yeats2021.recipes import PAPER, RECIPES, Recipe, short_noise
from steadygrad.layers import SinusoidalContrast

__all__ = ["FIGURE1", "FIGURE2", "FIGURE3", "TABLE1", "filters"]

FIGURE1 = ResponseSurface(paper=PAPER, stem="figure1", angles=((-30.0, -150.0), (-180.0, -30.0)))


def filters(recipe: Recipe, beta: float) -> Filters:
    """Return the penalised network with the recipe's noise and without, beside a plain one."""
    noisy = recipe.penalised_network("complex", beta)
    still = recipe.penalised_network("complex", beta, with_noise=False)
    return Filters(
        paper=PAPER,
        stem="figure2",
        data_title=recipe.title,
        noisy=replace(noisy, label=f"{noisy.label}, noise {short_noise(GaussianNoise(0.05))}"),
        still=replace(still, label=f"{noisy.label}, without noise"),
        beside=recipe.plain("complex"),
        noise=0.05,
    )


FIGURE2 = filters(RECIPES["fashion_mnist"], beta=64)


def _contrast_map() -> LineChart:
    """Return ``phi(x) = x - sin(2 pi x) / (2 pi)``, what the layer computes, and the identity."""
    x = torch.linspace(0, 1, 201, dtype=torch.float64)
    mapped = SinusoidalContrast()(x.view(1, 1, 1, -1)).flatten()
    grid = tuple(x.tolist())
    return LineChart(
        title="Contrast map",
        x_label="pixel x (0 black, 1 white)",
        y_label="what the network reads",
        series=(
            Series(label="identity", x=grid, y=grid),
            Series(label="x - sin(2πx) / 2π", x=grid, y=tuple(mapped.tolist())),
        ),
    )


FIGURE3 = PlottedFunction(
    paper=PAPER,
    stem="figure3",
    title="contrast map of the complex CIFAR-10 networks",
    chart=_contrast_map(),
    caption="Slope 0 at black and white, 2 at mid grey. Nothing is trained.",
)

_ROWS = {
    "real": ("mnist", "svhn", "fashion_mnist", "cifar1", "cifar2"),
    "complex": ("mnist", "svhn", "fashion_mnist", "cifar1"),
}
_PARAMETER_SLIP = "printed with one more parameter per output of each complex layer"
_MAC_SLIPS = {
    "fashion_mnist": "printed without the dense layers",
    "cifar1": "printed with complex dense layers counted once instead of four times",
}


def _counted() -> Iterator[Counted]:
    table = "table1_parameters_and_macs"
    for kind, rows in _ROWS.items():
        for row in rows:
            yield Counted(
                model=f"yeats2021-{row.replace('_', '-')}-{kind}",
                kind=kind,
                row=row,
                paths=(f"{table}/{kind}/{row}/0", f"{table}/{kind}/{row}/1"),
                slips=(_PARAMETER_SLIP, _MAC_SLIPS.get(row, "")),
            )


TABLE1 = Counts(
    paper=PAPER,
    stem="table1",
    counted=tuple(_counted()),
    note="A complex parameter counts as two real ones, a complex MAC as four. The last two "
    "columns count as the paper must have: every complex layer with one more parameter per "
    "output, Fashion-MNIST without its dense layers, CIFAR1's complex dense layers once.",
)
