"""Figures 4 and 5, the supplement's Figure 1 and its training times: what training measures."""

from collections.abc import Iterator, Sequence

from steadygrad.experiments.epoch_points import LossAndPenalty, UpdateSimilarity
from steadygrad.experiments.training_histories import Member, Panel
from steadygrad.experiments.training_losses import TrainingLosses
from steadygrad.experiments.training_time import TrainingTime
from steadygrad.experiments.yeats2021.recipes import PAPER, RECIPES, Kind, Recipe

__all__ = [
    "FIGURE4",
    "FIGURE5",
    "SUPPLEMENT_FIGURE1",
    "SUPPLEMENT_TRAINING_TIME",
    "panel",
    "training_time",
]

_FROZEN = "complex, frozen phase"


def panel(recipe: Recipe, betas: Sequence[float]) -> Panel:
    """Return every kind of network at every beta, 0 standing for no penalty.

    With the rule of the paper's code there is one complex network, at the strongest beta.
    """
    return Panel(
        data_title=recipe.title,
        caution=recipe.caution,
        members=tuple(_members(recipe, betas)),
        ours=("complex", _FROZEN),
        rivals=("real", "gelu"),
        titles={"complex": "complex", "real": "real", "gelu": "real GELU"},
    )


def _members(recipe: Recipe, betas: Sequence[float]) -> Iterator[Member]:
    def at_every_beta(kind: Kind) -> Iterator[Member]:
        for beta in betas:
            training = f"beta {beta:g}" if beta else "no penalty"
            yield Member(
                kind=kind, strength=beta, training=training, network=recipe.at_beta(kind, beta)
            )

    yield from at_every_beta("real")
    yield from at_every_beta("complex")
    strongest = max(betas)
    if strongest:
        frozen = recipe.penalised_network("complex", strongest, second_order="frozen_phase")
        training = f"beta {strongest:g}, frozen phase"
        yield Member(kind=_FROZEN, strength=strongest, training=training, network=frozen)
    yield from at_every_beta("gelu")


def training_time(recipe: Recipe, beta: float) -> TrainingTime:
    """Return the printed training times; beta: strength of the penalty, which changes no cost."""
    printed = "supplement_training_seconds_mnist_rtx2070s"
    frozen = recipe.penalised_network("complex", beta, second_order="frozen_phase")
    return TrainingTime(
        paper=PAPER,
        stem="supplement-training-time",
        dataset=recipe.dataset,
        data_title=recipe.title,
        of_paper={
            f"{printed}/real/undefended": recipe.plain("real"),
            f"{printed}/real/gr": recipe.penalised_network("real", beta),
            f"{printed}/real/pgd4_trained": recipe.pgd_trained("real", steps=4),
            f"{printed}/real/pgd8_trained": recipe.pgd_trained("real", steps=8),
            f"{printed}/complex/undefended": recipe.plain("complex"),
            f"{printed}/complex/gr": recipe.penalised_network("complex", beta),
        },
        reference_name="real network, no defence",
        beyond=(frozen, recipe.plain("gelu"), recipe.penalised_network("gelu", beta)),
    )


_PANELS = (
    panel(RECIPES["fashion_mnist"], (0, 16, 64)),
    panel(RECIPES["svhn"], (0, 8, 32)),
)
"""With the betas of the paper's Table 2; a quarter of each is ours."""

FIGURE4 = TrainingLosses(
    paper=PAPER,
    stem="figure4",
    panel=panel(RECIPES["fashion_mnist"], (0, 64)),
    claim="The paper says of this figure that the real network, though larger, does not "
    "reach the complex one's clean performance, and that under the same strong penalty "
    "the complex network keeps the better performance on training and test images.",
)
FIGURE5 = UpdateSimilarity(paper=PAPER, stem="figure5", panels=_PANELS)
SUPPLEMENT_FIGURE1 = LossAndPenalty(paper=PAPER, stem="supplement-figure1", panels=_PANELS)
SUPPLEMENT_TRAINING_TIME = training_time(RECIPES["mnist"], 512)
