"""Table 1 on both data sets, what our differences hang on, and disturbances nobody trained on."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from steadygrad.attacks import PGD, SparseL1, WhiteNoise
from steadygrad.covariance import Block, Dense, GradientSource, Radial, Stationary
from steadygrad.evaluation.corruptions import (
    BrightnessGradient,
    ContrastGradient,
    ElasticDeformation,
    Fog,
    GaussianBlur,
    JpegCompression,
    Shift,
    ShotNoise,
)
from steadygrad.experiments.departures import Change, Departures, Question
from steadygrad.experiments.method_rows import Method, MethodAttacks
from steadygrad.experiments.method_table import MethodTable, PrintedColumns
from steadygrad.experiments.network import Network
from steadygrad.experiments.roth2018.recipes import (
    CIFAR10,
    LRC,
    MNIST,
    PAPER,
    Recipe,
)
from steadygrad.experiments.unseen import UnseenDisturbances
from steadygrad.experiments.white_box import Curves, WhiteBox
from steadygrad.penalties import PGDSource, Standardized, Structured
from steadygrad.training import TrainingConfig

__all__ = ["DEPARTURES", "TABLE1_CIFAR10", "TABLE1_MNIST", "UNSEEN"]

_COLUMNS = ("clean", "pgd", "fgsm", "gn", "sgr")
"""Methods whose PGD examples are shown to the others, in the order of the printed columns."""


def _method_table(recipe: Recipe, radii_255: range, transfer_255: range) -> MethodTable:
    paper = (
        ("clean", recipe.clean()),
        ("weight_decay", recipe.weight_decay()),
        ("pgd", recipe.pgd_trained()),
        ("fgsm", recipe.fgsm_trained()),
        ("gn", recipe.gn()),
        ("sgr", recipe.sgr()),
    )
    twins = (recipe.clean("gelu"), recipe.gn("gelu"), recipe.sgr("gelu"))
    return MethodTable(
        paper=PAPER,
        stem=f"table1-{recipe.dataset}",
        title=f"training methods against attacks on {recipe.title}",
        data_title=recipe.title,
        methods=(
            *(
                Method(network=network, row=f"{recipe.row}/{key}", is_source=key in _COLUMNS)
                for key, network in paper
            ),
            *(Method(network=network) for network in twins),
        ),
        attacks=MethodAttacks(
            eps_values=tuple(k / 255 for k in radii_255),
            transfer_eps=tuple(k / 255 for k in transfer_255),
        ),
        printed=PrintedColumns(
            clean=0,
            attacks={"random noise": 1, "PGD": 2, "targeted PGD": 3},
            transfer={f"{recipe.row}/{key}": 4 + at for at, key in enumerate(_COLUMNS)},
            deepfool=9,
        ),
    )


TABLE1_MNIST = _method_table(MNIST, range(0, 33, 2), range(0, 33, 8))
TABLE1_CIFAR10 = _method_table(CIFAR10, range(9), range(0, 9, 2))


def _of_penalty(change: Callable[[Any], Any]) -> Change:
    """Return a change of the penalty within ``Standardized``."""

    def changed(config: TrainingConfig) -> TrainingConfig:
        assert isinstance(config.penalty, Standardized)
        return replace(config, penalty=Standardized(penalty=change(config.penalty.penalty)))

    return changed


def _at_pixels(share: float) -> Change:
    """Return the penalty at pixels, its strength multiplied with ``share``."""

    def changed(config: TrainingConfig) -> TrainingConfig:
        assert isinstance(config.penalty, Standardized)
        inner: Any = config.penalty.penalty
        return replace(config, penalty=replace(inner, strength=share * inner.strength))

    return changed


def _with_covariance(covariance: Any) -> Change:
    def changed(penalty: Any) -> Any:
        assert isinstance(penalty, Structured)
        return replace(penalty, covariance=covariance)

    return _of_penalty(changed)


def _from_labels(config: TrainingConfig) -> TrainingConfig:
    """Let the training's attack start from the true labels, which it can leak."""
    mixture: Any = config.attack
    inner = replace(mixture.attack, start_from_prediction=False)
    return replace(config, attack=replace(mixture, attack=inner))


