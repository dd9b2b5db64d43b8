"""Numbers that a paper's text prints about a figure, and what of ours stands beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from steadygrad.evaluation import AccuracyPoint
from steadygrad.experiments.accuracies import (
    Accuracies,
    MeanAccuracy,
    difference_interval,
    mean_accuracy,
)
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.network import Network
from steadygrad.experiments.workbench import NOT_TRAINED

__all__ = [
    "NETWORK_SPREAD",
    "Printed",
    "PrintedAccuracy",
    "PrintedDifference",
    "PrintedRadius",
    "allowed_spread",
    "compared_accuracy",
    "compared_with_print",
]

NEAR_ZERO = 0.05
"""Below this, accuracy "approaches zero"."""

NETWORK_SPREAD = 2.0
"""Percentage points allowed where our own networks lie closer together, or there is but one.

Under PGD(8) at eps 0.16 two seeds of ``docs/science/mnist.md`` lie 0.6 points apart (complex) and
8.7 (real, collapsed by its penalty): no number holds for all, so measured spreads come first.
"""


@dataclass(frozen=True)
class Reading:
    """Our number in the paper's units, its 95 % interval, and what it is.

    Without a value, the remark says why there is none.
    """

    value: float | None
    interval: tuple[float, float] | None
    remark: str


class Printed(Protocol):
    """A number that the paper prints. ``path``: where, in its data file."""

    @property
    def quantity(self) -> str:
        """What it is, for people."""

    @property
    def path(self) -> str:
        """Where it stands in the data file."""

    @property
    def tolerance(self) -> float:
        """How far ours may lie from it for rounding in print."""

    @property
    def eps(self) -> float | None:
        """The radius that ours is read at; None if it takes the whole curve."""

    def ours(self, measured: Mapping[str, Accuracies]) -> Reading | None:
        """Return our number; None if a network that it needs is missing.

        Args:
            measured: accuracies by the networks' variant.
        """


@dataclass(frozen=True, kw_only=True)
class PrintedAccuracy:
    """The accuracy of the worst of some networks at a radius; 0 is clean.

    Args:
        networks: of any seed and scale.
        is_marked: whether the figure marks the printed value. A second reading of one and the same
            number has no second mark.
    """

    quantity: str
    path: str
    networks: tuple[Network, ...]
    eps: float
    tolerance: float = 1.0
    is_marked: bool = True

    def ours(self, measured: Mapping[str, Accuracies]) -> Reading | None:
        """Return the lowest accuracy of those that are trained, in percent."""
        trained = [measured[n.variant] for n in self.networks if n.variant in measured]
        if not trained:
            return None
        lowest = min(trained, key=lambda one: _point(one, self.eps).accuracy)
        point = _point(lowest, self.eps)
        low, high = point.ci95
        remark = f"{len(lowest.networks)} seed(s)"
        if len(self.networks) > 1:
            remark = f"the lowest of {len(trained)} networks, {lowest.label}; {remark}"
        if len(trained) < len(self.networks):
            remark += f"; {len(self.networks) - len(trained)} more not trained yet"
        return Reading(100 * point.accuracy, (100 * low, 100 * high), remark)


@dataclass(frozen=True, kw_only=True)
class PrintedDifference:
    """How much more accurate one network is than another at a radius, in percentage points."""

    quantity: str
    path: str
    first: Network
    second: Network
    eps: float
    tolerance: float = 1.0

    def ours(self, measured: Mapping[str, Accuracies]) -> Reading | None:
        """Return the difference, with Newcombe's interval for two independent samples."""
        both = [measured.get(network.variant) for network in (self.first, self.second)]
        found = [_point(one, self.eps) for one in both if one is not None]
        if len(found) < len(both):
            return None
        low, high = difference_interval(*found)
        difference = 100 * (found[0].accuracy - found[1].accuracy)
        remark = f"{self.first.label} minus {self.second.label}"
        return Reading(difference, (100 * low, 100 * high), remark)


@dataclass(frozen=True, kw_only=True)
class PrintedRadius:
    """The smallest radius of the curve, in 1/255, at which the last of some networks is lost."""

    quantity: str
    path: str
    networks: tuple[Network, ...]
    tolerance: float = 1.0

    @property
    def eps(self) -> None:
        """None: it takes the whole curve."""

    def ours(self, measured: Mapping[str, Accuracies]) -> Reading | None:
        """Return where all of them are below 5 %."""
        if any(network.variant not in measured for network in self.networks):
            return None
        curves = [measured[network.variant] for network in self.networks]
        lost = (
            255 * eps
            for eps in curves[0].eps_values
            if all(curve.at(eps).accuracy < NEAR_ZERO for curve in curves)
        )
        remark = "every undefended network below 5 %; the paper says 'approaches zero'"
        where = next(lost, None)
        return Reading(where, None, remark if where is not None else f"nowhere {remark}")


def _point(accuracies: Accuracies, eps: float) -> MeanAccuracy:
    return accuracies.clean_accuracy if eps == 0 else accuracies.at(eps)


def compared_with_print(
    paper: str,
    printed: Sequence[Printed],
    measured: Mapping[str, Accuracies],
    obstacle: str | None,
) -> tuple[Compared, ...]:
    """Return each printed number beside ours, where the networks for it are trained.

    Args:
        paper: whose data file has the numbers.
        printed: the numbers.
        measured: accuracies by the networks' variant.
        obstacle: why none of them can be compared, None if they can.
    """
    compared = []
    for entry in printed:
        reading = entry.ours(measured) or Reading(None, None, NOT_TRAINED)
        missing = reading.remark if reading.value is None else None
        compared.append(
            Compared(
                quantity=entry.quantity,
                paper=paper,
                path=entry.path,
                ours=reading.value,
                interval=reading.interval,
                tolerance=entry.tolerance,
                obstacle=missing or obstacle,
                note="" if missing else reading.remark,
            )
        )
    return tuple(compared)


def allowed_spread(points: Sequence[AccuracyPoint]) -> float:
    """Return how far apart independently trained networks of ours lie, in percentage points.

    At least ``NETWORK_SPREAD``. The paper's network is one more draw from the same spread.
    """
    accuracies = [100 * point.accuracy for point in points]
    return max(NETWORK_SPREAD, max(accuracies) - min(accuracies))


def compared_accuracy(
    quantity: str,
    paper: str,
    path: str,
    points: Sequence[AccuracyPoint],
    *,
    obstacle: str | None,
    note: str,
) -> Compared:
    """Return a printed accuracy beside ours, the mean of all points, in percent.

    The tolerance is ``allowed_spread``, and the note says which of the two it is.

    Args:
        quantity: what it is, for people.
        paper: whose data file has the number.
        path: where it stands there.
        points: one for each network, or pair of networks; none, if none is trained.
        obstacle: why the two cannot be compared, None if they can.
        note: what ours is.
    """
    if not points:
        return Compared(quantity=quantity, paper=paper, path=path, ours=None, obstacle=NOT_TRAINED)
    spread, whole = allowed_spread(points), mean_accuracy(points)
    allowed = "other networks of the same training"
    if spread > NETWORK_SPREAD:
        allowed = "how far apart our own networks lie"
    return Compared(
        quantity=quantity,
        paper=paper,
        path=path,
        ours=100 * whole.accuracy,
        interval=(100 * whole.ci95[0], 100 * whole.ci95[1]),
        tolerance=spread,
        obstacle=obstacle,
        note=f"{note}; tolerance for {allowed}",
    )
