"""The networks of the recipe: a penalty at a wide neighbour, and what it is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from steadygrad.attacks import PGD, Attack, NoisyFGSM
from steadygrad.datasets import (
    AUGMENTATIONS,
    AugmentationStep,
    HorizontalFlip,
    Noise,
    RandomCrop,
    Rotation,
    UniformNoise,
    data_source,
)
from steadygrad.experiments.network import Network
from steadygrad.models import MODELS, NamedComplexModel
from steadygrad.penalties import NormPenalty, SquaredNormPenalty
from steadygrad.training import (
    SGD,
    ClipNorm,
    Cosine,
    ExponentialMovingAverage,
    Linear,
    Ramp,
    TrainingConfig,
)

__all__ = ["CIFAR10", "FASHION_MNIST", "MNIST", "SVHN", "Kind", "Recipe"]

Kind: TypeAlias = Literal["complex", "frozen phase", "gelu"]
"""The complex network, exactly differentiated or by the rule of Yeats et al., and its real twin."""

RATE = 0.005
"""Of learning, at the start, as in Yeats et al."""

GRADIENT_LIMIT = 5.0
"""Length at which the parameter gradient is cut, in every network."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """One data set's settings.

    Args:
        title: of the data set, for captions; models: what the names of its architectures begin
            with.
        strength: of the squared L1 norm; half_width: of the uniform noise around each image, of
            loss and penalty alike: the proposed values.
        attack_eps: the radius that attack training is compared at.
        epochs: of a full training, on all images.
        augmentation: before the noise.
        small_images, small_epochs: of a training at the small budget.
        validation: images cut from the training set then, on which settings are chosen.
    """

    dataset: str
    title: str
    models: str
    strength: float
    half_width: float
    attack_eps: float
    epochs: int
    augmentation: tuple[AugmentationStep, ...] = ()
    small_images: int = 20_000
    small_epochs: int = 8
    validation: int = 5_000

    def penalised(
        self,
        *,
        kind: Kind = "complex",
        strength: float | None = None,
        noise: Noise | Literal["proposed"] | None = "proposed",
        fraction: float = 1.0,
        every: int = 1,
        rate: float = RATE,
    ) -> Network:
        """Return a network under the squared L1 norm; None and "proposed" are the proposed values.

        fraction: of each batch that bears the penalty, in every ``every``-th step. noise: None for
            none. rate: of learning, at the start.
        """
        chosen = self.strength if strength is None else strength
        penalty = SquaredNormPenalty(strength=chosen, fraction=fraction)
        changes = {"penalty": penalty, "penalty_every": every, "optimizer": SGD(learning_rate=rate)}
        label = f"{kind}, squared L1 {chosen:g}" + ("" if rate == RATE else f", rate {rate:g}")
        return self._network(label, kind, changes, self._noise(noise))

    def unsquared(self, eps: float, *, kind: Kind = "complex") -> Network:
        """Return a network under ``eps`` times the L1 norm, let in over the first third."""
        settings = {"penalty": NormPenalty(eps=eps), "ramp": Ramp(epochs=self.epochs / 3)}
        return self._network(f"{kind}, L1 {eps:g}", kind, settings, self._noise("proposed"))

    def plain(self, kind: Kind = "complex") -> Network:
        """Return a network of the cross-entropy alone."""
        return self._network(f"{kind}, no defence", kind, {}, None)

    def noise_alone(self, kind: Kind = "complex") -> Network:
        """Return a network that sees the noise and bears no penalty."""
        return self._network(f"{kind}, noise alone", kind, {}, self._noise("proposed"))

    def pgd_trained(
        self, eps: float, *, steps: int = 4, rate: float = RATE, kind: Kind = "gelu"
    ) -> Network:
        """Return a network trained on PGD examples."""
        return self._attacked(f"PGD({steps})", PGD(eps=eps, steps=steps), rate, kind)

    def n_fgsm_trained(self, eps: float, *, rate: float = RATE, kind: Kind = "gelu") -> Network:
        """Return a network trained on the examples of N-FGSM."""
        return self._attacked("N-FGSM", NoisyFGSM(eps=eps), rate, kind)

    def small(self, network: Network, *, epochs: int | None = None) -> Network:
        """Return a network's training at the small budget, or in other ``epochs``."""
        config = network.config
        chosen = self.small_epochs if epochs is None else epochs
        share = chosen / config.epochs
        ramp = config.ramp
        if isinstance(ramp, Ramp):
            ramp = replace(ramp, epochs=share * ramp.epochs)
        return Network(
            network.label,
            replace(
                config,
                limit_train=self.small_images,
                validation_size=self.validation,
                epochs=chosen,
                ramp=ramp,
            ),
        )

    def lasting(self, network: Network, epochs: int) -> Network:
        """Return the same training in other ``epochs``."""
        return Network(f"{network.label}, {epochs} epochs", replace(network.config, epochs=epochs))

    def varied(self, network: Network, label: str, step: AugmentationStep) -> Network:
        """Return the same training with every image varied by ``step`` first, before the noise."""
        config = network.config
        return Network(
            f"{network.label}, {label}",
            replace(config, augmentation=(step, *config.augmentation)),
        )

    def shifted(self, network: Network) -> Network:
        """Return the same training with every image shifted by up to a pixel, before the noise."""
        return self.varied(network, "shifted", RandomCrop(1))

    def turned(self, network: Network) -> Network:
        """Return the same training with every image turned by up to ten degrees first."""
        return self.varied(network, "turned", Rotation(10.0))

    def along_cosine(self, network: Network) -> Network:
        """Return the same training with a rate that falls along half a cosine from the start."""
        return Network(f"{network.label}, cosine", replace(network.config, schedule=Cosine()))

    def raw(self, network: Network) -> Network:
        """Return the same training without averaged weights."""
        config = replace(network.config, averaging=None)
        return Network(f"{network.label}, weights not averaged", config)

    def _attacked(self, name: str, attack: Attack, rate: float, kind: Kind) -> Network:
        eps: float = attack.eps
        settings = {"attack": attack, "optimizer": SGD(learning_rate=rate)}
        return self._network(f"{kind}, {name} at {eps:g}, rate {rate:g}", kind, settings, None)

    def _noise(self, noise: Noise | Literal["proposed"] | None) -> Noise | None:
        return UniformNoise(self.half_width) if noise == "proposed" else noise

    def _network(
        self, label: str, kind: Kind, changes: Mapping[str, Any], noise: Noise | None
    ) -> Network:
        model: Any = MODELS.parse(f"{self.models}-{'gelu' if kind == 'gelu' else 'complex'}")
        if kind == "frozen phase":
            assert isinstance(model, NamedComplexModel)
            model = replace(model, second_order="frozen_phase")
        settings: dict[str, Any] = {
            "optimizer": SGD(learning_rate=RATE),
            "schedule": Linear(fall_from=2 / 3),
            "averaging": ExponentialMovingAverage(rate=0.998),
            "clipping": ClipNorm(length=GRADIENT_LIMIT),
            **changes,
        }
        if noise is not None:
            label += f", at {AUGMENTATIONS.text(noise)}"
        config = TrainingConfig(
            data=data_source(self.dataset),
            model=model,
            epochs=self.epochs,
            batch_size=64,
            augmentation=(*self.augmentation, *(() if noise is None else (noise,))),
            **settings,
        )
        return Network(label, config)


