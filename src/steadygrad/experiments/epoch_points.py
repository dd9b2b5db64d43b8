"""A point an epoch: the training loss against something else that the training measured."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from steadygrad.experiments.chart import LineChart, Series
from steadygrad.experiments.experiment import Artefact, Cell, ExperimentOutcome, Table
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.training_histories import (
    TRAINING_LOSS,
    Histories,
    History,
    Panel,
    Quantity,
    training_caution,
)
from steadygrad.experiments.workbench import Workbench
from steadygrad.training import EpochMetrics

__all__ = ["LossAndPenalty", "UpdateSimilarity"]

LAST_EPOCHS = 25
"""So many Yeats et al. (2021) show."""


def _similarity(epoch: EpochMetrics) -> float:
    if epoch.penalty == 0 and epoch.update_similarity is None:
        return 1.0  # without a penalty the two gradients are one
    assert epoch.update_similarity is not None, "the recipe records it under a penalty"
    return epoch.update_similarity


SIMILARITY = Quantity("parameter-update similarity (cosine)", _similarity)
PENALTY = Quantity("penalty as it enters the loss (nats)", lambda epoch: epoch.penalty)


@dataclass(frozen=True)
class _Measured:
    """A panel with the histories of those of its networks that are trained."""

    panel: Panel
    histories: Histories

    @property
    def title(self) -> str:
        """The data set's."""
        return self.panel.data_title


@dataclass(frozen=True, kw_only=True)
class UpdateSimilarity(Artefact):
    """A point an epoch and seed: Eq. (11), averaged over the epoch's steps, and the data loss.

    Source: Yeats, Chen & Li, ICML 2021, Figure 5.

    Args:
        panels: one data set each; their penalised networks must have recorded the similarity.
        last_epochs: how many are shown.
    """

    panels: tuple[Panel, ...]
    last_epochs: int = LAST_EPOCHS
    title: str = "training loss against parameter-update similarity"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the panels' networks."""
        return tuple(n for panel in self.panels for n in panel.networks(scale, seeds))

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Read what the training measured."""
        panels = _measured(self.panels, bench, self.last_epochs)
        explanation = (
            f"A point is the mean over an epoch's steps: the last {self.last_epochs} epochs, or "
            "all if there are fewer, of every seed. Similarity: cosine between the parameter "
            "gradients without and with the penalty (Eq. 11); without a penalty they are one and "
            "the same, and the points stand at 1 by definition. Loss: cross-entropy without the "
            "penalty, on training images as used in the steps."
        )
        return ExperimentOutcome(
            caption=_caption(bench, panels, explanation),
            charts={self.stem: tuple(_chart(own, SIMILARITY, TRAINING_LOSS) for own in panels)},
            tables={
                self.stem: _similarity_table(self.title, panels),
                f"{self.stem}-claims": _claims_table(panels),
            },
        )


@dataclass(frozen=True, kw_only=True)
class LossAndPenalty(Artefact):
    """A point an epoch and seed of penalised networks: both terms of what is minimised.

    The penalty is measured where it is part of the loss: networks without one have no point.
    Source: Yeats, Chen & Li, ICML 2021, supplement, Figure 1.

    Args:
        panels: one data set each; last_epochs: how many are shown.
    """

    panels: tuple[Panel, ...]
    last_epochs: int = LAST_EPOCHS
    title: str = "classification loss against the penalty in training"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the panels' networks, but for those without penalty."""
        return tuple(n for own in self.panels for n in own.penalised().networks(scale, seeds))

    def measure(self, bench: Workbench) -> ExperimentOutcome:
        """Read what the training measured."""
        penalised = [panel.penalised() for panel in self.panels]
        panels = _measured(penalised, bench, self.last_epochs)
        explanation = (
            f"A point is the mean over an epoch's images: the last {self.last_epochs} epochs, or "
            "all if there are fewer, of every seed, on training images as used in the steps. "
            "Penalty: as it enters the loss, strength times the mean of N^2, with N the L1 norm "
            "of an image's own loss gradient; the strength is the paper's beta over the squared "
            "batch size, since its code differentiates the mean loss of a batch, so that beta "
            "times the mean of its (N / batch size)^2 is the same number."
        )
        return ExperimentOutcome(
            caption=_caption(bench, panels, explanation),
            charts={self.stem: tuple(_chart(own, PENALTY, TRAINING_LOSS) for own in panels)},
            tables={
                self.stem: _penalty_table(self.title, panels),
                f"{self.stem}-both-terms": _both_terms_table(panels),
            },
        )


def _measured(panels: Sequence[Panel], bench: Workbench, last: int) -> tuple[_Measured, ...]:
    """Return the last epochs of what is trained; a panel of which nothing is, is left out."""
    found = (_Measured(panel, panel.histories(bench).last(last)) for panel in panels)
    return tuple(panel for panel in found if panel.histories)


def _caption(bench: Workbench, panels: Sequence[_Measured], explanation: str) -> str:
    """Return what the figure must say besides: data, scale, seeds and cautions."""
    titles = " and ".join(panel.title for panel in panels)
    limit = bench.scale.limit_train
    images = "all training images" if limit is None else f"at most {limit:,} training images"
    cautions = (f"{own.title}: {own.panel.caution}." for own in panels if own.panel.caution)
    parts = (
        f"{titles}, scale {bench.scale.name}, {images}, seeds {', '.join(map(str, bench.seeds))}.",
        explanation,
        training_caution(
            network for own in panels for found in own.histories for network in found.networks
        ),
        *cautions,
    )
    return " ".join(part for part in parts if part)


def _chart(panel: _Measured, x: Quantity, y: Quantity) -> LineChart:
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
                group=own.member.kind,
                drawn="points",
            )
            for own in panel.histories
        ),
    )


def _epochs_below(ours: History, other: History, quantity: Quantity) -> tuple[bool, ...]:
    """Return for each epoch whether our mean over the seeds is the lower one."""
    means = (history.by_epoch(quantity.value) for history in (ours, other))
    return tuple(own < rival for own, rival in zip(*means, strict=True))


def _similarity_table(title: str, panels: Sequence[_Measured]) -> Table:
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


def _claims_table(panels: Sequence[_Measured]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in panels:
        for ours, other in panel.panel.pairs(panel.histories):
            for claim, quantity in (
                ("lower similarity", SIMILARITY),
                ("strictly lower training loss", TRAINING_LOSS),
            ):
                below = _epochs_below(ours, other, quantity)
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


def _penalty_table(title: str, panels: Sequence[_Measured]) -> Table:
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
                    f"{penalty / _strength(own.networks[0]):.3f}",
                    f"{penalty / own.member.strength:.6f}",
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


def _both_terms_table(panels: Sequence[_Measured]) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for panel in panels:
        for ours, other in panel.panel.pairs(panel.histories):
            loss = _epochs_below(ours, other, TRAINING_LOSS)
            penalty = _epochs_below(ours, other, PENALTY)
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


def _strength(network: Network) -> float:
    penalty: Any = network.config.penalty
    strength: float = penalty.strength
    return strength
