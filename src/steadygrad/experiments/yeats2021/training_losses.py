"""Figure 4: loss on training and on test images, epoch by epoch, with and without the penalty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from steadygrad.experiments.chart import LineChart, Series
from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.recipes import RECIPES
from steadygrad.experiments.yeats2021.training_histories import (
    FROZEN,
    TRAINING_LOSS,
    Histories,
    History,
    Panel,
    Trained,
    training_caution,
)
from steadygrad.training import EpochMetrics

__all__ = ["TrainingLosses"]

FASHION_MNIST = Panel(recipe=RECIPES["fashion_mnist"], betas=(0, 64))


@dataclass(frozen=True, kw_only=True)
class TrainingLosses:
    """The cross-entropy alone, without the penalty, as each epoch measured it.

    The networks must have measured test images after each epoch (``test_images``).
    """

    name: str = "yeats2021/figure4"
    panel: Panel = FASHION_MNIST

    @property
    def title(self) -> str:
        """What it shows."""
        return f"training and test loss on {self.panel.recipe.title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the paper's networks and the smooth twin's."""
        return self.panel.networks(scale, seeds)

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the paper prints curves alone."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Read what the training measured."""
        histories = self.panel.histories(bench)
        seeds = ", ".join(map(str, bench.seeds))
        images = bench.scale.limit_train
        caption = (
            f"{self.panel.recipe.title}, scale {bench.scale.name}: cross-entropy without the "
            "penalty, a line is the mean over the seeds "
            f"({seeds}). Training loss: on {'all' if images is None else f'{images:,}'} training "
            "images, augmented, in training mode, as the steps met them over the epoch. Test "
            f"loss: on {_test_images(histories)} test images after the epoch; the paper calls "
            "them validation, and nothing was chosen by them. "
            f"{self.panel.recipe.caution} "
            f"{training_caution(network for own in histories for network in own.networks)}"
        )
        return ExperimentOutcome(
            caption=" ".join(caption.split()),
            charts={
                "figure4": (
                    _chart("Training images", histories, TRAINING_LOSS.value),
                    _chart("Test images", histories, _test_loss),
                )
            },
            tables={
                "figure4": _final_table(self.title, histories),
                "figure4-complex-against-real": self._claims(histories),
            },
        )

    def _claims(self, histories: Histories) -> Table:
        """Return the paper's sentences on the figure as differences after the last epoch."""
        rows: list[tuple[Cell, ...]] = []
        complex_ones: tuple[Trained, ...] = ("complex", FROZEN)
        for beta, mine in product(self.panel.betas, complex_ones):
            for what, value, is_loss in (
                ("training loss (nats)", TRAINING_LOSS.value, True),
                ("test loss (nats)", _test_loss, True),
                ("training accuracy (%)", _training_accuracy, False),
                ("test accuracy (%)", _test_accuracy, False),
            ):
                kinds: tuple[Trained, ...] = (mine, "real", "gelu")
                found = {kind: histories.find(kind, beta) for kind in kinds}
                finals = {k: _final(own, value) for k, own in found.items() if own is not None}
                if mine not in finals:
                    continue
                rows.append(
                    (
                        (f"beta {beta:g}" if beta else "no penalty")
                        + (", frozen phase" if mine == FROZEN else ""),
                        what,
                        *(_text(finals.get(kind), is_loss) for kind in found),
                        *(
                            _is_better(finals[mine], finals.get(kind), is_loss)
                            for kind in kinds[1:]
                        ),
                    )
                )
        return Table(
            title="After the last epoch, means over the seeds",
            columns=(
                "training",
                "quantity",
                "complex",
                "real",
                "real GELU",
                "complex better than real",
                "complex better than real GELU",
            ),
            rows=tuple(rows),
            note="The paper says of this figure that the real network, though larger, does not "
            "reach the complex one's clean performance, and that under the same strong penalty "
            "the complex network keeps the better performance on training and test images.",
        )


def _test_loss(epoch: EpochMetrics) -> float:
    return _measured(epoch.test_loss)


def _training_accuracy(epoch: EpochMetrics) -> float:
    return 100 * epoch.train_accuracy


def _test_accuracy(epoch: EpochMetrics) -> float:
    return 100 * _measured(epoch.test_accuracy)


def _measured(value: float | None) -> float:
    assert value is not None, "the recipe measures test images after every epoch"
    return value


def _final(history: History, value: Callable[[EpochMetrics], float]) -> float:
    return history.by_epoch(value)[-1]


def _text(value: float | None, is_loss: bool) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if is_loss else f"{value:.2f}"


def _is_better(ours: float, other: float | None, is_loss: bool) -> str:
    if other is None:
        return ""
    return "yes" if (ours < other if is_loss else ours > other) else "no"


def _test_images(histories: Histories) -> str:
    return f"the first {histories[0].networks[0].config.test_images:,}"


def _chart(title: str, histories: Histories, loss: Callable[[EpochMetrics], float]) -> LineChart:
    return LineChart(
        title=title,
        x_label="epoch",
        y_label="cross-entropy (nats)",
        series=tuple(
            Series(
                label=own.label,
                x=tuple(map(float, own.epochs)),
                y=own.by_epoch(loss),
                group=own.kind,
            )
            for own in histories
        ),
    )


def _final_table(title: str, histories: Histories) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for own in histories:
        for network, run in zip(own.networks, own.runs, strict=True):
            final, lowest = run[-1], min(run, key=_test_loss)
            rows.append(
                (
                    own.label,
                    network.config.seed,
                    final.epoch,
                    _text(TRAINING_LOSS.value(final), is_loss=True),
                    _text(_test_loss(final), is_loss=True),
                    _text(_training_accuracy(final), is_loss=False),
                    _text(_test_accuracy(final), is_loss=False),
                    _text(_test_loss(lowest), is_loss=True),
                    lowest.epoch,
                )
            )
    return Table(
        title=title,
        columns=(
            "network",
            "seed",
            "epochs",
            "training loss",
            "test loss",
            "training accuracy",
            "test accuracy",
            "least test loss",
            "after epoch",
        ),
        rows=tuple(rows),
        note="Losses in nats, accuracies in percent, of the last epoch; a row for each network. "
        "The least test loss is for looking back: no network of that epoch is used anywhere.",
    )
