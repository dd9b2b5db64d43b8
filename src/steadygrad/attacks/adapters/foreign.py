"""What every attack of another library goes through: the laws of our attacks, enforced."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.adapters.global_randomness import seeded_from
from steadygrad.attacks.adapters.shielded_model import ShieldedModel
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.l2_ball import ball_of_norm
from steadygrad.checks import PIXEL_TOLERANCE, check_eps, check_images, check_labels
from steadygrad.default_tensors import DefaultTensors
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.held_statistics import held_statistics

__all__ = ["ForeignAttack"]

EXCESS = 1e-4
"""How far beyond eps a library may go through rounding, in pixels or as a fraction of eps."""


@dataclass(frozen=True, kw_only=True)
class ForeignAttack(ABC):
    """An attack of another library under the contract of ``Attack``.

    eps: radius in units of the pixel range: at most 1 for "linf", any for "l2".
    norm: in which it is measured.

    An attack that is bounded by ``eps`` returns what the library found, if it is in the ball and
    in [0, 1] up to rounding (1e-4), which is projected away; anything further out is refused, for
    it means that the library counted in other units or another norm. Of an attack that minimizes
    (``is_minimal``), the library's smallest perturbation is shortened to ``eps`` where it is
    longer; an image that this leaves with its label's class returns as it was.

    The library sees a shield (``ShieldedModel``) instead of the model, and global random
    generators seeded from ``generator`` and restored afterwards. It may draw for a part of the
    batch, so that, unlike with our own attacks, what an example gets may depend on its neighbours.
    """

    eps: float
    norm: Norm = "linf"

    # What the library can compute in: None takes the images' dtype, widened to float32.
    working_dtype: ClassVar[torch.dtype | None] = None

    @property
    @abstractmethod
    def label(self) -> str:
        """Library and attack, for messages: "foolbox LinfPGD"."""

    @property
    @abstractmethod
    def is_minimal(self) -> bool:
        """Whether the library looks for the smallest perturbation, whatever ``eps``."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return library, version, class and settings without ``eps``, as JSON values."""

    @abstractmethod
    def _perturb(
        self,
        model: ShieldedModel,
        images: Images,
        labels: Labels,
        *,
        classes: int,
        seed: int,
        eps: float | None,
    ) -> Images:
        """Call the library; ``eps`` is None to minimize without regard to a radius."""

    def __post_init__(self) -> None:
        check_eps(self.eps, self.norm)

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return adversarial ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError; MissingExtraError, if the library is not
            installed; HyperparameterError, if it refuses its settings or leaves the ball.
        """
        check_images(images)
        check_labels(labels, len(images))
        if self.eps == 0:
            return images.detach().clone()
        found, is_broken = self._search(model, images, labels, generator, eps=self.eps)
        return torch.where(_per_image(is_broken), found, images.detach())

    def closest(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> tuple[Images, Tensor]:
        """Return the nearest adversarial images found, whatever ``eps``, and their distances.

        Distances are (batch,), float32 or wider, in ``norm``; infinite where none was found, and
        the image itself is returned.
        Raises: as the call; HyperparameterError, if the attack does not minimize.
        """
        if not self.is_minimal:
            raise HyperparameterError(
                f"expected an attack that minimizes the perturbation, got {self.label}, "
                "which is bounded by eps"
            )
        check_images(images)
        check_labels(labels, len(images))
        images = images.detach()
        found, is_broken = self._search(model, images, labels, generator, eps=None)
        adversarial = torch.where(_per_image(is_broken), found, images)
        distances = _distances(adversarial, images, self.norm)
        return adversarial, torch.where(is_broken, distances, torch.inf)

    def _search(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        generator: torch.Generator | None,
        *,
        eps: float | None,
    ) -> tuple[Images, Tensor]:
        """Return what the library found, in the ball if there is one, and which of it counts."""
        with (
            held_statistics(model),
            seeded_from(generator) as seed,
            torch.inference_mode(False),
            torch.enable_grad(),
        ):
            # Copies: autograd refuses tensors made under inference mode, and libraries write.
            images, labels = images.detach().clone(), labels.clone()
            shielded = ShieldedModel(model, images)
            classes = shielded.count_classes(images)
            check_labels(labels, len(images), classes)
            dtype = self.working_dtype or torch.promote_types(images.dtype, torch.float32)
            # Rounding may have put a pixel at 1 + 1e-8, which libraries refuse.
            start = images.to(dtype).clamp(0, 1)
            # Libraries make tensors without saying a dtype or a device.
            with DefaultTensors(dtype, images.device).lent():
                found = self._perturb(
                    shielded, start.clone(), labels.clone(), classes=classes, seed=seed, eps=eps
                )
            found = self._accept(found.detach(), start, eps)
            if dtype != images.dtype:
                found = images + (found - start).to(images.dtype)
            if eps is not None:
                found = self._confine(found, images, eps)
            if not self.is_minimal:
                return found, torch.ones_like(labels, dtype=torch.bool)
            return found, shielded(found).argmax(dim=1) != labels

    def _accept(self, found: Images, start: Images, eps: float | None) -> Images:
        """Refuse what no attack may return; of an attack that minimizes, NaN is a failure."""
        if found.shape != start.shape:
            raise ModelError(
                f"expected {self.label} to return images of shape {tuple(start.shape)}, "
                f"got {tuple(found.shape)}"
            )
        found = found.to(start)
        if self.is_minimal:
            found = torch.where(found.isfinite(), found, start)
        lowest, highest = (bound.item() for bound in found.aminmax())
        if not (lowest >= -PIXEL_TOLERANCE and highest <= 1 + PIXEL_TOLERANCE):
            raise HyperparameterError(
                f"expected {self.label} to keep pixels in [0, 1], got values from {lowest:g} "
                f"to {highest:g}"
            )
        if eps is not None and not self.is_minimal:
            furthest = _distances(found, start, self.norm).max().item()
            if furthest > eps + EXCESS * max(1.0, eps):
                raise HyperparameterError(
                    f"expected {self.label} to stay within eps {eps:g} in {self.norm}, got "
                    f"{furthest:g}: it counts in another norm, or its settings lead it further"
                )
        return found

    def _confine(self, found: Images, images: Images, eps: float) -> Images:
        ball = ball_of_norm(images, eps, self.norm)
        # Points inside stay to the bit: a projection would move some by a rounding.
        is_outside = _per_image(_distances(found, images, self.norm) > eps)
        return torch.where(is_outside, ball.project(found), found).clamp(0, 1)


def _per_image(flags: Tensor) -> Tensor:
    return flags.view(-1, 1, 1, 1)


def _distances(found: Images, images: Images, norm: Norm) -> Tensor:
    """Return the size of each image's change, (batch,), in float32 or wider."""
    wide = torch.promote_types(images.dtype, torch.float32)
    change = (found.to(wide) - images.to(wide)).flatten(start_dim=1)
    order = 2.0 if norm == "l2" else torch.inf
    distances: Tensor = torch.linalg.vector_norm(change, ord=order, dim=1)
    return distances
