"""How much of an experiment is run: a look in seconds, a first answer, or what the paper did."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from steadygrad.errors import UnknownNameError
from steadygrad.experiments.network import Network
from steadygrad.training import TrainingConfig

__all__ = ["SCALES", "Scale", "scale_by_name"]


@dataclass(frozen=True, kw_only=True)
class Scale:
    """A share of the paper's effort; only ``paper`` can be compared with printed numbers.

    limit_train: training images, None for all of them.
    epochs: share of the paper's epochs, in (0, 1]; the rate drops at the same share of the whole.
    attacked: test images that are attacked; clean: those of the clean accuracy, None for all of
        them; worst_case: those that meet every attack, of so many steps and queries (see
        ``worst_case_battery``).
    whole_grids: attack at every radius of a figure, or at those alone that a number hangs on.
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

    def radii(self, grid: Sequence[float], needed: Sequence[float]) -> tuple[float, ...]:
        """Return the grid, or its ends and what of it is needed."""
        if self.whole_grids:
            return tuple(grid)
        wanted = (grid[0], *needed, grid[-1])
        return tuple(eps for eps in grid if any(abs(eps - other) < 1e-9 for other in wanted))

    def of(self, network: Network) -> Network:
        """Return the paper's network at this scale."""
        return Network(network.label, self.shrink(network.config))

    def shrink(self, config: TrainingConfig) -> TrainingConfig:
        """Return the paper's configuration at this scale; at ``paper``, the same."""
        epochs = max(1, round(self.epochs * config.epochs))
        drops = sorted({max(1, round(self.epochs * drop)) for drop in config.drop_at})
        return replace(
            config,
            limit_train=self.limit_train,
            test_images=min(config.test_images, self.clean or config.test_images),
            epochs=epochs,
            drop_at=tuple(drop for drop in drops if drop < epochs),
        )


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
        ),
        Scale(
            name="quick",
            limit_train=10_000,
            epochs=0.2,
            attacked=200,
            worst_case=50,
            clean=None,
            steps=20,
            queries=1000,
        ),
        Scale(
            name="paper", limit_train=None, epochs=1.0, attacked=1000, worst_case=100, clean=None
        ),
    )
}
"""By name, from the smallest to the paper's own."""


def scale_by_name(name: str) -> Scale:
    """Return a scale.

    Raises: UnknownNameError, listing the names.
    """
    if name not in SCALES:
        raise UnknownNameError(f"expected scale one of {', '.join(SCALES)}, got {name!r}")
    return SCALES[name]
