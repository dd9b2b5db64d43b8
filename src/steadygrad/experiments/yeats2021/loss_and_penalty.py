"""The supplement's Figure 1: classification loss against the penalty, epoch by epoch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from steadygrad.experiments.experiment import Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.epoch_points import (
    LAST_EPOCHS,
    PANELS,
    MeasuredPanel,
    epochs_below,
    measured_panels,
    panels_caption,
    points_chart,
)
from steadygrad.experiments.yeats2021.training_histories import TRAINING_LOSS, Panel, Quantity

__all__ = ["LossAndPenalty"]

PENALTY = Quantity("penalty as it enters the loss (nats)", lambda epoch: epoch.penalty)


@dataclass(frozen=True, kw_only=True)
class LossAndPenalty:
    """A point an epoch and seed of Figure 5's penalised networks: both terms of what is minimised.

    The penalty is measured where it is part of the loss: networks without one have no point.
    """

    name: str = "yeats2021/supplement-figure1"
    panels: tuple[Panel, ...] = PANELS
    last_epochs: int = LAST_EPOCHS

    @property
    def title(self) -> str:
        """What it shows."""
        return "classification loss against the penalty in training"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return Figure 5's networks, but for those without penalty."""
        return tuple(n for panel in self._penalised() for n in panel.networks(scale, seeds))

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the paper prints points alone."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Read what the training measured."""
        panels = measured_panels(self._penalised(), bench, self.last_epochs)
        explanation = (
            f"A point is the mean over an epoch's images: the last {self.last_epochs} epochs, or "
            "all if there are fewer, of every seed, on training images as the steps met them. "
            "Penalty: as it enters the loss, strength times the mean of N^2, with N the L1 norm "
            "of an image's own loss gradient; the strength is the paper's beta over the squared "
            "batch size, since its code differentiates the mean loss of a batch, so that beta "
            "times the mean of its (N / batch size)^2 is the same number."
        )
        return ExperimentOutcome(
            caption=panels_caption(bench, panels, explanation),
            charts={
                "supplement-figure1": tuple(
                    points_chart(own, PENALTY, TRAINING_LOSS) for own in panels
                )
            },
            tables={
                "supplement-figure1": _means_table(self.title, panels),
                "supplement-figure1-both-terms": _both_terms_table(panels),
            },
        )

    def _penalised(self) -> tuple[Panel, ...]:
        return tuple(
            replace(panel, betas=tuple(beta for beta in panel.betas if beta))
            for panel in self.panels
        )


def _means_table(title: str, panels: Sequence[MeasuredPanel]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in panels:
        for own in panel.histories:
            penalty = own.over_epochs(PENALTY.value)
            rows.append(
                (
                    panel.title,
                    own.label,
                    len(own.networks),
                    len(own.epochs),
                    f"{own.over_epochs(TRAINING_LOSS.value):.4f}",
                    f"{penalty:.4f}",
                    f"{penalty / own.networks[0].config.strength:.3f}",
                    f"{penalty / own.beta:.6f}",
                )
            )
    return Table(
        title=f"{title}, means",
        columns=(
            "data set",
            "network",
            "seeds",
            "epochs",
            "loss (nats)",
            "penalty (nats)",
            "squared norm of an image's gradient",
            "the paper's, before beta",
        ),
        rows=tuple(rows),
        note="Means over the epochs shown and over the seeds. The penalty over the strength is "
        "the mean squared L1 norm of an image's own gradient, in squared nats per squared pixel "
        "range; over the paper's beta it is the norm that the paper's code takes, of a batch's "
        "mean loss.",
    )


def _both_terms_table(panels: Sequence[MeasuredPanel]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in panels:
        for ours, other in panel.pairs():
            loss = epochs_below(ours, other, TRAINING_LOSS)
            penalty = epochs_below(ours, other, PENALTY)
            both = tuple(map(all, zip(loss, penalty, strict=True)))
            counts = (f"{sum(flags)} of {len(flags)}" for flags in (loss, penalty, both))
            rows.append((panel.title, ours.label, other.label, *counts))
    return Table(
        title="Does the complex network do better at both terms?",
        columns=(
            "data set",
            "complex network",
            "other network",
            "loss lower",
            "penalty lower",
            "both lower",
        ),
        rows=tuple(rows),
        note="Epochs in which the complex network's mean over the seeds is the "
        "lower one. The paper concludes that complex networks are more capable of satisfying "
        "both objectives.",
    )
