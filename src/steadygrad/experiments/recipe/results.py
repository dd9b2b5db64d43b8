"""Full trainings: the recipe beside attack training, under strong attacks and unseen ones."""

from steadygrad.attacks import PGD, SparseL1, WhiteNoise
from steadygrad.datasets import UniformNoise
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
from steadygrad.experiments.loss_shape import LossShape
from steadygrad.experiments.recipe.choices import MNIST_CHOICE, PAPER
from steadygrad.experiments.recipe.networks import MNIST
from steadygrad.experiments.scale import SCALES
from steadygrad.experiments.standard_autoattack import StandardAutoAttack
from steadygrad.experiments.unseen import UnseenDisturbances
from steadygrad.experiments.white_box import WhiteBox, pgd_curves

__all__ = [
    "MNIST_AUTOATTACK",
    "MNIST_AUTOATTACK_RIVALS",
    "MNIST_CURVES",
    "MNIST_UNSEEN",
    "MNIST_WHY",
]

_EPS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4)
# Rates and radii: the best of ``MNIST_CHOICE``, on validation images.
_PROPOSED = MNIST.penalised(rate=0.02)
_SHIFTED = MNIST.along_cosine(MNIST.shifted(MNIST.penalised(strength=1 / 4, rate=0.02)))
_LONGER, _LONGEST = MNIST.lasting(_SHIFTED, 20), MNIST.lasting(_SHIFTED, 40)
_TURNED = MNIST.lasting(MNIST.along_cosine(MNIST.shifted(MNIST.turned(_PROPOSED))), 20)
_SLOWER = MNIST.penalised()
_WIDER = MNIST.penalised(noise=UniformNoise(0.4), rate=0.02)
_TWIN = MNIST.penalised(kind="gelu", rate=0.02)
_PGD_TRAINED = MNIST.pgd_trained(0.2, rate=0.05)
_WIDER_PGD_TRAINED = MNIST.pgd_trained(0.3, rate=0.05)
# As long as the recipe takes.
_AT_EQUAL_TIME = MNIST.lasting(_WIDER_PGD_TRAINED, 5)
# As long as the longer training takes, with its shifts and its schedule, at the rate that is best
# without them and at the one that is best with them.
_LONGER_AT_EQUAL_TIME = tuple(
    MNIST.lasting(MNIST.along_cosine(MNIST.shifted(attacked)), 10)
    for attacked in (_WIDER_PGD_TRAINED, MNIST.pgd_trained(0.3, rate=0.1))
)
_COMPLEX_PGD_TRAINED = MNIST.lasting(MNIST.pgd_trained(0.3, rate=0.02, kind="complex"), 6)
_N_FGSM_TRAINED = MNIST.n_fgsm_trained(0.2, rate=0.05)

MNIST_CURVES = WhiteBox(
    paper=PAPER,
    stem="mnist",
    data_title=MNIST.title,
    curves=pgd_curves(_EPS, MNIST.attack_eps, steps=20),
    of_paper=(
        _PROPOSED,
        _TURNED,
        _LONGEST,
        _SLOWER,
        _WIDER,
        _TWIN,
        _PGD_TRAINED,
        _AT_EQUAL_TIME,
        _COMPLEX_PGD_TRAINED,
        _WIDER_PGD_TRAINED,
        _N_FGSM_TRAINED,
    ),
    further_worst=(0.1, 0.3),
    titles=("penalty at a wide neighbour, and attack training", ""),
)
MNIST_AUTOATTACK = StandardAutoAttack(
    paper=PAPER,
    stem="mnist-autoattack",
    title="what standard AutoAttack leaves",
    data_title=MNIST.title,
    attacked_networks=(_PROPOSED, _LONGER, _AT_EQUAL_TIME, *_LONGER_AT_EQUAL_TIME),
    eps_values=(0.2, 0.3),
    images=1000,
)
MNIST_AUTOATTACK_RIVALS = StandardAutoAttack(
    paper=PAPER,
    stem="mnist-autoattack-rivals",
    title="what standard AutoAttack leaves",
    data_title=MNIST.title,
    attacked_networks=(
        _PROPOSED,
        _SLOWER,
        _AT_EQUAL_TIME,
        _COMPLEX_PGD_TRAINED,
        _WIDER_PGD_TRAINED,
    ),
    eps_values=(0.2, 0.3),
    images=200,
)
MNIST_UNSEEN = UnseenDisturbances(
    paper=PAPER,
    stem="mnist-unseen",
    title="disturbances that nobody trained on",
    data_title=MNIST.title,
    compared_networks=(
        MNIST.plain(),
        MNIST.noise_alone(),
        _PROPOSED,
        _AT_EQUAL_TIME,
        _N_FGSM_TRAINED,
    ),
    corruptions={
        "brightness gradient": BrightnessGradient(0.6),
        "contrast gradient": ContrastGradient(0.8),
        "fog": Fog(0.7),
        "Gaussian blur": GaussianBlur(2.0),
        "JPEG, quality 5": JpegCompression(5),
        "shot noise": ShotNoise(3.0),
        "shift": Shift(4),
        "elastic": ElasticDeformation(2.0, 3.0),
    },
    attacks={
        "white noise 0.4": WhiteNoise(eps=0.4, samples=1),
        "L2 PGD 2": PGD(eps=2.0, steps=50, norm="l2"),
        "L2 PGD 3": PGD(eps=3.0, steps=50, norm="l2"),
        "L1, sum 10": SparseL1(eps=10.0),
        "Linf PGD 0.3": PGD(eps=0.3, steps=50),
    },
)
MNIST_WHY = LossShape(
    paper=PAPER,
    stem="mnist-why",
    title="which measure of the loss tells robustness",
    data_title=MNIST.title,
    compared_networks=MNIST_CHOICE.networks(SCALES["paper"], (0,)),
    untried=MNIST.small(MNIST.penalised(strength=3 / 16, noise=UniformNoise(0.25))),
    validation_size=MNIST.validation,
    curves=pgd_curves((0.2,), 0.2, steps=20),
)
