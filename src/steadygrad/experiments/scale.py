"""How much of an experiment is run: a look in seconds, a first answer, or what the paper did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from steadygrad.errors import UnknownNameError
from steadygrad.experiments.network import Network
from steadygrad.parts import nearest
from steadygrad.training import Constant, MultiStep, Schedule, TrainingConfig

__all__ = ["SCALES", "Scale", "scale_by_name"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A share of the paper's effort.

    limit_train: training images, None for all of them.
    epochs: share of the paper's epochs, in (0, 1]; the rate drops at the same share of the whole.
    attacked: test images that are attacked; clean: those of the clean accuracy, None for all of
        them; worst_case: those that meet every attack, of so many steps and queries (see
        ``worst_case_battery``).
    whole_grids: attack at every radius of a figure, or at those alone that a number hangs on.
    queried: images of an attack by queries; query_limit: queries for each of them at most, None
        for as many as the paper's.
    timed_steps: optimizer steps of each network where time is measured.
    is_comparable: whether results may be held against printed numbers.
    """

    name: str
    limit_train: int | None
    epochs: float
    attacked: int
    worst_case: int
    clean: int | None = None
    steps: int = 50
    queries: int = 5000
    whole_grids: bool = True
    queried: int = 1000
    query_limit: int | None = None
    timed_steps: int = 30
    is_comparable: bool = False

    def radii(self, grid: Sequence[float], needed: Sequence[float]) -> tuple[float, ...]:
        """Return the grid, or its ends and what of it is needed."""
        if self.whole_grids:
            return tuple(grid)
        wanted = (grid[0], *needed, grid[-1])
        return tuple(eps for eps in grid if any(abs(eps - other) < 1e-9 for other in wanted))

    def attack_steps(self, steps: int) -> int:
        """Return the steps of an attack; where not even whole grids are attacked, a few."""
        return steps if self.whole_grids else min(steps, self.steps)

    def of(self, network: Network) -> Network:
        """Return the paper's network at this scale."""
        return replace(network, config=self.shrink(network.config))

    def all_of(self, networks: Sequence[Network], seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks of every seed at this scale, seed by seed."""
        return tuple(self.of(network.of_seed(seed)) for seed in seeds for network in networks)

    def obstacle(self, caution: str) -> str | None:
        """Return why nothing measured at this scale can be compared with the paper, or None.

        Args:
            caution: what else keeps it from being compared, "" for nothing.
        """
        reasons = [] if self.is_comparable else [f"run at scale {self.name}, not the paper's"]
        return "; ".join([*reasons, *([caution] if caution else [])]) or None

    def shrink(self, config: TrainingConfig) -> TrainingConfig:
        """Return the paper's configuration at this scale; at ``paper``, the same."""
        epochs = max(1, round(self.epochs * config.epochs))
        return replace(
            config,
            limit_train=_fewer(config.limit_train, self.limit_train),
            test_images=min(config.test_images, self.clean or config.test_images),
            epochs=epochs,
            schedule=self._shrunk(config.schedule, epochs),
        )

    def _shrunk(self, schedule: Schedule, epochs: int) -> Schedule:
        """Return a schedule whose drops come in proportion, those before the last epoch."""
        if not isinstance(schedule, MultiStep):
            return schedule
        drops = sorted({max(1, round(self.epochs * drop)) for drop in schedule.at})
        kept = tuple(drop for drop in drops if drop < epochs)
        return replace(schedule, at=kept) if kept else Constant()


def _fewer(one: int | None, other: int | None) -> int | None:
    """Return the smaller of two limits; None is none."""
    return min((limit for limit in (one, other) if limit is not None), default=None)


SCALES: Mapping[str, Scale] = {
    scale.name: scale
    for scale in (
        Scale(
            name="smoke",
            limit_train=128,
            epochs=0.01,
            attacked=8,
            worst_case=2,
            clean=100,
            steps=2,
            queries=20,
            whole_grids=False,
            queried=8,
            query_limit=64,
            timed_steps=2,
        ),
        Scale(
            name="quick",
            limit_train=10_000,
            epochs=0.2,
            attacked=200,
            worst_case=50,
            steps=20,
            queries=1000,
            queried=100,
            timed_steps=10,
        ),
        Scale(
            name="paper",
            limit_train=None,
            epochs=1.0,
            attacked=1000,
            worst_case=100,
            is_comparable=True,
        ),
    )
}
"""By name, from the smallest to the paper's own."""


def scale_by_name(name: str) -> Scale:
    """Return a scale.

    Raises: UnknownNameError, listing the names.
    """
    if name not in SCALES:
        raise UnknownNameError(
            f"expected scale one of {', '.join(SCALES)}, got {name!r}{nearest(name, list(SCALES))}"
        )
    return SCALES[name]
