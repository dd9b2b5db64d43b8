"""Table 2 and the NES experiment: attackers that do not know the network's weights."""

from collections.abc import Mapping
from itertools import product

from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.experiments.query_attack import QueryAttack
from steadygrad.experiments.transfer import Claim, FgsmTransfer
from steadygrad.experiments.transfer_grid import Rows, TransferGrid
from steadygrad.experiments.yeats2021.recipes import PAPER, RECIPES, Kind, Recipe

__all__ = ["NES", "TABLE2", "fgsm_transfer", "query_attack"]

_TABLE2, _NES = "table2_fgsm_transfer", "nes_query_attack"
"""Where the data file has them."""

_OF_PAPER: Mapping[str, tuple[Kind, bool]] = {
    "real": ("real", False),
    "complex": ("complex", False),
    "real, penalised": ("real", True),
    "complex, penalised": ("complex", True),
}
"""The paper's rows, in its order: kind of network, and whether it has the penalty."""

ROWS = Rows(
    of_paper=tuple(_OF_PAPER),
    sources=(*_OF_PAPER, "gelu", "gelu, penalised"),
    victims=(
        *_OF_PAPER,
        "gelu",
        "gelu, penalised",
        "complex, penalised, frozen phase",
        "complex, penalised, at a neighbour",
        "complex, penalised, frozen phase, at a neighbour",
        "gelu, penalised, at a neighbour",
        "complex, at a neighbour",
        "gelu, at a neighbour",
    ),
    legends={
        "real": "from real, no defence",
        "complex": "from complex, no defence",
        "real, penalised": "from real, with the penalty",
        "complex, penalised": "from complex, with the penalty",
        "gelu": "from real GELU, no defence",
        "gelu, penalised": "from real GELU, with the penalty",
    },
)


def _networks(recipe: Recipe, beta: float) -> dict[str, Network]:
    """Return the network of every row; the last ones take their loss at a random neighbour."""
    penalised = recipe.penalised_network
    by_exact_rule, by_frozen_phase, smooth, noisy, smooth_noisy = recipe.at_a_neighbour(beta)
    return {
        **{row: _of_paper(recipe, beta, row) for row in _OF_PAPER},
        "gelu": recipe.plain("gelu"),
        "gelu, penalised": penalised("gelu", beta),
        "complex, penalised, frozen phase": penalised("complex", beta, second_order="frozen_phase"),
        "complex, penalised, at a neighbour": by_exact_rule,
        "complex, penalised, frozen phase, at a neighbour": by_frozen_phase,
        "gelu, penalised, at a neighbour": smooth,
        "complex, at a neighbour": noisy,
        "gelu, at a neighbour": smooth_noisy,
    }


def _of_paper(recipe: Recipe, beta: float, row: str) -> Network:
    kind, is_penalised = _OF_PAPER[row]
    return recipe.penalised_network(kind, beta) if is_penalised else recipe.plain(kind)


def _cell_path(source: str, victim: str | None, key: str) -> str:
    kind, is_penalised = _OF_PAPER[source]
    row = "self"
    if victim is not None:
        victim_kind, is_robust = _OF_PAPER[victim]
        row = f"{victim_kind}_{'gr' if is_robust else 'standard'}"
    return f"{_TABLE2}/from_{kind}/{row}/{key}/{int(is_penalised)}"


def _grid(key: str, recipe: Recipe) -> TransferGrid:
    """Return the table's part on one data set; key: what the data file calls it."""
    beta = published_number(PAPER, f"{_TABLE2}/beta_of_gr_networks/{key}")
    return TransferGrid(
        paper=PAPER,
        stem=key.replace("_", "-"),
        data_title=recipe.title,
        caution=recipe.caution,
        eps=published_number(PAPER, f"{_TABLE2}/epsilon/{key}"),
        networks=_networks(recipe, beta),
        printed_paths={
            (source, victim): _cell_path(source, victim, key)
            for source, victim in product(_OF_PAPER, (None, *_OF_PAPER))
        },
    )


def fgsm_transfer(recipes: Mapping[str, Recipe]) -> FgsmTransfer:
    """Return Table 2; recipes: by what the data file calls the data set.

    Six ways of training as sources; besides, frozen phase and random neighbours as victims.
    """
    return FgsmTransfer(
        paper=PAPER,
        stem="table2",
        table_title="Table 2",
        grids=tuple(_grid(key, recipe) for key, recipe in recipes.items()),
        rows=ROWS,
        claim=Claim(
            victim="complex, penalised",
            name="complex network with the penalty",
            short="complex with the penalty",
            added="the GELU networks",
            added_short="with GELU",
        ),
    )


def query_attack(recipe: Recipe) -> QueryAttack:
    """Return NES on the paper's five networks, their smooth twins and random neighbours."""
    beta = 64  # as in the names of the data file's entries
    trained = recipe.pgd_trained
    frozen = recipe.penalised_network("complex", beta, second_order="frozen_phase")
    return QueryAttack(
        paper=PAPER,
        stem="nes",
        dataset=recipe.dataset,
        data_title=recipe.title,
        caution=recipe.caution,
        of_paper={
            f"{_NES}/real/undefended": recipe.plain("real"),
            f"{_NES}/real/gr_beta_64": recipe.penalised_network("real", beta),
            f"{_NES}/real/adversarially_trained_eps_0.2": trained("real"),
            f"{_NES}/complex/undefended": recipe.plain("complex"),
            f"{_NES}/complex/gr_beta_64": recipe.penalised_network("complex", beta),
        },
        beyond=(
            recipe.plain("gelu"),
            recipe.penalised_network("gelu", beta),
            trained("gelu"),
            frozen,
            *recipe.at_a_neighbour(beta),
        ),
        eps=published_number(PAPER, f"{_NES}/epsilon"),
        steps=int(published_number(PAPER, f"{_NES}/steps")),
        queries=int(published_number(PAPER, f"{_NES}/queries_per_image")),
    )


TABLE2 = fgsm_transfer({key: RECIPES[key] for key in ("mnist", "svhn", "fashion_mnist")})
NES = query_attack(RECIPES["fashion_mnist, identical"])
