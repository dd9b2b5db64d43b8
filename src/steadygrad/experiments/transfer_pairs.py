"""Adversarial examples of one network shown to another that was trained independently of it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import torch
from torch import Tensor

from steadygrad.attacks import Attack
from steadygrad.evaluation import AccuracyPoint, TransferMatrix, transfer_matrix
from steadygrad.experiments.accuracies import MeanAccuracy, mean_accuracy
from steadygrad.experiments.network import Network
from steadygrad.experiments.workbench import EVALUATION_SEED, Workbench
from steadygrad.store import Store

__all__ = ["PARTNER", "SeedPair", "TransferCell", "TransferCells", "transfer_cells"]

PARTNER = 100
"""What is added to a seed for the networks on the other side of a transfer."""

EXAMPLES = "adversarial-examples"
"""Folder beside the networks in which the examples are kept."""

_OwnPoint: TypeAlias = Callable[["SeedPair", str, int], AccuracyPoint]


@dataclass(frozen=True, kw_only=True)
class TransferCell:
    """One cell of the table: an accuracy for each pair of networks.

    is_crossed: whether source and victim have different seeds in every pair.
    """

    points: tuple[AccuracyPoint, ...]
    is_crossed: bool = True

    @property
    def mean(self) -> MeanAccuracy:
        """The mean of all pairs."""
        return mean_accuracy(self.points)


@dataclass(frozen=True)
class SeedPair:
    """Networks of a seed and of its partner, and what each made of the others' examples.

    names: in ``matrix``, by variant and seed, of those that are trained.
    """

    seeds: tuple[int, int]
    names: Mapping[tuple[str, int], str]
    matrix: TransferMatrix = field(repr=False)

    def seeds_of(self, variant: str) -> Iterator[int]:
        """Yield the seeds of which the network is trained."""
        yield from (seed for seed in self.seeds if (variant, seed) in self.names)

    def source_seed(self, source: str, victim: str, seed: int, *, is_crossed: bool) -> int | None:
        """Return the seed of the source for a victim of ``seed``; None if it is not trained.

        The other seed if crossed. Otherwise the victim's own, but never the victim itself.
        """
        if not is_crossed and source == victim:
            return None
        found = sum(self.seeds) - seed if is_crossed else seed
        return found if (source, found) in self.names else None

    def correct(self, source: tuple[str, int], victim: tuple[str, int]) -> Tensor:
        """Return which of the source's examples the victim classifies correctly, bool (n,)."""
        row = self.matrix.victims.index(self.names[victim])
        column = self.matrix.sources.index(self.names[source])
        return self.matrix.correct[row, column]

    def point(self, correct: Tensor) -> AccuracyPoint:
        """Return the accuracy that such a tensor means."""
        return AccuracyPoint(self.matrix.eps, int(correct.sum()), len(correct))

    def self_point(self, variant: str, seed: int) -> AccuracyPoint:
        """Return a network's accuracy on its own examples."""
        return self.matrix.self_cell(self.names[variant, seed])

    def clean_point(self, variant: str, seed: int) -> AccuracyPoint:
        """Return a network's accuracy on the same images without attack."""
        return self.matrix.clean_cell(self.names[variant, seed])


@dataclass(frozen=True)
class TransferCells:
    """The cells of one data set, over all seeds; networks by their variants."""

    pairs: tuple[SeedPair, ...]

    def cell(self, source: str, victim: str) -> TransferCell | None:
        """Return a cell; None if no two networks for it are trained.

        Of different seeds, in both directions; only where there are no such two, of one seed.
        """
        for is_crossed in (True, False):
            points = tuple(
                pair.point(pair.correct((source, found), (victim, seed)))
                for pair in self.pairs
                for seed in pair.seeds_of(victim)
                if (found := pair.source_seed(source, victim, seed, is_crossed=is_crossed))
                is not None
            )
            if points:
                return TransferCell(points=points, is_crossed=is_crossed)
        return None

    def self_cell(self, variant: str) -> TransferCell | None:
        """Return the accuracy of networks on their own examples; None if none is trained."""
        return self._own(variant, SeedPair.self_point)

    def clean_cell(self, variant: str) -> TransferCell | None:
        """Return the accuracy of networks without attack; None if none is trained."""
        return self._own(variant, SeedPair.clean_point)

    def worst_case(self, victim: str, sources: Sequence[str]) -> tuple[TransferCell, int] | None:
        """Return the share of images that a victim classifies correctly on every source's example.

        Along with it the number of sources. A source whose network of the other seed is missing
        stands in with that of the victim's seed; counted are the victims with the fewest stand-ins
        among those with the most sources. None, if there is no source for any.
        """
        found = []
        for pair in self.pairs:
            for seed in pair.seeds_of(victim):
                used = {
                    source: chosen
                    for source in sources
                    for is_crossed in (False, True)  # the latter, if there is one, stays
                    if (chosen := pair.source_seed(source, victim, seed, is_crossed=is_crossed))
                    is not None
                }
                if used:
                    rows = [pair.correct(source, (victim, seed)) for source in used.items()]
                    crossed = sum(chosen != seed for chosen in used.values())
                    point = pair.point(torch.stack(rows).all(dim=0))
                    found.append((len(used), crossed, point))
        if not found:
            return None
        most, crossed, _ = max(found, key=lambda entry: entry[:2])
        points = tuple(point for *counts, point in found if counts == [most, crossed])
        return TransferCell(points=points, is_crossed=crossed == most), most

    def _own(self, variant: str, point: _OwnPoint) -> TransferCell | None:
        points = tuple(
            point(pair, variant, seed) for pair in self.pairs for seed in pair.seeds_of(variant)
        )
        return TransferCell(points=points) if points else None


def transfer_cells(
    bench: Workbench, networks: Sequence[Network], sources: Sequence[str], attack: Attack
) -> TransferCells:
    """Attack the networks whose variant is in ``sources``, show the examples to all.

    networks: of one data set, of every seed of the bench and of its partner, trained or not. The
    first ``bench.scale.attacked`` test images, all counted.
    """
    pairs = []
    for seed in bench.seeds:
        seeds = (seed, seed + PARTNER)
        trained = bench.trained([n for n in networks if n.config.seed in seeds])
        names = {(n.variant, n.config.seed): f"{n.variant}, seed {n.config.seed}" for n in trained}
        attacked = [name for (variant, _), name in names.items() if variant in sources]
        if not attacked:
            continue
        data = bench.image_set(trained[0].config.data, bench.scale.attacked)
        bench.progress(
            f"transfer on {len(data)} images of {data.name}, seeds {seed} and {seeds[1]}"
        )
        models = {names[n.variant, n.config.seed]: bench.model(n) for n in trained}
        matrix = transfer_matrix(
            {name: models[name] for name in attacked},
            data.images(),
            data.labels,
            attack,
            victims=models,
            seed=EVALUATION_SEED,
            store=Store(bench.store.folder / EXAMPLES),
            dataset=data.name,
            split=data.split,
        )
        pairs.append(SeedPair(seeds, names, matrix))
    return TransferCells(tuple(pairs))
