"""How Yeats et al. (2021) train, data set by data set."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from steadygrad.experiments.network import Network
from steadygrad.training import TrainingConfig

__all__ = ["RECIPES", "Kind", "Recipe", "strength_from_beta"]

Kind: TypeAlias = Literal["complex", "real", "gelu"]
"""The paper's two networks, and the smooth twin of the real one, of equal size."""

_LABELS: Mapping[Kind, str] = {"complex": "complex", "real": "real", "gelu": "real GELU"}


def strength_from_beta(beta: float, batch_size: int) -> float:
    """Convert: the released code differentiates the mean over the batch, ours each example."""
    return beta / batch_size**2


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """The settings of one data set, of every network trained on it.

    title: of the data set, for captions; settings: of ``TrainingConfig``.
    penalised_complex: what is different for complex networks with the penalty.
    attack_eps: radius of the attacks that the PGD-trained network learns from; the paper does not
        print it.
    """

    dataset: str
    title: str
    models: Mapping[Kind, str]
    settings: Mapping[str, Any]
    penalised_complex: Mapping[str, Any]
    attack_eps: float

    @property
    def batch_size(self) -> int:
        """Images a step."""
        size: int = self.settings["batch_size"]
        return size

    def plain(self, kind: Kind, *, seed: int, **changes: Any) -> Network:
        """Return a network trained on the cross-entropy alone."""
        return self._network(f"{_LABELS[kind]}, no defence", kind, seed, changes)

    def penalised(self, kind: Kind, beta: float, *, seed: int, **changes: Any) -> Network:
        """Return a network with the squared L1 norm of the input gradient, at the paper's beta.

        changes: further settings, such as ``second_order="frozen_phase"`` or ``noise``; they
            appear in the label.
        """
        label = f"{_LABELS[kind]}, beta {beta:g}"
        settings: dict[str, Any] = {
            "penalty": "l1",
            "strength": strength_from_beta(beta, self.batch_size),
        }
        if kind == "complex":
            settings |= self.penalised_complex
        if changes.get("second_order") == "frozen_phase":
            label += ", frozen phase"
        if "noise" in changes:
            label += f", at a neighbour ({changes['noise']})"
        return self._network(label, kind, seed, settings | changes)

    def pgd_trained(self, kind: Kind, *, seed: int, steps: int = 4) -> Network:
        """Return a network trained on PGD examples alone."""
        settings = {
            "adversarial": "pgd",
            "adversarial_eps": self.attack_eps,
            "adversarial_steps": steps,
        }
        label = f"{_LABELS[kind]}, PGD({steps})-trained at {self.attack_eps:.3g}"
        return self._network(label, kind, seed, settings)

    def _network(self, label: str, kind: Kind, seed: int, changes: Mapping[str, Any]) -> Network:
        settings = {**self.settings, **changes}
        config = TrainingConfig(
            dataset=self.dataset, model=self.models[kind], seed=seed, **settings
        )
        return Network(label, config)


_SMALL = {
    "optimizer": "sgd",
    "learning_rate": 0.005,
    "momentum": 0.875,
    "weight_decay": 1e-4,
    "batch_size": 64,
    "epochs": 30,
    "drop_at": (20,),
    "drop_factor": 0.2,
}

RECIPES: Mapping[str, Recipe] = {
    "mnist": Recipe(
        dataset="mnist",
        title="MNIST",
        models={
            "complex": "yeats2021-mnist-complex",
            "real": "yeats2021-mnist-real",
            "gelu": "yeats2021-mnist-gelu",
        },
        settings=_SMALL,
        penalised_complex={},
        attack_eps=0.2,
    ),
    "fashion_mnist": Recipe(
        dataset="fashion_mnist",
        title="Fashion-MNIST",
        models={
            "complex": "yeats2021-fashion-mnist-complex",
            "real": "yeats2021-fashion-mnist-real",
            "gelu": "yeats2021-fashion-mnist-gelu",
        },
        settings=_SMALL | {"flip": True, "crop_padding": 1, "crop_mode": "edge"},
        penalised_complex={"noise": "gaussian:0.05"},
        attack_eps=0.1,
    ),
}
"""By the paper's name of the data set."""
