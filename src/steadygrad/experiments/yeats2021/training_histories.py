"""Networks trained without and with the penalty, and what their training measured."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Final, Literal, TypeAlias

from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.experiments.yeats2021.recipes import Kind, Recipe
from steadygrad.training import EpochMetrics

__all__ = [
    "FROZEN",
    "TRAINING_LOSS",
    "Histories",
    "History",
    "Panel",
    "Quantity",
    "Trained",
    "training_caution",
]

FROZEN: Final = "complex, frozen phase"
Trained: TypeAlias = Kind | Literal["complex, frozen phase"]
"""A kind of network, and the complex one with the second-order rule of the paper's code."""


@dataclass(frozen=True)
class Quantity:
    """What an axis shows of an epoch; the label carries the unit."""

    label: str
    value: Callable[[EpochMetrics], float]


TRAINING_LOSS = Quantity("training cross-entropy (nats)", lambda epoch: epoch.data_loss)


@dataclass(frozen=True)
class History:
    """What the training of one kind of network at one beta measured, for each seed.

    beta: 0 without the penalty; runs: the epochs of each network, in its place.
    """

    kind: Trained
    beta: float
    networks: tuple[Network, ...]
    runs: tuple[tuple[EpochMetrics, ...], ...]

    @property
    def label(self) -> str:
        """The networks' own."""
        return self.networks[0].label

    @property
    def epochs(self) -> tuple[int, ...]:
        """The epochs, counted from 1."""
        return tuple(epoch.epoch for epoch in self.runs[0])

    def last(self, count: int) -> "History":
        """Return the last ``count`` epochs, or all if there are fewer."""
        runs = tuple(run[-count:] for run in self.runs)
        return History(self.kind, self.beta, self.networks, runs)

    def by_epoch(self, value: Callable[[EpochMetrics], float]) -> tuple[float, ...]:
        """Return a value of each epoch, the mean over the seeds."""
        return tuple(fmean(map(value, epochs)) for epochs in zip(*self.runs, strict=True))

    def over_epochs(self, value: Callable[[EpochMetrics], float]) -> float:
        """Return the mean of a value over all epochs and seeds."""
        return fmean(self.by_epoch(value))

    def points(self, value: Callable[[EpochMetrics], float]) -> tuple[float, ...]:
        """Return a value of every epoch of every seed, seed by seed."""
        return tuple(value(epoch) for run in self.runs for epoch in run)


class Histories(tuple[History, ...]):
    """The histories of a data set; found by kind and beta."""

    def find(self, kind: Trained, beta: float) -> History | None:
        """Return the history of one kind at one beta, None if no such network is trained."""
        return next((own for own in self if (own.kind, own.beta) == (kind, beta)), None)

    def last(self, count: int) -> "Histories":
        """Return the last ``count`` epochs of each, or all if there are fewer."""
        return Histories(own.last(count) for own in self)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Networks of one data set: every kind at every beta, 0 standing for no penalty.

    With the frozen phase there is one, at the strongest.
    """

    recipe: Recipe
    betas: tuple[float, ...]
    kinds: tuple[Trained, ...] = ("real", "complex", FROZEN, "gelu")

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks, of every seed."""
        return tuple(
            network
            for kind in self.kinds
            for beta in self.betas
            for network in self._of(kind, beta, scale, seeds)
        )

    def histories(self, bench: Workbench) -> Histories:
        """Return what the training of those measured that are trained."""
        histories = []
        for kind in self.kinds:
            for beta in self.betas:
                networks = bench.trained(self._of(kind, beta, bench.scale, bench.seeds))
                if networks:
                    runs = tuple(bench.metrics(network) for network in networks)
                    histories.append(History(kind, beta, networks, runs))
        return Histories(histories)

    def _of(
        self, kind: Trained, beta: float, scale: Scale, seeds: Sequence[int]
    ) -> tuple[Network, ...]:
        if kind != FROZEN:
            return tuple(scale.of(self.recipe.at_beta(kind, beta, seed=seed)) for seed in seeds)
        if beta == 0 or beta != max(self.betas):
            return ()
        networks = (
            self.recipe.penalised_network("complex", beta, seed=seed, second_order="frozen_phase")
            for seed in seeds
        )
        return tuple(map(scale.of, networks))


def training_caution(networks: Iterable[Network]) -> str:
    """Return sentences on what sets training apart, from the paper's or network from network."""
    configs = {network.label: network.config for network in networks}
    sentences = []
    for noise in sorted({config.noise for config in configs.values()} - {"none"}):
        labels = [label for label, config in configs.items() if config.noise == noise]
        if len(labels) < len(configs):
            sentences.append(
                f"Trained on images with noise {noise}, as in the paper, which raises their "
                f"training loss: {'; '.join(labels)}."
            )
    for limit in sorted({config.clip_gradient for config in configs.values()} - {None}, key=str):
        labels = [label for label, config in configs.items() if config.clip_gradient == limit]
        sentences.append(
            f"Parameter gradients cut at length {limit:g}, where the paper has no limit: "
            f"{'; '.join(labels)}."
        )
    return " ".join(sentences)
