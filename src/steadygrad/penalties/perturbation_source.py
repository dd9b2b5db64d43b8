"""Where a running covariance gets its perturbations from while a model trains."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.checks import check_eps
from steadygrad.covariance import SOURCES, Source, source
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.logits import logits_of
from steadygrad.penalties.losses import CrossEntropy
from steadygrad.penalties.part import ExampleLoss

if TYPE_CHECKING:  # attacks are imported when one is built: half the time of importing penalties
    from steadygrad.attacks import PGD, DeepFool

__all__ = [
    "PGD_EPS",
    "AttackSource",
    "DeepFoolSource",
    "PGDSource",
    "PerturbingAttack",
    "SourceName",
    "attack_perturbations",
    "resolve_source",
]

SourceName: TypeAlias = Literal["gradient", "fgsm", "pgd", "deepfool"]
"""Name of a source of perturbations that a covariance is learned from."""

PGD_EPS = 8 / 255
"""Radius of the attack behind "pgd"."""


class PerturbingAttack(Protocol):
    """Any attack of ``steadygrad.attacks``."""

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        /,
        *,
        generator: torch.Generator | None = None,
    ) -> Images: ...


@dataclass(frozen=True)
class AttackSource:
    """What an attack adds to the images.

    Args:
        perturbing: the attack; one without a random start keeps a training repeatable.
    """

    perturbing: PerturbingAttack

    def attack(self) -> PerturbingAttack:
        """Return the attack."""
        return self.perturbing


@source("pgd", title="PGD")
@dataclass(frozen=True, kw_only=True)
class PGDSource:
    """What PGD adds to the images: ``steps`` steps of ``2 * eps / steps``.

    A running covariance forgets how long perturbations are, but not what else ``eps`` decides: how
    far from the image the gradients are taken, and how often the ends of the pixel range cut in.

    Args:
        eps: radius in pixel units, in (0, 1].
        steps: at least 1.

    Raises:
        HyperparameterError: a number is outside its range.

    Source: Roth et al., arXiv:1805.08736, Table 2 (10 steps of eps / 5) and section 7.2 (away from
        the model's own prediction). Without a random start, so that a penalty draws nothing and a
        resumed training repeats itself.
    """

    eps: float = PGD_EPS
    steps: int = 10

    def __post_init__(self) -> None:
        check_eps(self.eps)
        if self.eps == 0:
            raise HyperparameterError("expected eps in (0, 1] for a source, got 0")
        self.attack()

    def attack(self) -> "PGD":
        """Return PGD."""
        from steadygrad.attacks import PGD

        return PGD(
            eps=self.eps,
            steps=self.steps,
            reach=2.0,
            random_start=False,
            start_from_prediction=True,
        )


@source("deepfool", title="DeepFool")
@dataclass(frozen=True, kw_only=True)
class DeepFoolSource:
    """What DeepFool adds to the images, in at most ``steps`` steps.

    Args:
        steps: at least 1.

    Raises:
        HyperparameterError: steps is below 1.
    """

    steps: int = 100

    def __post_init__(self) -> None:
        self.attack()

    def attack(self) -> "DeepFool":
        """Return DeepFool."""
        from steadygrad.attacks import DeepFool

        return DeepFool(steps=self.steps)


def resolve_source(source: str | Source | PerturbingAttack) -> Source:
    """Return the source that a name or text describes; an attack object becomes its own.

    Raises: UnknownNameError, listing the names.
    """
    if isinstance(source, str):
        found: Source = SOURCES.parse(source)
        return found
    if callable(source):
        return AttackSource(source)
    return source


def attack_perturbations(
    attack: PerturbingAttack,
    model: Classifier,
    images: Images,
    labels: Tensor,
    loss: ExampleLoss | None = None,
) -> Tensor:
    """Return what the attack adds to the images; the model, in eval mode meanwhile, is as before.

    In training mode each attack step would move batch norm's running statistics, and dropout would
    show the attack another network every time.

    Args:
        labels: what ``loss`` takes; of probabilities, the attack is told the likeliest class.
        loss: one that takes a single logit shows the attack the two classes that it tells apart.
    """
    if not (loss is None or isinstance(loss, CrossEntropy)):
        model = _TwoClasses(model)
    is_of_classes = labels.ndim == 2 and labels.shape[1] > 1
    classes = labels.argmax(dim=1) if is_of_classes else labels.reshape(-1).round().long()
    with evaluation_mode(model):
        return attack(model, images, classes) - images


class _TwoClasses:
    """The model itself, whose logits, if there is only one ``z``, are those of classes: 0 and z."""

    def __init__(self, model: Classifier) -> None:
        self._model = model
        # What was said once of the model is not said of each wrapper anew.
        self.__self__ = getattr(model, "__self__", model)

    def __call__(self, images: Images) -> Logits:
        logits = logits_of(self._model(images))
        if logits.shape[1] > 1:
            return logits
        return torch.cat((torch.zeros_like(logits), logits), dim=1)
