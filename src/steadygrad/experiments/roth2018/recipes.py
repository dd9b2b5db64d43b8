"""How Roth et al. (2018) train, data set by data set, and which networks their figures show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from steadygrad.attacks import FGSM, PGD, Attack, LongRangeCorrelated, Mixture
from steadygrad.covariance import CovariancePart, Dataset, Exponential, Radial
from steadygrad.datasets import HorizontalFlip, RandomCrop, data_source
from steadygrad.experiments.network import Network
from steadygrad.experiments.published import published_number
from steadygrad.models import MODELS
from steadygrad.penalties import (
    GradientNormPenalty,
    Standardized,
    Structured,
    strength_from_lambda,
)
from steadygrad.training import Adam, TrainingConfig

__all__ = ["CIFAR10", "LRC_EPS", "LRC_LENGTH", "MNIST", "PAPER", "Kind", "Recipe", "Side"]

PAPER = "roth2018"
"""As the data file of the printed numbers is called."""

Kind: TypeAlias = Literal["relu", "gelu"]
"""The paper's networks, and the smooth twin of each."""

Side: TypeAlias = Literal["standardised", "pixels"]
"""Where a penalty or noise is taken: behind or before the standardisation of each image. The paper
standardises images "when passing them to the classifier" and does not say on which side its
strengths are meant; behind it they are the ones that train."""

_LABELS: Mapping[Kind, str] = {"relu": "", "gelu": ", GELU"}
LRC_EPS, LRC_LENGTH = 0.3, 8.0
LRC_COVARIANCE = Exponential(LRC_LENGTH)
"""Of the noise that a network is trained on, in the image's own deviations, and of its penalty."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of one data set, of every network trained on it.

    title: of the data set, for captions; settings: of ``TrainingConfig``.
    mean_variance: of an image's pixels, the mean over the training set, in squared pixel units:
        what a strength at standardised images is multiplied with to mean about the same at pixels.
    """

    dataset: str
    title: str
    settings: Mapping[str, Any] = field(hash=False)
    mean_variance: float

    @property
    def row(self) -> str:
        """Where the data file has the rows of Table 1."""
        return f"table1/{self.dataset}"

    def printed(self, setting: str) -> float:
        """Return a hyper-parameter that the paper prints."""
        return published_number(PAPER, f"hyper_parameters/{self.dataset}/{setting}")

    def clean(self, kind: Kind = "relu") -> Network:
        """Return a network trained on the cross-entropy alone."""
        return self._network("clean", kind, {})

    def weight_decay(self) -> Network:
        """Return one with the weights' decay."""
        decay = self.printed("weight_decay")
        return self._network("weight decay", "relu", {"optimizer": _adam(decay)})

    def pgd_trained(self, kind: Kind = "relu") -> Network:
        """Return one trained on half clean images and half PGD examples."""
        eps = self.printed("pgd_eps_255") / 255
        attack = PGD(eps=eps, steps=10, reach=2.0, start_from_prediction=True)
        return self._attacked("PGD-trained", kind, attack)

    def fgsm_trained(self, kind: Kind = "relu") -> Network:
        """Return one trained on half clean images and half FGSM examples."""
        eps = self.printed("fgsm_eps_255") / 255
        return self._attacked("FGSM-trained", kind, FGSM(eps=eps, start_from_prediction=True))

    def gn(self, kind: Kind = "relu", *, side: Side = "standardised") -> Network:
        """Return one with the gradient-norm penalty, at the printed gamma."""
        return self.gn_of(strength_from_lambda(self.printed("gn/gamma")), kind, side=side)

    def gn_of(self, strength: float, kind: Kind = "relu", *, side: Side) -> Network:
        """Return one with the gradient-norm penalty, at a strength of ours."""
        return self._penalised("GN", kind, GradientNormPenalty(strength=strength), side)

    def sgr(self, kind: Kind = "relu", *, side: Side = "standardised") -> Network:
        """Return one with the structured penalty, at the printed lambda and beta.

        Its covariance is the paper's function of the distance, learned from FGSM perturbations.
        """
        strength = strength_from_lambda(self.printed("sgr/lambda"))
        return self.sgr_of(strength, Radial(decay=self.printed("sgr/beta")), kind, side=side)

    def sgr_of(
        self, strength: float, covariance: CovariancePart, kind: Kind = "relu", *, side: Side
    ) -> Network:
        """Return one with the structured penalty, at a strength and covariance of ours."""
        penalty = Structured(strength=strength, covariance=covariance)
        return self._penalised("SGR", kind, penalty, side)

    def noise_trained(
        self,
        covariance: CovariancePart = LRC_COVARIANCE,
        *,
        unit: Literal["image", "pixel"] = "image",
    ) -> Network:
        """Return one trained on half clean images and half long-range correlated noise."""
        noise = LongRangeCorrelated(eps=LRC_EPS, samples=1, covariance=covariance, unit=unit)
        return self._attacked("LRC noise", "relu", noise)

    def _attacked(self, label: str, kind: Kind, attack: Attack) -> Network:
        return self._network(label, kind, {"attack": Mixture(attack=attack, fraction=0.5)})

    def _penalised(self, label: str, kind: Kind, penalty: Any, side: Side) -> Network:
        taken = Standardized(penalty=penalty) if side == "standardised" else penalty
        return self._network(label, kind, {"penalty": taken})

    def _network(self, label: str, kind: Kind, changes: Mapping[str, Any]) -> Network:
        config = TrainingConfig(
            data=data_source(self.dataset),
            model=MODELS.parse(f"roth2018-{self.dataset}-{kind}"),
            **{**self.settings, **changes},
        )
        return Network(f"{label}{_LABELS[kind]}", config)


