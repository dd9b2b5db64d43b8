"""How Yeats et al. (2021) train, data set by data set, and which networks their figures show."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from steadygrad.attacks import PGD
from steadygrad.datasets import (
    AUGMENTATIONS,
    GaussianNoise,
    HorizontalFlip,
    Noise,
    RandomCrop,
    UniformNoise,
    data_source,
)
from steadygrad.experiments.network import Network
from steadygrad.models import MODELS, NamedComplexModel, SecondOrder
from steadygrad.penalties import SquaredNormPenalty
from steadygrad.training import SGD, Adam, ClipNorm, MultiStep, TrainingConfig

__all__ = [
    "NEIGHBOUR",
    "PAPER",
    "RECIPES",
    "Kind",
    "Lineup",
    "Recipe",
    "short_noise",
    "strength_from_beta",
    "uniform_noise",
]

PAPER = "yeats2021"
"""As the data file of the printed numbers is called."""

Kind: TypeAlias = Literal["complex", "real", "gelu", "wide real", "wide gelu"]
"""The paper's networks, and the smooth twin of each real one, of equal size. The wide ones are
CIFAR-10's alone ("CIFAR2")."""


_LABELS: Mapping[Kind, str] = {
    "complex": "complex",
    "real": "real",
    "gelu": "real GELU",
    "wide real": "wide real",
    "wide gelu": "wide real GELU",
}
TWINS: Mapping[Kind, Kind] = {"real": "gelu", "wide real": "wide gelu"}
"""The smooth twin of each real network."""

NEIGHBOUR = 0.1
"""Half-width of the uniform noise of "the penalty at a random neighbour", but on CIFAR-10."""

GRADIENT_LIMIT = 10.0
"""Length at which the parameter gradient of a complex network with the penalty is cut. The paper
has no limit. Without one, a single step at which a modulus came near 0 (where the exact second
derivative grows without bound) lost the MNIST network of beta 512 in its 18th epoch; usual lengths
are 0.2 to 6."""


def strength_from_beta(beta: float, batch_size: int) -> float:
    """Convert: the released code differentiates the mean over the batch, ours each example."""
    return beta / batch_size**2


