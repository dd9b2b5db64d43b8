"""Rows and columns of Table 2: the ways of training, and where the paper prints their cells."""

from dataclasses import dataclass
from typing import Literal

from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.yeats2021.printed import PAPER
from steadygrad.experiments.yeats2021.recipes import NEIGHBOUR, Kind, Recipe, uniform_noise
from steadygrad.experiments.yeats2021.transfer_pairs import TransferCell, TransferCells

__all__ = ["OF_PAPER", "SOURCES", "TABLE", "VICTIMS", "TransferGrid", "WayOfTraining"]

TABLE = "table2_fgsm_transfer"
"""Where the data file has the table."""


@dataclass(frozen=True)
class WayOfTraining:
    """A row of the table, and two rows of its sources: standard, or with the penalty.

    at_neighbour: whether the loss, and the penalty if there is one, is taken at a random neighbour.
    """

    kind: Kind
    is_penalised: bool
    second_order: Literal["exact", "frozen_phase"] = "exact"
    at_neighbour: bool = False

    def network(self, recipe: Recipe, beta: float, seed: int) -> Network:
        """Return the network of a data set."""
        noise = uniform_noise(NEIGHBOUR) if self.at_neighbour else None
        if not self.is_penalised:
            return recipe.plain(self.kind, seed=seed, noise=noise)
        return recipe.penalised_network(
            self.kind, beta, seed=seed, second_order=self.second_order, noise=noise
        )


OF_PAPER = tuple(
    WayOfTraining(kind, is_penalised)
    for is_penalised in (False, True)
    for kind in ("real", "complex")
)
"""In the order of the paper's rows."""
SOURCES = (
    *OF_PAPER,
    WayOfTraining("gelu", is_penalised=False),
    WayOfTraining("gelu", is_penalised=True),
)
VICTIMS = (
    *SOURCES,
    WayOfTraining("complex", is_penalised=True, second_order="frozen_phase"),
    WayOfTraining("complex", is_penalised=True, at_neighbour=True),
    WayOfTraining("complex", is_penalised=True, second_order="frozen_phase", at_neighbour=True),
    WayOfTraining("gelu", is_penalised=True, at_neighbour=True),
    WayOfTraining("complex", is_penalised=False, at_neighbour=True),
    WayOfTraining("gelu", is_penalised=False, at_neighbour=True),
)


@dataclass(frozen=True, kw_only=True)
class TransferGrid:
    """The table's part on one data set.

    key: what the data file calls the data set.
    cells: what was measured; None, if no network is trained.
    """

    key: str
    recipe: Recipe
    cells: TransferCells | None = None

    @property
    def eps(self) -> float:
        """Radius of the attack, as printed."""
        return published_number(PAPER, f"{TABLE}/epsilon/{self.key}")

    @property
    def beta(self) -> float:
        """Strength of the penalty, as printed."""
        return published_number(PAPER, f"{TABLE}/beta_of_gr_networks/{self.key}")

    def label(self, way: WayOfTraining) -> str:
        """Return what networks of this way are called."""
        return way.network(self.recipe, self.beta, 0).label

    def cell(self, source: WayOfTraining, victim: WayOfTraining | None) -> TransferCell | None:
        """Return a cell; without a victim, that of the source on its own examples."""
        if self.cells is None:
            return None
        if victim is None:
            return self.cells.self_cell(self.label(source))
        return self.cells.cell(self.label(source), self.label(victim))

    def printed_path(self, source: WayOfTraining, victim: WayOfTraining | None) -> str | None:
        """Return where the paper prints a cell; None for what goes beyond the paper."""
        if source not in OF_PAPER or (victim is not None and victim not in OF_PAPER):
            return None
        row = "self"
        if victim is not None:
            row = f"{victim.kind}_{'gr' if victim.is_penalised else 'standard'}"
        return f"{TABLE}/from_{source.kind}/{row}/{self.key}/{int(source.is_penalised)}"

    def printed(self, source: WayOfTraining, victim: WayOfTraining | None) -> float | None:
        """Return the accuracy that the paper prints, in percent."""
        path = self.printed_path(source, victim)
        return None if path is None else published_number(PAPER, path)
