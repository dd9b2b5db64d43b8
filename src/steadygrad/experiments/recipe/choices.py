"""The small budget, on validation images: what noise, strength, norm and network to train with."""

from steadygrad.datasets import ElasticDeformation, GaussianNoise, UniformNoise
from steadygrad.experiments.recipe.networks import CIFAR10, FASHION_MNIST, MNIST, SVHN, Recipe
from steadygrad.experiments.settings_grid import SettingsGrid
from steadygrad.experiments.white_box import pgd_curves

__all__ = ["CIFAR10_CHOICE", "FASHION_MNIST_CHOICE", "MNIST_CHOICE", "SVHN_CHOICE"]

PAPER = "recipe"


_PROPOSED = MNIST.small(MNIST.penalised())
_FASTER = MNIST.penalised(rate=0.02)
_STRONGER = MNIST.penalised(strength=1 / 4, rate=0.02)
_SHIFTED = MNIST.shifted(_FASTER)
_STRONGER_SHIFTED = MNIST.along_cosine(MNIST.shifted(_STRONGER))
_TURNED = MNIST.along_cosine(MNIST.shifted(MNIST.turned(_STRONGER)))
_ELASTIC = MNIST.along_cosine(
    MNIST.shifted(MNIST.varied(_STRONGER, "elastic 2", ElasticDeformation(2.0, 4.0)))
)
_TURNED_ELASTIC = MNIST.along_cosine(
    MNIST.shifted(MNIST.turned(MNIST.varied(_STRONGER, "elastic 1", ElasticDeformation(1.0))))
)
_PGD_TRAINED = MNIST.pgd_trained(0.3, rate=0.05)
_PGD_SHIFTED = MNIST.along_cosine(MNIST.shifted(_PGD_TRAINED))
_PGD_FASTER = MNIST.along_cosine(MNIST.shifted(MNIST.pgd_trained(0.3, rate=0.1)))