def uniform_noise(half_width: float) -> UniformNoise:
    """Return the noise, its half-width in six digits, as the runs before parts had it."""
    return UniformNoise(float(f"{half_width:g}"))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of one data set, of every network trained on it.

    title: of the data set, for captions; settings: of ``TrainingConfig``.
    models: architecture by kind; the kinds there are.
    penalised: settings that networks with the penalty have besides; penalised_noise: what complex
        ones are trained with, after the augmentation of all.
    attack_eps: radius of the attacks that the PGD-trained network learns from; the paper prints it
        for NES alone.
    real_gradient_scale: what the released code multiplies the input gradient of a real network
        with, by taking it at the normalised image: the standard deviation of the pixels.
    caution: what keeps results from being compared with the paper's at any scale, or "".
    """

    dataset: str
    title: str
    models: Mapping[Kind, str]
    settings: Mapping[str, Any]
    attack_eps: float
    penalised: Mapping[str, Any] = field(default_factory=dict)
    penalised_noise: Noise | None = None
    real_gradient_scale: float = 1.0
    caution: str = ""

    @property
    def batch_size(self) -> int:
        """Images a step."""
        size: int = self.settings["batch_size"]
        return size

    def plain(self, kind: Kind, *, seed: int = 0, noise: Noise | None = None) -> Network:
        """Return a network trained on the cross-entropy alone; with noise, the control for it."""
        label = f"{_LABELS[kind]}, no defence"
        if noise is not None:
            label = f"{_LABELS[kind]}, noise alone ({short_noise(noise)})"
        return self._network(label, kind, seed, {}, noise=noise)

    def penalised_network(
        self,
        kind: Kind,
        beta: float,
        *,
        seed: int = 0,
        second_order: SecondOrder = "exact",
        noise: Noise | None = None,
        with_noise: bool = True,
    ) -> Network:
        """Return a network with the squared L1 norm of the input gradient, at the paper's beta.

        noise: take loss and penalty at a random neighbour, drawn from it; None: as the recipe does.
        with_noise: False leaves the recipe's noise out.
        """
        label = f"{_LABELS[kind]}, beta {beta:g}"
        scale = 1.0 if kind == "complex" else self.real_gradient_scale
        strength = scale**2 * strength_from_beta(beta, self.batch_size)
        settings: dict[str, Any] = {
            "penalty": SquaredNormPenalty(strength=strength),
            **self.penalised,
        }
        own_noise = None
        if kind == "complex":
            settings["clipping"] = ClipNorm(length=GRADIENT_LIMIT)
            own_noise = self.penalised_noise if with_noise else None
        if second_order != "exact":
            label += ", frozen phase"
        if noise is not None:
            label += f", at a neighbour ({short_noise(noise)})"
        return self._network(label, kind, seed, settings, second_order, noise or own_noise)

    def at_a_neighbour(
        self, beta: float, *, seed: int = 0, half_width: float = NEIGHBOUR
    ) -> tuple[Network, ...]:
        """Return those with the penalty at a random neighbour, and its noise alone.

        The complex network by both rules and its smooth twin; then both without the penalty.
        """
        noise = uniform_noise(half_width)
        return (
            self.penalised_network("complex", beta, seed=seed, noise=noise),
            self.penalised_network(
                "complex", beta, seed=seed, second_order="frozen_phase", noise=noise
            ),
            self.penalised_network("gelu", beta, seed=seed, noise=noise),
            self.plain("complex", seed=seed, noise=noise),
            self.plain("gelu", seed=seed, noise=noise),
        )

    def at_beta(self, kind: Kind, beta: float, *, seed: int = 0) -> Network:
        """Return the plain network at beta 0, else the penalised one."""
        if beta == 0:
            return self.plain(kind, seed=seed)
        return self.penalised_network(kind, beta, seed=seed)

    def pgd_trained(
        self,
        kind: Kind,
        *,
        seed: int = 0,
        eps: float | None = None,
        steps: int = 4,
        epochs: int | None = None,
    ) -> Network:
        """Return a network trained on PGD examples alone.

        eps: their radius; None: the recipe's.
        epochs: instead of the recipe's, for a comparison at equal time; the rate drops earlier or
            later in proportion.
        """
        radius = self.attack_eps if eps is None else eps
        settings: dict[str, Any] = {"attack": PGD(eps=radius, steps=steps)}
        label = f"{_LABELS[kind]}, PGD({steps})-trained at {radius:.3g}"
        if epochs is not None:
            label += f" for {epochs} epochs"
            share, schedule = epochs / self.settings["epochs"], self.settings["schedule"]
            if isinstance(schedule, MultiStep):
                drops = tuple(max(1, round(share * drop)) for drop in schedule.at)
                schedule = replace(schedule, at=drops)
            settings |= {"epochs": epochs, "schedule": schedule}
        return self._network(label, kind, seed, settings)

    def _network(
        self,
        label: str,
        kind: Kind,
        seed: int,
        changes: Mapping[str, Any],
        second_order: SecondOrder = "exact",
        noise: Noise | None = None,
    ) -> Network:
        settings = {**self.settings, **changes}
        if noise is not None:
            settings["augmentation"] = (*settings.get("augmentation", ()), noise)
        model = MODELS.parse(self.models[kind])
        if isinstance(model, NamedComplexModel):
            model = replace(model, second_order=second_order)
        config = TrainingConfig(data=data_source(self.dataset), model=model, seed=seed, **settings)
        return Network(label, config)


@dataclass(frozen=True, kw_only=True)
class Lineup:
    """The networks of one data set's white-box figure, of seed 0.

    betas: strengths of the penalty, by kind of network, the strongest last; where the paper's text
        does not name them they are ours.
    equal_time_epochs: after which a PGD-trained real network has taken as long as the complex
        one with the penalty, both on one core, by their steps in ``step_seconds.json``.
    neighbour: half-width of the uniform noise of "the penalty at a random neighbour".
    adversary: kind of the network that the paper trains on PGD; wider_attack_eps: a second radius
        for it to learn from, where the recipe's is smaller than the one that networks are judged
        at.
    """

    recipe: Recipe
    betas: Mapping[Kind, tuple[float, ...]]
    equal_time_epochs: int
    neighbour: float = NEIGHBOUR
    adversary: Kind = "real"
    wider_attack_eps: float | None = None

    def of_paper(self) -> tuple[Network, ...]:
        """Return the paper's networks, and the complex one by the rule of the paper's code."""
        recipe = self.recipe
        kinds = [kind for kind in self.betas if kind not in TWINS.values()]
        radii = [None] if self.wider_attack_eps is None else [None, self.wider_attack_eps]
        return (
            *(recipe.plain(kind) for kind in kinds),
            *(recipe.penalised_network(kind, beta) for kind in kinds for beta in self.betas[kind]),
            self.frozen(),
            *(recipe.pgd_trained(self.adversary, eps=eps) for eps in radii),
        )

    def beyond(self) -> tuple[Network, ...]:
        """Return smooth twins, random neighbours, and attack training for an equal time."""
        recipe = self.recipe
        twins = [kind for kind in self.betas if kind in TWINS.values()]
        return (
            *(recipe.plain(kind) for kind in twins),
            *(recipe.penalised_network(kind, beta) for kind in twins for beta in self.betas[kind]),
            *self.at_a_neighbour(),
            recipe.pgd_trained(TWINS[self.adversary]),
            recipe.pgd_trained(self.adversary, epochs=self.equal_time_epochs),
        )

    def strongest(self, kind: Kind, second_order: SecondOrder = "exact") -> Network:
        """Return a network with the complex network's strongest penalty."""
        beta = self.betas["complex"][-1]
        return self.recipe.penalised_network(kind, beta, second_order=second_order)

    def frozen(self) -> Network:
        """Return the complex network at the strongest penalty by the rule of the paper's code."""
        return self.strongest("complex", "frozen_phase")

    def at_a_neighbour(self) -> tuple[Network, ...]:
        """Return those with the strongest penalty at a random neighbour, and its noise alone."""
        return self.recipe.at_a_neighbour(self.betas["complex"][-1], half_width=self.neighbour)


