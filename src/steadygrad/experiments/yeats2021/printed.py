"""Numbers in the paper's text about a figure, and what of ours stands beside them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from steadygrad.experiments.accuracies import Accuracies, MeanAccuracy, difference_interval
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.scale import Scale
from steadygrad.experiments.workbench import NOT_TRAINED

__all__ = [
    "PAPER",
    "Printed",
    "PrintedAccuracy",
    "PrintedDifference",
    "PrintedRadius",
    "compared_with_print",
    "obstacle_at",
]

PAPER = "yeats2021"
NEAR_ZERO = 0.05
"""Below this, accuracy "approaches zero"."""


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

    def ours(self, measured: Mapping[str, Accuracies]) -> Reading | None:
        """Return our number, its interval and a remark; None for want of a network."""


@dataclass(frozen=True, kw_only=True)
class PrintedAccuracy:
    """The accuracy of the worst of some networks, by label, at a radius; 0 is clean."""

    quantity: str
    path: str
    labels: tuple[str, ...]
    eps: float
    tolerance: float = 1.0

    def ours(self, measured: Mapping[str, Accuracies]) -> Reading | None:
        """Return the lowest accuracy of those that are trained, in percent."""
        trained = [label for label in self.labels if label in measured]
        if not trained:
            return None
        points = {label: _point(measured[label], self.eps) for label in trained}
        label = min(points, key=lambda name: points[name].accuracy)
        low, high = points[label].ci95
        remark = f"{len(measured[label].networks)} seed(s)"
        if len(self.labels) > 1:
            remark = f"the lowest of {len(points)} networks, {label}; {remark}"
        if len(trained) < len(self.labels):
            remark += f"; {len(self.labels) - len(trained)} more not trained yet"
        return Reading(100 * points[label].accuracy, (100 * low, 100 * high), remark)


@dataclass(frozen=True, kw_only=True)
class PrintedDifference:
    """How much more accurate one network is than another at a radius, in percentage points."""

    quantity: str
    path: str
    first: str
    second: str
    eps: float
    tolerance: float = 1.0

    def ours(self, measured: Mapping[str, Accuracies]) -> Reading | None:
        """Return the difference, with Newcombe's interval for two independent samples."""
        if self.first not in measured or self.second not in measured:
            return None
        first, second = (_point(measured[name], self.eps) for name in (self.first, self.second))
        low, high = difference_interval(first, second)
        difference = 100 * (first.accuracy - second.accuracy)
        remark = f"{self.first} minus {self.second}"
        return Reading(difference, (100 * low, 100 * high), remark)


@dataclass(frozen=True, kw_only=True)
class PrintedRadius:
    """The smallest radius of the curve, in 1/255, at which the last of some networks is lost."""

    quantity: str
    path: str
    labels: tuple[str, ...]
    tolerance: float = 1.0

    def ours(self, measured: Mapping[str, Accuracies]) -> Reading | None:
        """Return where all of them are below 5 %."""
        if any(label not in measured for label in self.labels):
            return None
        radii = measured[self.labels[0]].eps_values
        lost = (
            255 * eps
            for eps in radii
            if all(measured[label].at(eps).accuracy < NEAR_ZERO for label in self.labels)
        )
        remark = "every undefended network below 5 %; the paper says 'approaches zero'"
        where = next(lost, None)
        return Reading(where, None, remark if where is not None else f"nowhere {remark}")


def _point(accuracies: Accuracies, eps: float) -> MeanAccuracy:
    return accuracies.clean_accuracy if eps == 0 else accuracies.at(eps)


def obstacle_at(scale: Scale, caution: str) -> str | None:
    """Return why nothing measured at this scale can be compared with the paper, or None."""
    reasons = [] if scale.name == "paper" else [f"run at scale {scale.name}, not the paper's"]
    return "; ".join([*reasons, *([caution] if caution else [])]) or None


def compared_with_print(
    printed: Sequence[Printed], measured: Mapping[str, Accuracies], obstacle: str | None
) -> tuple[Compared, ...]:
    """Return each printed number beside ours, where the networks for it are trained."""
    compared = []
    for entry in printed:
        reading = entry.ours(measured) or Reading(None, None, NOT_TRAINED)
        missing = reading.remark if reading.value is None else None
        compared.append(
            Compared(
                quantity=entry.quantity,
                paper=PAPER,
                path=entry.path,
                ours=reading.value,
                interval=reading.interval,
                tolerance=entry.tolerance,
                obstacle=missing or obstacle,
                note="" if missing else reading.remark,
            )
        )
    return tuple(compared)