MNIST = Recipe(
    dataset="mnist",
    title="MNIST",
    models="yeats2021-mnist",
    strength=0.125,
    half_width=0.3,
    attack_eps=0.2,
    epochs=10,
)
FASHION_MNIST = Recipe(
    dataset="fashion_mnist",
    title="Fashion-MNIST",
    models="yeats2021-fashion-mnist",
    strength=0.03,
    half_width=0.15,
    attack_eps=0.1,
    epochs=10,
    augmentation=(HorizontalFlip(), RandomCrop(1, mode="edge")),
)
# 3 eps^2 and 1.5 eps, as on the others, at eps 8/255.
SVHN = Recipe(
    dataset="svhn_10k",
    title="SVHN (partial)",
    models="yeats2021-svhn",
    strength=0.00295,
    half_width=0.047,
    attack_eps=8 / 255,
    epochs=40,
    small_images=6_989,
    small_epochs=20,
    validation=1_000,
)
# At the same radius.
CIFAR10 = replace(
    SVHN,
    dataset="cifar10",
    title="CIFAR-10",
    models="yeats2021-cifar1",
    epochs=80,
    augmentation=(HorizontalFlip(), RandomCrop(4, mode="edge")),
    small_images=10_000,
    small_epochs=15,
    validation=5_000,
)
