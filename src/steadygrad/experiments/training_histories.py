"""Networks trained without and with a penalty, and what their training measured."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from statistics import fmean

from steadygrad.datasets import AUGMENTATIONS, Noise
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import Workbench
from steadygrad.training import ClipNorm, EpochMetrics, TrainingConfig

__all__ = [
    "TRAINING_LOSS",
    "Histories",
    "History",
    "Member",
    "Panel",
    "Quantity",
    "training_caution",
]


@dataclass(frozen=True)
class Quantity:
    """What an axis shows of an epoch; the label carries the unit."""

    label: str
    value: Callable[[EpochMetrics], float]


TRAINING_LOSS = Quantity("training cross-entropy (nats)", lambda epoch: epoch.data_loss)


@dataclass(frozen=True, kw_only=True)
class Member:
    """A network of a panel, of any seed.

    Args:
        kind: what it has in common with those that share its colour, a key of ``Panel.titles``.
        strength: of the penalty, as the paper counts it; 0 without one.
        training: how it was trained, for the rows of tables.
    """

    kind: str
    strength: float
    training: str
    network: Network


@dataclass(frozen=True)
class History:
    """What the training of a panel's member measured, for each seed.

    runs: the epochs of each network, in its place.
    """

    member: Member
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
        return History(self.member, self.networks, runs)

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
    """The histories of a data set; found by kind and strength."""

    def find(self, kind: str, strength: float) -> History | None:
        """Return the history of one kind at one strength, None if no such network is trained."""
        wanted = (kind, strength)
        return next((o for o in self if (o.member.kind, o.member.strength) == wanted), None)

    def last(self, count: int) -> "Histories":
        """Return the last ``count`` epochs of each, or all if there are fewer."""
        return Histories(own.last(count) for own in self)


@dataclass(frozen=True, kw_only=True)
class Panel:
    """Networks of one data set.

    Args:
        data_title: the data set for people; caution: what keeps results on it from being compared
            with the paper's, "" for nothing.
        members: the networks.
        ours: kinds that the paper makes a claim for; rivals: kinds that it is held against.
        titles: what a column calls a kind; that of the first of ``ours`` stands for them all.
    """

    data_title: str
    members: tuple[Member, ...]
    ours: tuple[str, ...]
    rivals: tuple[str, ...]
    titles: Mapping[str, str]
    caution: str = ""

    @property
    def strengths(self) -> tuple[float, ...]:
        """Every strength of the penalty, in order, each once."""
        return tuple(dict.fromkeys(member.strength for member in self.members))

    def penalised(self) -> "Panel":
        """Return the panel without the networks that have no penalty."""
        return replace(self, members=tuple(m for m in self.members if m.strength))

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks, of every seed, member by member."""
        return tuple(
            network for member in self.members for network in scale.all_of([member.network], seeds)
        )

    def histories(self, bench: Workbench) -> Histories:
        """Return what the training of those measured that are trained."""
        histories = []
        for member in self.members:
            networks = bench.trained(bench.scale.all_of([member.network], bench.seeds))
            if networks:
                runs = tuple(bench.metrics(network) for network in networks)
                histories.append(History(member, networks, runs))
        return Histories(histories)

    def pairs(self, histories: Histories) -> Iterator[tuple[History, History]]:
        """Yield one of ours and a rival under the same penalty, of those that have one."""
        for strength, mine, rival in product(self.strengths, self.ours, self.rivals):
            one, other = histories.find(mine, strength), histories.find(rival, strength)
            if strength and one is not None and other is not None:
                yield one, other


def training_caution(networks: Iterable[Network]) -> str:
    """Return sentences on what sets training apart, from the paper's or network from network."""
    variants = tuple({network.variant: network for network in networks}.values())
    sentences = []
    noises = {n.variant: _noise(n.config) for n in variants}
    for noise in sorted({text for text in noises.values() if text is not None}):
        labels = [n.label for n in variants if noises[n.variant] == noise]
        if len(labels) < len(variants):
            sentences.append(
                f"Trained on images with noise {noise}, as in the paper, which raises their "
                f"training loss: {'; '.join(labels)}."
            )
    limits = {n.variant: _limit(n.config) for n in variants}
    for limit in sorted({length for length in limits.values() if length is not None}):
        labels = [n.label for n in variants if limits[n.variant] == limit]
        sentences.append(
            f"Parameter gradients cut at length {limit:g}, where the paper has no limit: "
            f"{'; '.join(labels)}."
        )
    return " ".join(sentences)


def _noise(config: TrainingConfig) -> str | None:
    for step in config.augmentation:
        if isinstance(step, Noise):
            return AUGMENTATIONS.text(step)
    return None


def _limit(config: TrainingConfig) -> float | None:
    return config.clipping.length if isinstance(config.clipping, ClipNorm) else None
