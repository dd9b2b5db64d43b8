"""Figures 6 to 10, and the supplement's 2 and 3: accuracy under PGD(8) against its radius."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from steadygrad.experiments.independent_networks import IndependentNetworks
from steadygrad.experiments.printed import (
    Printed,
    PrintedAccuracy,
    PrintedDifference,
    PrintedRadius,
)
from steadygrad.experiments.white_box import Curves, SideBySide, WhiteBox, pgd_curves
from steadygrad.experiments.yeats2021.recipes import PAPER, RECIPES, Kind, Lineup

__all__ = [
    "FIGURE6",
    "FIGURE7",
    "FIGURE8",
    "FIGURE9",
    "FIGURE10",
    "LINEUPS",
    "SUPPLEMENT_FIGURE2",
    "SUPPLEMENT_FIGURE3",
    "independent_networks",
    "white_box",
]

_GRID = tuple(k / 50 for k in range(16))
_SVHN_GRID = tuple(k / 100 for k in range(13))
_AS_STRONG = 800
"""Beta at which a real CIFAR-10 network bears the penalty that a complex one bears at 32: the
gradient of the former is multiplied with ``real_gradient_scale``, 0.2, before it is squared."""

LINEUPS: Mapping[str, Lineup] = {
    "figure6": Lineup(
        recipe=RECIPES["mnist"],
        betas={"complex": (64, 512), "real": (64, 384, 512), "gelu": (64, 512)},
        equal_time_epochs=17,
    ),
    "figure7": Lineup(
        recipe=RECIPES["fashion_mnist"],
        betas={"complex": (16, 64), "real": (16, 64), "gelu": (16, 64)},
        equal_time_epochs=27,
        wider_attack_eps=0.2,
    ),
    "figure8": Lineup(
        recipe=RECIPES["svhn"],
        betas={"complex": (8, 32), "real": (8, 32), "gelu": (8, 32)},
        equal_time_epochs=17,
    ),
    "figure9": Lineup(
        recipe=RECIPES["cifar10"],
        betas={
            "complex": (32, 128),
            "real": (32, 128, _AS_STRONG),
            "wide real": (32, 128),
            "gelu": (32, 128, _AS_STRONG),
            "wide gelu": (128,),
        },
        equal_time_epochs=61,
        neighbour=8 / 255,
        adversary="wide real",
    ),
    "figure10-mnist": Lineup(
        recipe=RECIPES["mnist, identical"],
        betas={"complex": (2048,), "real": (2048,), "gelu": (2048,)},
        equal_time_epochs=45,
    ),
    "figure10-fashion-mnist": Lineup(
        recipe=RECIPES["fashion_mnist, identical"],
        betas={"complex": (64,), "real": (64,), "gelu": (64,)},
        equal_time_epochs=45,
    ),
    "figure10-svhn": Lineup(
        recipe=RECIPES["svhn, identical"],
        betas={"complex": (32,), "real": (32,), "gelu": (32,)},
        equal_time_epochs=45,
    ),
}
"""By the stem of the figure, or of its panel."""


def white_box(
    stem: str, lineup: Lineup, curves: Curves, printed: Sequence[Printed] = ()
) -> WhiteBox:
    """Return the figure of a line-up.

    What the text prints of the complex network with the strongest penalty is compared once more
    with the one that was trained by the rule of the paper's code.
    """
    strongest, frozen = lineup.strongest("complex"), lineup.frozen()
    by_frozen_phase = (
        replace(
            entry,
            quantity=f"{entry.quantity}, by frozen phase",
            networks=(frozen,),
            is_marked=False,
        )
        for entry in printed
        if isinstance(entry, PrintedAccuracy) and strongest in entry.networks
    )
    return WhiteBox(
        paper=PAPER,
        stem=stem,
        data_title=lineup.recipe.title,
        caution=lineup.recipe.caution,
        curves=curves,
        of_paper=lineup.of_paper(),
        beyond=lineup.beyond(),
        repeated=(strongest, frozen),
        printed=(*printed, *by_frozen_phase),
    )


def independent_networks(stem: str, lineup: Lineup, curves: Curves) -> IndependentNetworks:
    """Return what the seed alone decides: the networks with a line-up's strongest penalty."""
    strongest = lineup.strongest
    return IndependentNetworks(
        paper=PAPER,
        stem=stem,
        data_title=lineup.recipe.title,
        curves=curves,
        of_paper=(strongest("complex"), strongest("real"), lineup.frozen()),
        beyond=(strongest("gelu"), *lineup.at_a_neighbour()),
    )


def _declared(
    stem: str, eps_values: tuple[float, ...], judged_eps: float, *printed: Printed
) -> WhiteBox:
    return white_box(stem, LINEUPS[stem], pgd_curves(eps_values, judged_eps), printed)


_MNIST, _FASHION, _SVHN, _CIFAR10 = (LINEUPS[f"figure{number}"].recipe for number in (6, 7, 8, 9))

