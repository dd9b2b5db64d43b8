"""Ours: what our differences from the printed accuracies hang on."""

from collections.abc import Mapping
from dataclasses import replace

from steadygrad.experiments.departures import Change, Departures, Question
from steadygrad.experiments.yeats2021.recipes import PAPER, RECIPES
from steadygrad.experiments.yeats2021.white_box import FIGURE6, FIGURE7
from steadygrad.models import MODELS, NamedComplexModel
from steadygrad.training import SGD, TrainingConfig

__all__ = ["DEPARTURES"]

_MNIST, _FASHION = RECIPES["mnist"], RECIPES["fashion_mnist"]


def _plain_momentum(config: TrainingConfig) -> TrainingConfig:
    assert isinstance(config.optimizer, SGD)
    return replace(config, optimizer=replace(config.optimizer, nesterov=False))


def _frozen(config: TrainingConfig) -> TrainingConfig:
    assert isinstance(config.model, NamedComplexModel)
    return _plain_momentum(
        replace(config, model=replace(config.model, second_order="frozen_phase"))
    )


def _small_init(config: TrainingConfig) -> TrainingConfig:
    return replace(config, model=MODELS.parse("yeats2021-mnist-real-small-init"))


def _with_noise(config: TrainingConfig) -> TrainingConfig:
    assert _FASHION.penalised_noise is not None
    return replace(config, augmentation=(*config.augmentation, _FASHION.penalised_noise))


def _without_noise(config: TrainingConfig) -> TrainingConfig:
    steps = tuple(step for step in config.augmentation if step != _FASHION.penalised_noise)
    return replace(config, augmentation=steps)


_OF_REAL_MNIST: Mapping[str, Change] = {
    "plain momentum": _plain_momentum,
    "short initial weights": _small_init,
    "plain momentum and short initial weights, as in the paper's code": lambda config: (
        _plain_momentum(_small_init(config))
    ),
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
            changes={"frozen phase and plain momentum, as in the paper's code": _frozen},
        ),
        Question(
            figure=FIGURE7,
            network=_FASHION.penalised_network("real", 64),
            clean="figure7_fashion_mnist_text/clean_real",
            attacked="figure7_fashion_mnist_text/pgd8_eps_0.16_real",
            changes={
                "plain momentum, as in the paper's code": _plain_momentum,
                "with the complex network's noise": _with_noise,
            },
        ),
        Question(
            figure=FIGURE7,
            network=_FASHION.penalised_network("gelu", 64),
            changes={"with the complex network's noise": _with_noise},
        ),
        Question(
            figure=FIGURE7,
            network=_FASHION.penalised_network("complex", 64),
            clean="figure7_fashion_mnist_text/clean_complex",
            attacked="figure7_fashion_mnist_text/pgd8_eps_0.16_complex",
            changes={
                "frozen phase and plain momentum, as in the paper's code": _frozen,
                "without noise": _without_noise,
                "frozen phase and plain momentum, without noise": lambda config: _frozen(
                    _without_noise(config)
                ),
                "plain momentum": _plain_momentum,
            },
        ),
    ),
)
"""Momentum, initialisation, noise and second-order rule, as far as paper, code and we disagree."""
