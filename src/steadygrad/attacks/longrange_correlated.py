"""Long-range correlated (LRC) noise: the worst of many draws; it needs no gradient."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Annotated, Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.part import attack
from steadygrad.attacks.strongest import StrongestFound
from steadygrad.checks import check_eps, check_finite_losses, check_images, check_labels
from steadygrad.covariance import (
    COVARIANCES,
    Covariance,
    CovarianceFile,
    CovariancePart,
    DataFacts,
    Exponential,
    IdentityCovariance,
    built,
)
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.layers import image_std
from steadygrad.parts import read_nested

__all__ = ["LongRangeCorrelated", "Unit", "WhiteNoise"]

Unit: TypeAlias = Literal["pixel", "image"]


@attack("lrc", title="LRC noise", family="noise", is_gaussian=True)
@dataclass(frozen=True, kw_only=True)
class LongRangeCorrelated:
    """Return ``clamp(x + eps * xi, 0, 1)``, the worst of ``samples`` draws of ``xi ~ N(0, Sigma)``.

    An image counts as correct only if all of its draws are classified correctly: each example keeps
    its first misclassified draw, else that of highest cross-entropy. Every image has its own draws.
    A single draw needs no pass through the model, which makes this an augmentation.

    eps: standard deviation of the noise in pixel units, in [0, 1], *not* a radius: a pixel may
        change by more. HyperparameterError otherwise.
    samples: draws an image, at least 1.
    unit: of ``eps``: "pixel", or "image", each image's own standard deviation, at least 1/255: as
        where noise is added to images that are standardised already; a pixel then changes by the
        noise times that deviation. UnknownNameError otherwise.
    covariance: ``Sigma``, scaled to a unit mean diagonal: a part such as "exponential:4", "dataset"
        or "file:PATH", or an operator (of a running one the value at this moment). A part that
        needs the training images is built by ``prepared``. The default is the paper's function of
        the distance, at a decay length of 8 pixels.
    Source: Roth et al., arXiv:1805.08736, section 4.3. Clipped to [0, 1] by their section 7.2
        ("the perturbed images returned by the attacks were clipped").
    """

    eps: float
    samples: int = 100
    covariance: Annotated[Covariance | CovariancePart, COVARIANCES] = Exponential()
    unit: Unit = "pixel"

    def __post_init__(self) -> None:
        read_nested(self)
        check_eps(self.eps)
        _check_samples(self.samples)
        if self.unit not in get_args(Unit):
            raise UnknownNameError(
                f"expected unit one of {', '.join(get_args(Unit))}, got {self.unit!r}"
            )
        if isinstance(self.covariance, Covariance):
            object.__setattr__(self, "covariance", _of_unit_diagonal(self.covariance))

    @classmethod
    def modern_settings(cls, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings of today for those of a time when the function was no part.

        Then it was ``decay_length`` and ``inter_channel``, without effect beside a covariance.

        Raises:
            HyperparameterError: one of them is set along with a covariance.
        """
        modern, length = dict(values), "decay_length"
        function = {key: modern.pop(key) for key in (length, "inter_channel") if key in modern}
        if not function:
            return modern
        part = COVARIANCES.build({"name": "exponential"} | function)
        if modern.get("covariance") in (None, "none"):
            return modern | {"covariance": part}
        if part != Exponential():
            raise HyperparameterError(
                f"{' and '.join(function)} of lrc have no effect along with a covariance; "
                "leave one of them out"
            )
        return modern

    def prepared(self, facts: DataFacts) -> "LongRangeCorrelated":
        """Return the noise with its covariance built for these images.

        Raises: what the covariance's ``build`` raises.
        """
        return replace(self, covariance=built(self.covariance, facts))

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return disturbed ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError; ShapeError, if the images are not of the
            covariance's size; HyperparameterError, if it cannot be built for them alone.
        """
        check_images(images)
        check_labels(labels, len(images))
        covariance = self._covariance(images)
        covariance.check_fit(images)
        spread = image_std(images.detach()) if self.unit == "image" else None
        return _worst_draw(
            model, images, labels, covariance, self.eps, self.samples, generator, spread
        )

    def _covariance(self, images: Images) -> Covariance:
        if isinstance(self.covariance, Covariance):
            return self.covariance
        channels, height, width = images.shape[1:]
        part: Any = self.covariance  # frozen, so hashable, which no protocol says
        digest = part.record()["digest"] if isinstance(part, CovarianceFile) else None
        return _built(part, digest, (channels, height, width))


@attack("white-noise", title="white noise", family="noise", is_gaussian=True)
@dataclass(frozen=True, kw_only=True)
class WhiteNoise:
    """Return ``clamp(x + eps * xi, 0, 1)``, the worst of ``samples`` draws of ``xi ~ N(0, 1)``.

    What ``LongRangeCorrelated`` does, with every pixel by itself: the comparison that shows what
    the correlations add at the same strength.

    eps: standard deviation in pixel units, in [0, 1]; HyperparameterError otherwise.
    samples: draws an image, at least 1.
    """

    eps: float
    samples: int = 100

    def __post_init__(self) -> None:
        check_eps(self.eps)
        _check_samples(self.samples)

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        generator: torch.Generator | None = None,
    ) -> Images:
        """Return disturbed ``(batch, channels, height, width)``; the inputs stay as they are.

        Raises: ImageError, LabelError, ModelError.
        """
        check_images(images)
        check_labels(labels, len(images))
        channels, height, width = images.shape[1:]
        covariance = IdentityCovariance((channels, height, width))
        return _worst_draw(model, images, labels, covariance, self.eps, self.samples, generator)


def _worst_draw(
    model: Classifier,
    images: Images,
    labels: Labels,
    covariance: Covariance,
    eps: float,
    samples: int,
    generator: torch.Generator | None,
    spread: Tensor | None = None,
) -> Images:
    """Return the worst draws; spread: what each image's noise is multiplied with besides eps."""
    images = images.detach()
    if eps == 0:
        return images.clone()

    def draw() -> Images:
        noise = covariance.sample(len(images), generator, dtype=images.dtype, device=images.device)
        noise = noise if spread is None else noise * spread
        return torch.add(images, noise, alpha=eps).clamp_(0, 1)

    if samples == 1:
        return draw()
    goal, found = Goal(labels), StrongestFound(images)
    # One draw a pass over the batch: memory stays that of the batch, whatever the samples.
    for _ in range(samples):
        noisy, rows = draw(), found.unbroken
        if len(rows) == 0:
            break
        values, succeeded = goal.at(rows).judge(model, noisy[rows])
        check_finite_losses(values)
        found.offer(rows, noisy[rows], values, succeeded)
    return found.images


@lru_cache(maxsize=8)
def _built(
    part: CovariancePart,
    digest: str | None,  # noqa: ARG001 (of a file, which may be written anew: part of the key)
    image_shape: tuple[int, int, int],
) -> Covariance:
    # Kept between batches, with the factors that sampling needs.
    return _of_unit_diagonal(built(part, DataFacts(image_shape)))


def _of_unit_diagonal(covariance: Covariance) -> Covariance:
    is_unit = abs(covariance.mean_diagonal - 1) <= 1e-5
    return covariance if is_unit else covariance.normalized()


def _check_samples(samples: int) -> None:
    if samples < 1:
        raise HyperparameterError(f"expected samples >= 1, got {samples}")