MNIST_CHOICE = SettingsGrid(
    paper=PAPER,
    stem="mnist-choice",
    title="one setting changed at a time, 20,000 images and 8 epochs",
    data_title=MNIST.title,
    axes={
        "noise around each image": {
            "none": MNIST.small(MNIST.penalised(noise=None)),
            "uniform 0.1": MNIST.small(MNIST.penalised(noise=UniformNoise(0.1))),
            "uniform 0.2": MNIST.small(MNIST.penalised(noise=UniformNoise(0.2))),
            "uniform 0.3": _PROPOSED,
            "uniform 0.4": MNIST.small(MNIST.penalised(noise=UniformNoise(0.4))),
            "Gaussian 0.1": MNIST.small(MNIST.penalised(noise=GaussianNoise(0.1))),
            "Gaussian 0.2": MNIST.small(MNIST.penalised(noise=GaussianNoise(0.2))),
        },
        "penalty": {
            "squared 1/16": MNIST.small(MNIST.penalised(strength=1 / 16)),
            "squared 1/8": _PROPOSED,
            "squared 1/4": MNIST.small(MNIST.penalised(strength=1 / 4)),
            "squared 1/2": MNIST.small(MNIST.penalised(strength=1 / 2)),
            "L1, eps 0.3": MNIST.small(MNIST.unsquared(0.3)),
            "L1, eps 0.8": MNIST.small(MNIST.unsquared(0.8)),
            "none": MNIST.small(MNIST.noise_alone()),
        },
        "learning rate": {
            "0.005": _PROPOSED,
            "0.01": MNIST.small(MNIST.penalised(rate=0.01)),
            "0.02": MNIST.small(_FASTER),
            "0.05": MNIST.small(MNIST.penalised(rate=0.05)),
        },
        "at rate 0.02": {
            "squared 1/8": MNIST.small(_FASTER),
            "squared 1/4": MNIST.small(_STRONGER),
            "1/4 of the batch": MNIST.small(MNIST.penalised(fraction=0.25, rate=0.02)),
            "every 4th step": MNIST.small(MNIST.penalised(every=4, rate=0.02)),
            "GELU": MNIST.small(MNIST.penalised(kind="gelu", rate=0.02)),
            "GELU, rate 0.05": MNIST.small(MNIST.penalised(kind="gelu", rate=0.05)),
        },
        "schedule, shifts by a pixel and epochs, at rate 0.02": {
            "linear": MNIST.small(_FASTER),
            "cosine": MNIST.small(MNIST.along_cosine(_FASTER)),
            "linear, shifts": MNIST.small(_SHIFTED),
            "cosine, shifts": MNIST.small(MNIST.along_cosine(_SHIFTED)),
            "linear, 16 epochs": MNIST.small(_FASTER, epochs=16),
            "linear, shifts, 16 epochs": MNIST.small(_SHIFTED, epochs=16),
            "cosine, shifts, 16 epochs": MNIST.small(MNIST.along_cosine(_SHIFTED), epochs=16),
            "the same, squared 1/4": MNIST.small(_STRONGER_SHIFTED, epochs=16),
        },
        "images varied further, squared 1/4, cosine, 16 epochs": {
            "shifts": MNIST.small(_STRONGER_SHIFTED, epochs=16),
            "shifts, turns by 10 degrees": MNIST.small(_TURNED, epochs=16),
            "shifts, elastic 2": MNIST.small(_ELASTIC, epochs=16),
            "shifts, turns, elastic 1": MNIST.small(_TURNED_ELASTIC, epochs=16),
        },
        "epochs": {
            "8": _PROPOSED,
            "16": MNIST.small(MNIST.penalised(), epochs=16),
        },
        "network": {
            "complex": _PROPOSED,
            "frozen phase": MNIST.small(MNIST.penalised(kind="frozen phase")),
            "GELU": MNIST.small(MNIST.penalised(kind="gelu")),
        },
        "averaged weights": {
            "yes": _PROPOSED,
            "no": MNIST.small(MNIST.raw(MNIST.penalised())),
        },
        "part of the batch": {
            "all": _PROPOSED,
            "1/2": MNIST.small(MNIST.penalised(fraction=0.5)),
            "1/4": MNIST.small(MNIST.penalised(fraction=0.25)),
        },
        "steps penalised": {
            "all": _PROPOSED,
            "every 2nd": MNIST.small(MNIST.penalised(every=2)),
            "every 4th": MNIST.small(MNIST.penalised(every=4)),
            "every 8th": MNIST.small(MNIST.penalised(every=8)),
        },
        "attack training": {
            "PGD(4) 0.2, rate 0.005": MNIST.small(MNIST.pgd_trained(0.2)),
            "PGD(4) 0.2, rate 0.02": MNIST.small(MNIST.pgd_trained(0.2, rate=0.02)),
            "PGD(4) 0.2, rate 0.05": MNIST.small(MNIST.pgd_trained(0.2, rate=0.05)),
            "PGD(4) 0.3, rate 0.02": MNIST.small(MNIST.pgd_trained(0.3, rate=0.02)),
            "PGD(4) 0.3, rate 0.05": MNIST.small(_PGD_TRAINED),
            "PGD(8) 0.3, rate 0.05": MNIST.small(MNIST.pgd_trained(0.3, rate=0.05, steps=8)),
            "N-FGSM 0.2, rate 0.02": MNIST.small(MNIST.n_fgsm_trained(0.2, rate=0.02)),
            "N-FGSM 0.2, rate 0.05": MNIST.small(MNIST.n_fgsm_trained(0.2, rate=0.05)),
            "N-FGSM 0.3, rate 0.005": MNIST.small(MNIST.n_fgsm_trained(0.3, rate=0.005)),
            "N-FGSM 0.3, rate 0.02": MNIST.small(MNIST.n_fgsm_trained(0.3, rate=0.02)),
            "complex, PGD(4) 0.2": MNIST.small(MNIST.pgd_trained(0.2, kind="complex")),
            "complex, PGD(4) 0.3, rate 0.02": MNIST.small(
                MNIST.pgd_trained(0.3, rate=0.02, kind="complex")
            ),
        },
        "schedule, shifts by a pixel and epochs, PGD(4) 0.3": {
            "linear": MNIST.small(_PGD_TRAINED),
            "cosine, shifts": MNIST.small(_PGD_SHIFTED),
            "cosine, shifts, rate 0.1": MNIST.small(_PGD_FASTER),
            "cosine, shifts, 16 epochs": MNIST.small(_PGD_SHIFTED, epochs=16),
        },
    },
    validation_size=MNIST.validation,
    curves=pgd_curves((0.1, 0.2, 0.3), 0.2, steps=20),
    worst_eps=(0.2, 0.3),
)

_FASHION = FASHION_MNIST.small(FASHION_MNIST.penalised(rate=0.02))