FIGURE6 = _declared(
    "figure6",
    _GRID,
    0.2,
    PrintedAccuracy(
        quantity="complex, every beta: clean accuracy (%)",
        path="figure6_mnist_text/complex_clean_all_betas",
        networks=tuple(_MNIST.penalised_network("complex", beta) for beta in (64, 512)),
        eps=0,
    ),
    PrintedAccuracy(
        quantity="real, small beta: clean accuracy (%)",
        path="figure6_mnist_text/real_clean_small_beta",
        networks=(_MNIST.plain("real"),),
        eps=0,
    ),
    PrintedAccuracy(
        quantity="real, beta 384: clean accuracy (%)",
        path="figure6_mnist_text/real_clean_beta_384",
        networks=(_MNIST.penalised_network("real", 384),),
        eps=0,
    ),
    PrintedAccuracy(
        quantity="real, beta 512: clean accuracy (%)",
        path="figure6_mnist_text/real_clean_beta_512",
        networks=(_MNIST.penalised_network("real", 512),),
        eps=0,
    ),
)

_COMPARED_KINDS: tuple[Kind, ...] = ("complex", "real")

FIGURE7 = _declared(
    "figure7",
    _GRID,
    0.16,
    *(
        PrintedAccuracy(
            quantity=f"{kind}, beta 64: {what} (%)",
            path=f"figure7_fashion_mnist_text/{path}_{kind}",
            networks=(_FASHION.penalised_network(kind, 64),),
            eps=eps,
        )
        for kind in _COMPARED_KINDS
        for what, path, eps in (
            ("clean accuracy", "clean", 0.0),
            ("PGD(8) at eps 0.16", "pgd8_eps_0.16", 0.16),
        )
    ),
)

FIGURE8 = _declared(
    "figure8",
    _SVHN_GRID,
    0.05,
    PrintedAccuracy(
        quantity="complex, gradient-regularized: clean accuracy (%)",
        path="figure8_svhn_text/clean_complex_gr",
        networks=(_SVHN.penalised_network("complex", 32),),
        eps=0,
    ),
    PrintedAccuracy(
        quantity="real, PGD-trained: clean accuracy (%)",
        path="figure8_svhn_text/clean_real_pgd_trained",
        networks=(_SVHN.pgd_trained("real"),),
        eps=0,
    ),
)

_UNDEFENDED: tuple[Kind, ...] = ("complex", "real", "wide real")

FIGURE9 = _declared(
    "figure9",
    tuple(k / 255 for k in range(0, 17, 2)),
    4 / 255,
    PrintedRadius(
        quantity="radius at which undefended networks are near zero (1/255)",
        path="figure9_cifar10_text/undefended_accuracy_near_zero_at_pixels_255",
        networks=tuple(_CIFAR10.plain(kind) for kind in _UNDEFENDED),
    ),
)

_FIGURE10_TEXT = "figure10_identical_architecture_text"
_SVHN_IDENTICAL = RECIPES["svhn, identical"]

FIGURE10 = SideBySide(
    paper=PAPER,
    stem="figure10",
    title="PGD(8) accuracy on one architecture, that of Ross & Doshi-Velez",
    panels=(
        _declared(
            "figure10-mnist",
            _GRID,
            0.2,
            *(
                PrintedAccuracy(
                    quantity=f"MNIST, {kind}, beta 2048: clean accuracy (%)",
                    path=f"{_FIGURE10_TEXT}/mnist_beta_2048_clean/{kind}",
                    networks=(RECIPES["mnist, identical"].penalised_network(kind, 2048),),
                    eps=0,
                )
                for kind in _COMPARED_KINDS
            ),
        ),
        _declared(
            "figure10-fashion-mnist",
            _GRID,
            0.16,
            *(
                PrintedAccuracy(
                    quantity=f"Fashion-MNIST, {kind}, beta 64: PGD(8) at eps 0.16 (%)",
                    path=f"{_FIGURE10_TEXT}/fashion_mnist_pgd8_eps_0.16/{kind}",
                    networks=(RECIPES["fashion_mnist, identical"].penalised_network(kind, 64),),
                    eps=0.16,
                )
                for kind in _COMPARED_KINDS
            ),
        ),
        _declared(
            "figure10-svhn",
            _SVHN_GRID,
            0.05,
            PrintedDifference(
                quantity="SVHN: clean accuracy, complex minus real (points)",
                path=f"{_FIGURE10_TEXT}/svhn_clean_complex_minus_real",
                first=_SVHN_IDENTICAL.penalised_network("complex", 32),
                second=_SVHN_IDENTICAL.penalised_network("real", 32),
                eps=0,
            ),
        ),
    ),
)

SUPPLEMENT_FIGURE2 = independent_networks("supplement-figure2", LINEUPS["figure6"], FIGURE6.curves)
SUPPLEMENT_FIGURE3 = independent_networks("supplement-figure3", LINEUPS["figure7"], FIGURE7.curves)
