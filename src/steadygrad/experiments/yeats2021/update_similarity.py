"""Figure 5: training loss against the similarity of plain and penalised parameter updates."""

from collections.abc import Sequence
from dataclasses import dataclass

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
from steadygrad.training import EpochMetrics

__all__ = ["UpdateSimilarity"]


def _similarity(epoch: EpochMetrics) -> float:
    if epoch.penalty == 0 and epoch.update_similarity is None:
        return 1.0  # without a penalty the two gradients are one
    assert epoch.update_similarity is not None, "the recipe records it under a penalty"
    return epoch.update_similarity


SIMILARITY = Quantity("parameter-update similarity (cosine)", _similarity)


@dataclass(frozen=True, kw_only=True)
class UpdateSimilarity:
    """A point an epoch and seed: Eq. (11), averaged over the epoch's steps, and the data loss.

    panels: one data set each; their penalised networks must have recorded the similarity.
    """

    name: str = "yeats2021/figure5"
    panels: tuple[Panel, ...] = PANELS
    last_epochs: int = LAST_EPOCHS

    @property
    def title(self) -> str:
        """What it shows."""
        return "training loss against parameter-update similarity"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the paper's networks, the smooth twin's and those of a smaller beta."""
        return tuple(n for panel in self.panels for n in panel.networks(scale, seeds))

    def printed_paths(self) -> tuple[str, ...]:
        """Return none: the paper prints points alone."""
        return ()

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Read what the training measured."""
        panels = measured_panels(self.panels, bench, self.last_epochs)
        explanation = (
            f"A point is the mean over an epoch's steps: the last {self.last_epochs} epochs, or "
            "all if there are fewer, of every seed. Similarity: cosine between the parameter "
            "gradients without and with the penalty (Eq. 11); without a penalty they are one and "
            "the same, and the points stand at 1 by definition. Loss: cross-entropy without the "
            "penalty, on training images as the steps met them."
        )
        return ExperimentOutcome(
            caption=panels_caption(bench, panels, explanation),
            charts={
                "figure5": tuple(points_chart(own, SIMILARITY, TRAINING_LOSS) for own in panels)
            },
            tables={
                "figure5": _means_table(self.title, panels),
                "figure5-claims": _claims_table(panels),
            },
        )


def _means_table(title: str, panels: Sequence[MeasuredPanel]) -> Table:
    rows: list[tuple[Cell, ...]] = [
        (
            panel.title,
            own.label,
            len(own.networks),
            len(own.epochs),
            f"{own.over_epochs(SIMILARITY.value):.4f}",
            f"{own.over_epochs(TRAINING_LOSS.value):.4f}",
        )
        for panel in panels
        for own in panel.histories
    ]
    return Table(
        title=f"{title}, means",
        columns=("data set", "network", "seeds", "epochs", "similarity", "training loss"),
        rows=tuple(rows),
        note="Means over the epochs shown and over the seeds; losses in nats. Without a penalty "
        "the similarity is 1 by definition.",
    )


def _claims_table(panels: Sequence[MeasuredPanel]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in panels:
        for ours, other in panel.pairs():
            for claim, quantity in (
                ("lower similarity", SIMILARITY),
                ("strictly lower training loss", TRAINING_LOSS),
            ):
                below = epochs_below(ours, other, quantity)
                mean, rival = (own.over_epochs(quantity.value) for own in (ours, other))
                holds = all(below) if quantity is TRAINING_LOSS else mean < rival
                rows.append(
                    (
                        panel.title,
                        claim,
                        ours.label,
                        f"{mean:.4f}",
                        other.label,
                        f"{rival:.4f}",
                        f"{sum(below)} of {len(below)}",
                        "yes" if holds else "no",
                    )
                )
    return Table(
        title="Does the complex network have the lower similarity, and the lower loss?",
        columns=(
            "data set",
            "claim",
            "complex network",
            "mean",
            "other network",
            "its value",
            "epochs that agree",
            "holds",
        ),
        rows=tuple(rows),
        note="Means over the epochs shown and over the seeds, and the epochs in which the complex "
        "network's mean over the seeds is the lower one. The paper claims of the real network "
        "that the complex one tends to a lower similarity (holds: its mean is lower), and that "
        "its training loss is strictly lower (holds: in every epoch). The same is asked of the "
        "smooth twin.",
    )