def renamed(network: Network, label: str) -> Network:
    """Return the same network under another label."""
    return replace(network, label=label)


def _adam(weight_decay: float = 0.0) -> Adam:
    return Adam(learning_rate=1e-3, weight_decay=weight_decay)


MNIST = Recipe(
    dataset="mnist",
    title="MNIST",
    settings={
        "optimizer": _adam(),
        "batch_size": 128,
        "epochs": 50,
        "augmentation": (RandomCrop(4, mode="constant", value=0.0),),
    },
    mean_variance=0.0931,
)
CIFAR10 = Recipe(
    dataset="cifar10",
    title="CIFAR-10",
    settings={
        "optimizer": _adam(),
        "batch_size": 128,
        "epochs": 75,
        "augmentation": (HorizontalFlip(), RandomCrop(4, mode="constant", value=0.5)),
        # Ours, not the paper's: half the time on a processor with bfloat16 instructions.
        "precision": "bf16",
    },
    mean_variance=0.0476,
)

LRC_GN_STRENGTH = 0.1
LRC_SGR_STRENGTH = 0.02
"""At pixels, by the accuracy under noise of decay length 8 on 1,000 validation images, of 0.0125,
0.1 and 0.5 (GN) and 0.0025, 0.02 and 0.1 (SGR), with 5,000 training images and 6 epochs. The paper
does not print the strengths of its section 4.3."""


@dataclass(frozen=True, kw_only=True)
class LrcLineup:
    """The networks of section 4.3, against noise of one covariance."""

    clean: Network
    gn: Network
    sgr: Network
    noise: Network

    @property
    def all(self) -> tuple[Network, ...]:
        """In the order of the paper's legend."""
        return self.sgr, self.gn, self.noise, self.clean


LRC = LrcLineup(
    clean=CIFAR10.clean(),
    gn=CIFAR10.gn_of(LRC_GN_STRENGTH, side="pixels"),
    sgr=renamed(
        CIFAR10.sgr_of(LRC_SGR_STRENGTH, Exponential(LRC_LENGTH), side="pixels"), "SGR, long range"
    ),
    noise=CIFAR10.noise_trained(),
)
LRC_OF_DATASET = LrcLineup(
    clean=LRC.clean,
    gn=LRC.gn,
    sgr=renamed(
        CIFAR10.sgr_of(LRC_SGR_STRENGTH, Dataset(), side="pixels"), "SGR, covariance of the images"
    ),
    noise=renamed(CIFAR10.noise_trained(Dataset()), "noise, covariance of the images"),
)
