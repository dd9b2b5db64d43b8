"""What an experiment is: the networks it needs, and what it makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

from steadygrad.errors import HyperparameterError
from steadygrad.experiments.chart import Chart
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale

if TYPE_CHECKING:  # the workbench knows experiments too
    from steadygrad.experiments.workbench import Workbench

__all__ = ["Artefact", "Cell", "Experiment", "ExperimentOutcome", "Interval", "Table"]


@dataclass(frozen=True)
class Interval:
    """A 95 % interval as a cell: one text for people, two numbers for programs.

    Args:
        low, high: the ends, in the unit of the column.
        digits: decimals that are kept, in both forms.
        is_signed: whether the text has a plus sign before what is positive: of a difference.
    """

    low: float
    high: float
    digits: int = 1
    is_signed: bool = False

    @classmethod
    def of(cls, low: float, high: float) -> "Interval":
        """Return the interval with one decimal, or three where both ends are below 1."""
        return cls(low, high, digits=1 if max(abs(low), abs(high)) >= 1 else 3)

    @property
    def text(self) -> str:
        """Such as "1.2 to 20.0"."""
        form = f"{'+' if self.is_signed else ''}.{self.digits}f"
        return f"{self.low:{form}} to {self.high:{form}}"

    @property
    def ends(self) -> tuple[float, float]:
        """Both ends, rounded as in the text."""
        return round(self.low, self.digits), round(self.high, self.digits)


Cell: TypeAlias = str | int | float | Interval | None
"""Value of a table's cell; None is an empty one."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: column names, and rows of as many cells. None is an empty cell.

    Args:
        intervals: the columns that hold intervals, or None, and nothing else.

    Raises:
        HyperparameterError: a row of another length, an unknown column of intervals, or an interval
            that stands elsewhere.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""
    intervals: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        unknown = sorted(set(self.intervals) - set(self.columns))
        if unknown:
            raise HyperparameterError(
                f"expected columns of intervals among {', '.join(self.columns)}, got {unknown[0]!r}"
            )
        for row in self.rows:
            if len(row) != len(self.columns):
                raise HyperparameterError(
                    f"expected {len(self.columns)} cells in each row of {self.title!r}, got {row}"
                )
            for column, cell in zip(self.columns, row, strict=True):
                is_right = isinstance(cell, Interval) == (column in self.intervals)
                if not (is_right or cell is None):
                    raise HyperparameterError(
                        f"expected intervals in the columns of intervals alone, got {cell!r} in "
                        f"{column!r}"
                    )


@dataclass(frozen=True, kw_only=True)
class ExperimentOutcome:
    """What an experiment found; figures and tables by the file names they get, without suffix.

    charts: one figure each; several charts of one figure stand side by side.
    compared: every number that the paper prints for it.
    caption: data, number of examples, seeds, attack, scale: what a reader must know.
    """

    caption: str
    charts: Mapping[str, Sequence[Chart]] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    compared: tuple[Compared, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Artefact:
    """Where a figure or table stands.

    Args:
        paper: the data file of its printed numbers, such as "yeats2021".
        stem: what it is called within the paper, and what its files are called.
    """

    paper: str
    stem: str

    @property
    def name(self) -> str:
        """Such as "yeats2021/figure6"."""
        return f"{self.paper}/{self.stem}"

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:  # noqa: ARG002 - for those that need some
        """Return the networks that it needs: none."""
        return ()

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the numbers stand that it is compared with: nowhere."""
        return ()


@runtime_checkable
class Experiment(Protocol):
    """One figure or table of a paper. Implementations are frozen dataclasses or plain classes.

    Other packages announce theirs under the entry point group ``steadygrad.experiments``.

    name: "yeats2021/figure6"; title: what it shows.
    """

    @property
    def name(self) -> str:
        """Such as "yeats2021/figure6"."""

    @property
    def title(self) -> str:
        """What it shows, in a few words."""

    def networks(self, scale: Scale, seeds: Sequence[int]) -> tuple[Network, ...]:
        """Return the networks it needs; none, if it needs none."""

    def printed_paths(self) -> tuple[str, ...]:
        """Return where the numbers it compares itself with are printed, see ``Compared.path``.

        Whatever is trained, ``measure`` returns a ``Compared`` for each, or several of different
        quantities, and for no other.
        """

    def measure(self, bench: "Workbench") -> ExperimentOutcome:
        """Measure, given that one network or more is trained; see ``Workbench.trained``."""