FASHION_MNIST_CHOICE = SettingsGrid(
    paper=PAPER,
    stem="fashion-mnist-choice",
    title="one setting changed at a time, 20,000 images and 8 epochs",
    data_title=FASHION_MNIST.title,
    axes={
        "learning rate": {
            "0.005": FASHION_MNIST.small(FASHION_MNIST.penalised()),
            "0.01": FASHION_MNIST.small(FASHION_MNIST.penalised(rate=0.01)),
            "0.02": _FASHION,
        },
        "noise around each image": {
            "uniform 0.1": FASHION_MNIST.small(
                FASHION_MNIST.penalised(noise=UniformNoise(0.1), rate=0.02)
            ),
            "uniform 0.15": _FASHION,
            "uniform 0.2": FASHION_MNIST.small(
                FASHION_MNIST.penalised(noise=UniformNoise(0.2), rate=0.02)
            ),
        },
        "penalty": {
            "squared 1/64": FASHION_MNIST.small(
                FASHION_MNIST.penalised(strength=1 / 64, rate=0.02)
            ),
            "squared 0.03": _FASHION,
        },
        "network": {
            "complex": _FASHION,
            "GELU, rate 0.02": FASHION_MNIST.small(FASHION_MNIST.penalised(kind="gelu", rate=0.02)),
            "GELU, rate 0.05": FASHION_MNIST.small(FASHION_MNIST.penalised(kind="gelu", rate=0.05)),
        },
        "attack training": {
            "PGD(4) 0.1, rate 0.02": FASHION_MNIST.small(FASHION_MNIST.pgd_trained(0.1, rate=0.02)),
            "PGD(4) 0.1, rate 0.05": FASHION_MNIST.small(FASHION_MNIST.pgd_trained(0.1, rate=0.05)),
            "N-FGSM 0.1, rate 0.05": FASHION_MNIST.small(
                FASHION_MNIST.n_fgsm_trained(0.1, rate=0.05)
            ),
            "complex, PGD(4) 0.1, rate 0.02": FASHION_MNIST.small(
                FASHION_MNIST.pgd_trained(0.1, rate=0.02, kind="complex")
            ),
        },
    },
    validation_size=FASHION_MNIST.validation,
    curves=pgd_curves((0.05, 0.1, 0.16), 0.1, steps=20),
    worst_eps=(0.1, 0.16),
)


def _at_8_255(recipe: Recipe, stem: str) -> SettingsGrid:
    """Return a grid at the radius 8/255, where a rate of learning and a network are to be found."""
    proposed = recipe.small(recipe.penalised(rate=0.02))
    eps = recipe.attack_eps
    return SettingsGrid(
        paper=PAPER,
        stem=stem,
        title="one setting changed at a time, "
        f"{recipe.small_images:,} images and {recipe.small_epochs} epochs",
        data_title=recipe.title,
        axes={
            "learning rate": {
                "0.02": proposed,
                "0.05": recipe.small(recipe.penalised(rate=0.05)),
            },
            "noise around each image": {
                "none": recipe.small(recipe.penalised(noise=None, rate=0.02)),
                "uniform 12/255": proposed,
            },
            "network": {
                "complex": proposed,
                "GELU, rate 0.02": recipe.small(recipe.penalised(kind="gelu", rate=0.02)),
                "GELU, rate 0.05": recipe.small(recipe.penalised(kind="gelu", rate=0.05)),
            },
            "attack training": {
                "PGD(4) 8/255, rate 0.02": recipe.small(recipe.pgd_trained(eps, rate=0.02)),
                "PGD(4) 8/255, rate 0.05": recipe.small(recipe.pgd_trained(eps, rate=0.05)),
                "N-FGSM 8/255, rate 0.05": recipe.small(recipe.n_fgsm_trained(eps, rate=0.05)),
                "complex, PGD(4) 8/255, rate 0.02": recipe.small(
                    recipe.pgd_trained(eps, rate=0.02, kind="complex")
                ),
            },
        },
        validation_size=recipe.validation,
        curves=pgd_curves((4 / 255, eps, 12 / 255), eps, steps=20),
        worst_eps=(4 / 255, eps),
    )


SVHN_CHOICE = _at_8_255(SVHN, "svhn-choice")
CIFAR10_CHOICE = _at_8_255(CIFAR10, "cifar10-choice")
