"""Figures 1 to 6 and section 4.3: covariances of perturbations, and long-range correlated noise."""

from steadygrad.attacks import LongRangeCorrelated
from steadygrad.attacks.longrange_correlated import Unit
from steadygrad.covariance import Dataset, Exponential
from steadygrad.experiments.network_pictures import NoiseGallery, SoftmaxPanels
from steadygrad.experiments.noise_curves import NoiseCurves, NoisePanel
from steadygrad.experiments.perturbation_covariances import (
    CovarianceFunctions,
    LongRangeMatrices,
    PerturbationMatrices,
)
from steadygrad.experiments.printed import PrintedAccuracy, PrintedDifference
from steadygrad.experiments.roth2018.recipes import (
    CIFAR10,
    LRC,
    LRC_EPS,
    LRC_LENGTH,
    LRC_OF_DATASET,
    LRC_SGR_STRENGTH,
    PAPER,
    renamed,
)

__all__ = ["FIGURE1", "FIGURE2", "FIGURE3", "FIGURE4", "FIGURE5", "FIGURE6", "SECTION43"]

_SIDES: tuple[tuple[Unit, str, str], ...] = (
    ("image", "", "eps in each image's own deviations"),
    ("pixel", "-at-pixels", "eps in the pixel range"),
)
"""The paper does not say on which side of the standardisation its noise is added. The first reading
leaves of the networks what its figures show, and is the one that is compared."""

_LENGTHS = (1.0, 2.0, 4.0, 8.0, 16.0)
_EPS_GRID = (0.01, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
_SMALLER_EPS = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3)
_TWIN = renamed(
    CIFAR10.sgr_of(LRC_SGR_STRENGTH, Exponential(LRC_LENGTH), "gelu", side="pixels"),
    "SGR, long range, GELU",
)
_GELU_CLEAN = CIFAR10.clean("gelu")
_SECTION = "lrc_attack_cifar10"
_OF_DATASET = f"{_SECTION}/covariance_of_training_set_eps_0.3"
_STRENGTHS = (
    "Strengths of GN and SGR are ours, selected on validation images; the paper prints none."
)

FIGURE1 = PerturbationMatrices(
    paper=PAPER,
    stem="figure1",
    data_title=CIFAR10.title,
    network=CIFAR10.clean(),
    attacks={"PGD": "pgd", "FGSM": "fgsm", "DeepFool": "deepfool"},
)
FIGURE2 = CovarianceFunctions(
    paper=PAPER,
    stem="figure2",
    data_title=CIFAR10.title,
    network=CIFAR10.clean(),
    attacks={"PGD": "pgd"},
)
FIGURE3 = NoiseCurves(
    paper=PAPER,
    stem="figure3",
    title="accuracy against the decay length of long-range correlated noise",
    data_title=CIFAR10.title,
    x_label="decay length of the noise (pixels)",
    x_name="decay length",
    of_paper=LRC.all,
    beyond=(_TWIN, _GELU_CLEAN),
    panels=tuple(
        NoisePanel(
            stem=f"figure3{suffix}",
            title=f"{meaning}, eps {LRC_EPS:g}",
            noises={
                length: LongRangeCorrelated(eps=LRC_EPS, covariance=Exponential(length), unit=unit)
                for length in _LENGTHS
            },
        )
        for unit, suffix, meaning in _SIDES
    ),
    printed=(
        PrintedDifference(
            quantity="SGR minus GN at decay length 16 (points)",
            path=f"{_SECTION}/claim_sgr_minus_gn_at_zeta_16_eps_0.3_at_least",
            first=LRC.sgr,
            second=LRC.gn,
            eps=16.0,
            is_lower_bound=True,
        ),
    ),
    gallery=NoiseGallery(
        networks=(LRC.sgr, LRC.clean),
        eps=LRC_EPS,
        unit="image",
        decay_lengths=(1.0, 2.0, 4.0, 8.0, 12.0),
    ),
    note=_STRENGTHS,
)
FIGURE4 = NoiseCurves(
    paper=PAPER,
    stem="figure4",
    title=f"accuracy against the strength of noise of decay length {LRC_LENGTH:g}",
    data_title=CIFAR10.title,
    x_label="eps of the noise (standard deviation)",
    x_name="eps",
    of_paper=LRC.all,
    beyond=(_TWIN, _GELU_CLEAN),
    panels=tuple(
        NoisePanel(
            stem=f"figure4{suffix}",
            title=meaning,
            noises={
                eps: LongRangeCorrelated(eps=eps, covariance=Exponential(LRC_LENGTH), unit=unit)
                for eps in (_EPS_GRID if unit == "image" else _SMALLER_EPS)
            },
        )
        for unit, suffix, meaning in _SIDES
    ),
    note=_STRENGTHS,
)
FIGURE5 = LongRangeMatrices(
    paper=PAPER,
    stem="figure5",
    title="long-range covariance matrices beside that of the training images",
    dataset=CIFAR10.dataset,
    data_title=CIFAR10.title,
    decay_lengths=(1.0, 2.0, 4.0, 8.0),
)
FIGURE6 = SoftmaxPanels(
    paper=PAPER,
    stem="figure6",
    title="softmax activations along the line through an image and its perturbation",
    data_title=CIFAR10.title,
    compared_networks=(CIFAR10.sgr(), CIFAR10.clean(), CIFAR10.sgr("gelu")),
    eps=4 / 255,
)
SECTION43 = NoiseCurves(
    paper=PAPER,
    stem="section4.3",
    title="accuracy under noise with the covariance of the training images",
    data_title=CIFAR10.title,
    x_label="network",
    x_name="eps",
    of_paper=LRC_OF_DATASET.all,
    panels=tuple(
        NoisePanel(
            stem=f"section4.3{suffix}",
            title=f"{meaning}, eps {LRC_EPS:g}",
            noises={LRC_EPS: LongRangeCorrelated(eps=LRC_EPS, covariance=Dataset(), unit=unit)},
        )
        for unit, suffix, meaning in _SIDES
    ),
    printed=tuple(
        PrintedAccuracy(
            quantity=f"{name} under noise of the images' covariance, eps 0.3 (%)",
            path=f"{_OF_DATASET}/{key}",
            networks=(network,),
            eps=LRC_EPS,
            tolerance=2.0,
        )
        for name, key, network in (
            ("SGR", "sgr", LRC_OF_DATASET.sgr),
            ("GN", "gn", LRC_OF_DATASET.gn),
            ("LRC noise training", "lrc_noise_training", LRC_OF_DATASET.noise),
            ("clean", "clean", LRC_OF_DATASET.clean),
        )
    ),
    note=_STRENGTHS,
)
