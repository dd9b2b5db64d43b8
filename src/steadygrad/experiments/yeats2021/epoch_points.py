"""Figure 5 and the supplement's Figure 1: a point an epoch, for the same networks."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

from steadygrad.experiments.chart import LineChart, Series
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.recipes import RECIPES
from steadygrad.experiments.yeats2021.training_histories import (
    FROZEN,
    Histories,
    History,
    Panel,
    Quantity,
    Trained,
    training_caution,
)

__all__ = [
    "LAST_EPOCHS",
    "PANELS",
    "MeasuredPanel",
    "epochs_below",
    "measured_panels",
    "panels_caption",
    "points_chart",
]

LAST_EPOCHS = 25
"""So many the paper shows."""

PANELS = (
    Panel(recipe=RECIPES["fashion_mnist"], betas=(0, 16, 64)),
    Panel(recipe=RECIPES["svhn"], betas=(0, 8, 32)),
)
"""With the betas of the paper's Table 2; a quarter of each is ours."""

_OURS: tuple[Trained, ...] = ("complex", FROZEN)
_RIVALS: tuple[Trained, ...] = ("real", "gelu")


@dataclass(frozen=True)
class MeasuredPanel:
    """A panel with the histories of those of its networks that are trained."""

    panel: Panel
    histories: Histories

    @property
    def title(self) -> str:
        """The data set's."""
        return self.panel.recipe.title

    def pairs(self) -> Iterator[tuple[History, History]]:
        """Yield a complex network and a real one, ReLU or GELU, under the same penalty."""
        for beta, mine, rival in product(self.panel.betas, _OURS, _RIVALS):
            ours, other = self.histories.find(mine, beta), self.histories.find(rival, beta)
            if beta and ours is not None and other is not None:
                yield ours, other


def measured_panels(
    panels: Sequence[Panel], bench: Workbench, last_epochs: int
) -> tuple[MeasuredPanel, ...]:
    """Return the last epochs of what is trained; a panel of which nothing is, is left out."""
    measured = (MeasuredPanel(panel, panel.histories(bench).last(last_epochs)) for panel in panels)
    return tuple(panel for panel in measured if panel.histories)


def panels_caption(bench: Workbench, panels: Sequence[MeasuredPanel], explanation: str) -> str:
    """Return what the figure must say besides: data, scale, seeds and cautions."""
    titles = " and ".join(panel.title for panel in panels)
    limit = bench.scale.limit_train
    images = "all training images" if limit is None else f"at most {limit:,} training images"
    cautions = (
        f"{own.title}: {own.panel.recipe.caution}." for own in panels if own.panel.recipe.caution
    )
    parts = (
        f"{titles}, scale {bench.scale.name}, {images}, seeds {', '.join(map(str, bench.seeds))}.",
        explanation,
        training_caution(
            network for own in panels for found in own.histories for network in found.networks
        ),
        *cautions,
    )
    return " ".join(part for part in parts if part)


def points_chart(panel: MeasuredPanel, x: Quantity, y: Quantity) -> LineChart:
    """Return a point for every epoch of every seed; a kind of network has one colour."""
    return LineChart(
        title=panel.title,
        x_label=x.label,
        y_label=y.label,
        series=tuple(
            Series(
                label=own.label,
                x=own.points(x.value),
                y=own.points(y.value),
                group=own.kind,
                drawn="points",
            )
            for own in panel.histories
        ),
    )


def epochs_below(ours: History, other: History, quantity: Quantity) -> tuple[bool, ...]:
    """Return for each epoch whether our mean over the seeds is the lower one."""
    means = (history.by_epoch(quantity.value) for history in (ours, other))
    return tuple(own < rival for own, rival in zip(*means, strict=True))
