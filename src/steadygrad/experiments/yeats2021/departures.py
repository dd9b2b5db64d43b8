"""Ours: what our differences from the printed accuracies hang on."""

from collections.abc import Mapping
from typing import Any

from steadygrad.experiments.departures import Departures, Question
from steadygrad.experiments.yeats2021.recipes import PAPER, RECIPES
from steadygrad.experiments.yeats2021.white_box import FIGURE6, FIGURE7

__all__ = ["DEPARTURES"]

_MNIST, _FASHION = RECIPES["mnist"], RECIPES["fashion_mnist"]

_PLAIN_MOMENTUM = {"nesterov": False}
_FROZEN = {"second_order": "frozen_phase"} | _PLAIN_MOMENTUM
_NO_NOISE = {"noise": "none"}
_SMALL_INIT = {"model": "yeats2021-mnist-real-small-init"}
_OF_REAL_MNIST: Mapping[str, Mapping[str, Any]] = {
    "plain momentum": _PLAIN_MOMENTUM,
    "short initial weights": _SMALL_INIT,
    "plain momentum and short initial weights, as in the paper's code": _PLAIN_MOMENTUM
    | _SMALL_INIT,
}

DEPARTURES = Departures(
    paper=PAPER,
    stem="departures",
    questions=(
        Question(
            figure=FIGURE6,
            network=_MNIST.penalised_network("real", 512),
            clean="figure6_mnist_text/real_clean_beta_512",
            changes=_OF_REAL_MNIST,
        ),
        Question(
            figure=FIGURE6,
            network=_MNIST.penalised_network("real", 384),
            clean="figure6_mnist_text/real_clean_beta_384",
            changes=_OF_REAL_MNIST,
        ),
        Question(
            figure=FIGURE6,
            network=_MNIST.penalised_network("complex", 512),
            clean="figure6_mnist_text/complex_clean_all_betas",
            changes={"frozen phase and plain momentum, as in the paper's code": _FROZEN},
        ),
        Question(
            figure=FIGURE7,
            network=_FASHION.penalised_network("real", 64),
            clean="figure7_fashion_mnist_text/clean_real",
            attacked="figure7_fashion_mnist_text/pgd8_eps_0.16_real",
            changes={
                "plain momentum, as in the paper's code": _PLAIN_MOMENTUM,
                "with the complex network's noise": _FASHION.penalised_complex,
            },
        ),
        Question(
            figure=FIGURE7,
            network=_FASHION.penalised_network("gelu", 64),
            changes={"with the complex network's noise": _FASHION.penalised_complex},
        ),
        Question(
            figure=FIGURE7,
            network=_FASHION.penalised_network("complex", 64),
            clean="figure7_fashion_mnist_text/clean_complex",
            attacked="figure7_fashion_mnist_text/pgd8_eps_0.16_complex",
            changes={
                "frozen phase and plain momentum, as in the paper's code": _FROZEN,
                "without noise": _NO_NOISE,
                "frozen phase and plain momentum, without noise": _FROZEN | _NO_NOISE,
                "plain momentum": _PLAIN_MOMENTUM,
            },
        ),
    ),
)
"""Momentum, initialisation, noise and second-order rule, as far as paper, code and we disagree."""
