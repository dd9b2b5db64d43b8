"""Loss on training and on test images, epoch by epoch, with and without a penalty."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

from steadygrad.experiments.chart import LineChart, Series
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.training_histories import (
    TRAINING_LOSS,
    Histories,
    History,
    Panel,
    training_caution,
)
from steadygrad.experiments.workbench import Workbench
from steadygrad.training import EpochMetrics

__all__ = ["TrainingLosses"]


@dataclass(frozen=True, kw_only=True)
class TrainingLosses(Artefact):
    """The cross-entropy alone, without the penalty, as each epoch measured it.

    Args:
        panel: networks that measured test images after each epoch (``test_images``).
        claim: what the paper says of the figure, for the note of the table that judges it.
    """

    panel: Panel
    claim: str

    @property
    def title(self) -> str:
        """What it shows."""
        return f"training and test loss on {self.panel.data_title}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the panel's networks."""
        return self.panel.networks(scale, seeds)

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Read what the training measured."""
        histories = self.panel.histories(bench)
        seeds = ", ".join(map(str, bench.seeds))
        images = bench.scale.limit_train
        caption = (
            f"{self.panel.data_title}, scale {bench.scale.name}: cross-entropy without the "
            "penalty, a line is the mean over the seeds "
            f"({seeds}). Training loss: on {'all' if images is None else f'{images:,}'} training "
            "images, augmented, in training mode, as used in the steps over the epoch. Test "
            f"loss: on {_test_images(histories)} test images after the epoch; the paper calls "
            "them validation, and nothing was chosen by them. "
            f"{self.panel.caution} "
            f"{training_caution(network for own in histories for network in own.networks)}"
        )
        return ExperimentOutcome(
            caption=" ".join(caption.split()),
            charts={
                self.stem: (
                    _chart("Training images", histories, TRAINING_LOSS.value),
                    _chart("Test images", histories, _test_loss),
                )
            },
            tables={
                self.stem: _final_table(self.title, histories),
                f"{self.stem}-complex-against-real": self._claims(histories),
            },
        )

    def _claims(self, histories: Histories) -> Table:
        """Return the paper's sentences on the figure as differences after the last epoch."""
        panel = self.panel
        ours, *rivals = (panel.titles[kind] for kind in (panel.ours[0], *panel.rivals))
        rows: list[tuple[Cell, ...]] = []
        for strength, mine in product(panel.strengths, panel.ours):
            own = histories.find(mine, strength)
            if own is None:
                continue
            for what, value, is_loss in (
                ("training loss (nats)", TRAINING_LOSS.value, True),
                ("test loss (nats)", _test_loss, True),
                ("training accuracy (%)", _training_accuracy, False),
                ("test accuracy (%)", _test_accuracy, False),
            ):
                others = [histories.find(kind, strength) for kind in panel.rivals]
                finals = [None if o is None else _final(o, value) for o in others]
                mine_at_last = _final(own, value)
                rows.append(
                    (
                        own.member.training,
                        what,
                        *(_text(final, is_loss) for final in (mine_at_last, *finals)),
                        *(_is_better(mine_at_last, final, is_loss) for final in finals),
                    )
                )
        return Table(
            title="After the last epoch, means over the seeds",
            columns=(
                "training",
                "quantity",
                ours,
                *rivals,
                *(f"{ours} better than {rival}" for rival in rivals),
            ),
            rows=tuple(rows),
            note=self.claim,
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
                group=own.member.kind,
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