def short_noise(noise: Noise) -> str:
    """Return a noise with three digits, for labels."""
    size = noise.std if isinstance(noise, GaussianNoise) else noise.half_width
    return f"{AUGMENTATIONS.name_of(noise)}:{size:.3g}"


def _models(name: str) -> dict[Kind, str]:
    kinds: tuple[Kind, ...] = ("complex", "real", "gelu")
    return {kind: f"{name}-{kind}" for kind in kinds}


_SMALL = {
    "optimizer": SGD(learning_rate=0.005, momentum=0.875, weight_decay=1e-4),
    "batch_size": 64,
    "epochs": 30,
    "schedule": MultiStep(at=(20,), drop=0.2),
}
_IDENTICAL = {
    "optimizer": Adam(denominator=1e-4, weight_decay=1e-4),
    "batch_size": 64,
    "epochs": 30,
    "schedule": MultiStep(at=(20,), drop=0.2),
}
_WATCHED = {"test_images": 10_000}
_FLIPPED = {"augmentation": (HorizontalFlip(), RandomCrop(1, mode="edge"))}
_PARTIAL_SVHN = (
    "the data are the first 10,000 images of SVHN's test set, cut in two, not SVHN's own split"
)

RECIPES: Mapping[str, Recipe] = {
    "mnist": Recipe(
        dataset="mnist",
        title="MNIST",
        models=_models("yeats2021-mnist"),
        settings=_SMALL,
        attack_eps=0.2,
    ),
    "fashion_mnist": Recipe(
        dataset="fashion_mnist",
        title="Fashion-MNIST",
        models=_models("yeats2021-fashion-mnist"),
        settings=_SMALL | _FLIPPED | _WATCHED,
        penalised={"update_similarity": True},
        penalised_noise=GaussianNoise(0.05),
        attack_eps=0.1,
    ),
    "svhn": Recipe(
        dataset="svhn_10k",
        title="SVHN (partial)",
        models=_models("yeats2021-svhn"),
        settings=_SMALL,
        penalised={"update_similarity": True},
        attack_eps=0.05,
        caution=_PARTIAL_SVHN,
    ),
    "cifar10": Recipe(
        dataset="cifar10",
        title="CIFAR-10",
        models={
            **_models("yeats2021-cifar1"),
            "wide real": "yeats2021-cifar2-real",
            "wide gelu": "yeats2021-cifar2-gelu",
        },
        settings={
            "optimizer": SGD(learning_rate=0.01, momentum=0.875, weight_decay=1e-4),
            "batch_size": 128,
            "epochs": 80,
            "schedule": MultiStep(at=(40, 60, 72), drop=0.2),
            "augmentation": (HorizontalFlip(), RandomCrop(4, mode="edge")),
        },
        attack_eps=8 / 255,
        real_gradient_scale=0.2,
    ),
    "mnist, identical": Recipe(
        dataset="mnist",
        title="MNIST",
        models=_models("ross2018"),
        settings=_IDENTICAL,
        attack_eps=0.2,
    ),
    "fashion_mnist, identical": Recipe(
        dataset="fashion_mnist",
        title="Fashion-MNIST",
        models=_models("ross2018"),
        settings=_IDENTICAL | _FLIPPED,
        attack_eps=0.2,
    ),
    "svhn, identical": Recipe(
        dataset="svhn_10k",
        title="SVHN (partial)",
        models=_models("ross2018"),
        settings=_IDENTICAL,
        attack_eps=0.05,
        caution=_PARTIAL_SVHN,
    ),
}
"""By the paper's name of the data set; "identical" is the architecture of Figure 10 and NES."""