def _a_fifth(config: TrainingConfig) -> TrainingConfig:
    return replace(config, epochs=config.epochs // 5)


_SIDES: Mapping[str, Change] = {
    "at pixels, strength times the images' variance": _at_pixels(MNIST.mean_variance),
    "at pixels, the printed strength": _at_pixels(1.0),
}
_BETA = MNIST.printed("sgr/beta")
_FIGURE = WhiteBox(
    paper=PAPER,
    stem="departures",
    data_title=MNIST.title,
    curves=Curves(
        attack=PGD(eps=0.0, steps=10, reach=2.0, start_from_prediction=True),
        name="PGD(10)",
        protocol="PGD(10) with a random start, step eps / 5",
        eps_values=tuple(k / 255 for k in range(0, 33, 4)),
        judged_eps=24 / 255,
    ),
    of_paper=(),
)


def _question(network: Network, row: str, changes: Mapping[str, Change]) -> Question:
    """Return what the accuracies in a row of the paper's table hang on."""
    return Question(
        figure=_FIGURE,
        network=network,
        clean=f"{MNIST.row}/{row}/0",
        mean=f"{MNIST.row}/{row}/2",
        changes=changes,
    )


DEPARTURES = Departures(
    paper=PAPER,
    stem="departures",
    questions=(
        _question(MNIST.clean(), "clean", {"a fifth of the epochs": _a_fifth}),
        _question(
            MNIST.sgr(),
            "sgr",
            {
                **_SIDES,
                "learned from gradients": _with_covariance(
                    Radial(decay=_BETA, source=GradientSource())
                ),
                "learned from PGD": _with_covariance(
                    Radial(decay=_BETA, source=PGDSource(eps=MNIST.printed("pgd_eps_255") / 255))
                ),
                "full matrix": _with_covariance(Dense(decay=_BETA)),
                "function of the displacement": _with_covariance(Stationary(decay=_BETA)),
                "blocks of rows": _with_covariance(Block(decay=_BETA)),
                "with the uncentred term": _with_covariance(Radial(decay=_BETA, mean=True)),
                "a fifth of the epochs": _a_fifth,
            },
        ),
        _question(MNIST.gn(), "gn", {**_SIDES, "a fifth of the epochs": _a_fifth}),
        _question(MNIST.fgsm_trained(), "fgsm", {"attacked from the true labels": _from_labels}),
        _question(MNIST.pgd_trained(), "pgd", {"attacked from the true labels": _from_labels}),
    ),
)
"""Side of the standardisation, source and form of the covariance, label leaking, epochs."""

UNSEEN = UnseenDisturbances(
    paper=PAPER,
    stem="unseen",
    title="disturbances that nobody trained on",
    data_title=CIFAR10.title,
    compared_networks=(
        LRC.clean,
        LRC.sgr,
        LRC.gn,
        LRC.noise,
        CIFAR10.pgd_trained(),
        CIFAR10.sgr(),
        CIFAR10.sgr("gelu"),
    ),
    corruptions={
        "brightness gradient": BrightnessGradient(0.3),
        "contrast gradient": ContrastGradient(0.8),
        "fog": Fog(0.4),
        "Gaussian blur": GaussianBlur(1.0),
        "JPEG, quality 20": JpegCompression(20),
        "shot noise": ShotNoise(30.0),
        "shift": Shift(3),
        "elastic": ElasticDeformation(1.0, 3.0),
    },
    attacks={
        "white noise 0.1": WhiteNoise(eps=0.1, samples=1),
        "L2 PGD 0.25": PGD(eps=0.25, steps=10, norm="l2"),
        "L1, sum 4": SparseL1(eps=4.0),
        "Linf PGD 2/255": PGD(eps=2 / 255, steps=10),
    },
)
"""Ours: the noise of ``LRC`` has decay length 8; no network saw any of these."""
