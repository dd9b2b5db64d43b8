"""What an experiment is: the networks it needs, and what it makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, TypeAlias

from steadygrad.experiments.chart import Chart
from steadygrad.experiments.comparison import Compared
from steadygrad.experiments.network import Network
from steadygrad.experiments.scale import Scale

if TYPE_CHECKING:  # the workbench knows experiments too
    from steadygrad.experiments.workbench import Workbench

__all__ = ["Cell", "Experiment", "ExperimentOutcome", "Table"]

Cell: TypeAlias = str | int | float | None


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: column names, and rows of as many cells. None is an empty cell."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


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


class Experiment(Protocol):
    """One figure or table of a paper. Implementations are frozen dataclasses or plain classes.

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
