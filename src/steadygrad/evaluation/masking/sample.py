"""The model and examples under diagnosis, and the part of them that diagnostics work on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.attacks import PGD, Attack
from steadygrad.checks import check_eps, check_images, check_labels
from steadygrad.errors import HyperparameterError, LabelError
from steadygrad.evaluation.accuracy import model_device
from steadygrad.evaluation.image_rows import AnyImages, witness
from steadygrad.evaluation.masking.probes import (
    input_gradient,
    is_differentiable,
    margins,
    precise_model,
)
from steadygrad.evaluation.outcome import AttackOutcome
from steadygrad.seeds import derive_seed, derived_generator

__all__ = [
    "EQUAL_PASSES",
    "PassDifference",
    "Sample",
    "Subject",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A model under diagnosis; the tensors may lie anywhere, batches are sent to ``device``.

    images (n, channels, height, width) in [0, 1]; labels int64 (n,); clean_correct bool (n,):
        which examples are right without an attack. Diagnostics look at those alone.
    eps: radius that the model's robustness is claimed for, in (0, 1] for "linf" and above 0 for
        "l2"; norm: in which it is measured.
    outcomes: what a battery has done at that radius. Diagnostics that compare attacks use them
        where they can, and run small attacks of their own where there are none.
    examples: how many of the right examples a diagnostic takes for work of its own, at least 1.
    progress: told ``(name, done, total)`` when a diagnostic begins, and once at the end.
    is_over: asked before each diagnostic; those that it stops are not tested.
    Raises: ImageError, LabelError, HyperparameterError.
    """

    model: Classifier
    images: AnyImages = field(repr=False)
    labels: Labels = field(repr=False)
    clean_correct: Tensor = field(repr=False)
    eps: float
    norm: Literal["linf", "l2"] = "linf"
    outcomes: tuple[AttackOutcome, ...] = ()
    seed: int = 0
    batch_size: int = 256
    device: torch.device | str | None = None
    examples: int = 64
    progress: Callable[[str, int, int], None] | None = field(default=None, repr=False)
    is_over: Callable[[], bool] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_images(witness(self.images))
        check_labels(self.labels, len(self.images))
        if self.clean_correct.shape != self.labels.shape or self.clean_correct.dtype != torch.bool:
            raise LabelError(
                f"expected clean_correct as bool of shape {tuple(self.labels.shape)}, "
                f"got {self.clean_correct.dtype} of shape {tuple(self.clean_correct.shape)}"
            )
        if self.norm not in ("linf", "l2"):
            raise HyperparameterError(f"expected norm linf or l2, got {self.norm!r}")
        if self.norm == "linf":
            check_eps(self.eps)
        if not self.eps > 0:
            raise HyperparameterError(f"expected eps > 0 to diagnose at, got {self.eps}")
        for name in ("batch_size", "examples"):
            if getattr(self, name) < 1:
                raise HyperparameterError(f"expected {name} >= 1, got {getattr(self, name)}")

    @property
    def place(self) -> torch.device:
        """Where the work is done: ``device``, or where the model lies."""
        if self.device is None:
            return model_device(self.model, self.images)
        return torch.device(self.device)


JUDGING_PASSES = 16
"""Passes whose logits are averaged to judge a model that answers differently every time."""
_COMPARED = 256
"""Images whose logits are compared to see whether a model is constant."""
EQUAL_PASSES = 1e-4
"""Two passes agree if they differ by no more than this part of what they return."""


@dataclass(frozen=True)
class PassDifference:
    """How far two passes on the same images are apart.

    logits: the largest difference, in parts of an example's spread of logits.
    gradients: the median over the examples of the largest difference of the margin's gradients, in
        parts of their largest entry. The median: where a ReLU is about to switch, the order of a
        GPU's sums may decide.
    """

    logits: float
    gradients: float

    @property
    def is_rounding(self) -> bool:
        """Whether no more than rounding need be behind it."""
        return max(self.logits, self.gradients) <= EQUAL_PASSES


class Sample:
    """``k`` of the subject's right examples, drawn with its seed, on the device of the work.

    Each attack runs once however many diagnostics ask for it. A model without any gradient is
    given the gradient zero, so that attacks meet what they would meet, and no error.

    rows: places of other right examples to take instead, int64.
    images (k, channels, height, width); labels (k,).
    model: the subject's, differentiable at least in name.
    is_random: whether two passes differ by more than rounding; holds_still: whether the model
        repeats itself, at least once torch's global generator is reset before each pass.
    """

    def __init__(self, subject: Subject, rows: Tensor | None = None) -> None:
        self.subject = subject
        self.rows = _drawn(subject) if rows is None else rows.cpu()
        self.images = subject.images[self.rows].detach().to(subject.place)
        self.labels = subject.labels[self.rows].to(subject.place)
        self.model = subject.model
        if len(self) and not is_differentiable(subject.model, self.images[:1]):
            self.model = _WithZeroGradient(subject.model)
        self.pass_difference = self._pass_difference(self.model)
        self.is_random = not self.pass_difference.is_rounding
        self.holds_still = self._pass_difference(self._stilled(self.model)).is_rounding
        self._broken: dict[Attack, Tensor] = {}

    def __len__(self) -> int:
        return len(self.rows)

    @cached_property
    def is_constant(self) -> bool:
        """Whether images of at least two classes, and noise, all get the same logits to the bit.

        A model of which that is true tells no image from another: nothing hides its gradient.
        """
        images, labels = self.subject.images[:_COMPARED], self.subject.labels[:_COMPARED]
        if len(self) == 0 or self.is_random or len(torch.unique(labels)) < 2:
            return False
        generator = derived_generator(self.subject.seed, "constant")
        noise = torch.rand(
            (4, *images.shape[1:]), generator=generator, dtype=torch.float32, device="cpu"
        ).to(images)
        extremes = torch.stack((torch.zeros_like(noise[0]), torch.ones_like(noise[0])))
        shown = torch.cat((images.detach(), noise, extremes)).to(self.subject.place)
        logits = self.logits(shown)
        return bool((logits == logits[:1]).all())

    def pgd(self, steps: int, **settings: Any) -> PGD:
        """Return PGD at the subject's radius and norm, ``settings`` apart."""
        chosen = {"eps": self.subject.eps, "norm": self.subject.norm, "steps": steps}
        return PGD(**(chosen | settings))

    def long_attacks(self) -> tuple[Attack, ...]:
        """Return what a short attack's success is checked with: many steps and restarts."""
        return (self.pgd(100, restarts=2), self.pgd(100, restarts=2, loss="margin"))

    def broken_by(
        self, attack: Attack, model: Classifier | None = None, images: Images | None = None
    ) -> Tensor:
        """Return which examples the subject's model gets wrong after the attack, bool (k,).

        model: what the attack works on instead, such as one with other logits; images: the first
        examples, as this model wants them.
        """
        if model is not None:
            return self._attack(attack, model, self.images if images is None else images)
        if attack not in self._broken:
            self._broken[attack] = self._attack(attack, self.model, self.images)
        return self._broken[attack]

    def gradient(
        self,
        function: Callable[[Logits, Labels], Tensor],
        images: Images | None = None,
        *,
        model: Classifier | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return ``function`` of the logits at the first examples, and its input gradient.

        images: where to look instead, one an example from the first on; model: which to ask
        instead of the model as it is.
        """
        asked = self.model if model is None else model
        at = self.images if images is None else images
        parts = [input_gradient(asked, *batch, function) for batch in self._batches(at)]
        values, gradients = zip(*parts, strict=True)
        return torch.cat(values), torch.cat(gradients)

    @torch.no_grad()
    def logits(self, images: Images, *, model: Classifier | None = None) -> Logits:
        """Return the logits, averaged over several passes if the model is random.

        model: which to ask instead of the model as it is, once.
        """
        asked = self.model if model is None else model
        passes = JUDGING_PASSES if model is None and self.is_random else 1
        parts = [
            torch.stack([asked(batch) for _ in range(passes)]).mean(dim=0)
            for batch in torch.split(images, self.subject.batch_size)
        ]
        return torch.cat(parts)

    def _batches(self, images: Images) -> Iterator[tuple[Images, Labels]]:
        size, labels = self.subject.batch_size, self.labels[: len(images)]
        return zip(torch.split(images, size), torch.split(labels, size), strict=True)

    def _attack(self, attack: Attack, model: Classifier, images: Images) -> Tensor:
        broken = []
        for number, (batch, labels) in enumerate(self._batches(images)):
            # The same stream for all: attacks that start at random start at the same points.
            generator = derived_generator(self.subject.seed, f"attack, batch {number}")
            adversarial = attack(model, batch, labels, generator=generator).to(self.images.dtype)
            broken.append(self.logits(adversarial).argmax(dim=1) != labels)
        return torch.cat(broken).cpu()

    def precise(self, count: int) -> tuple[Classifier, Images]:
        """Return the model in float64, if it has such a copy, and ``count`` images of its dtype.

        A model that is random holds still, if it can.
        """
        images = self.images[:count]
        if self._precise is None:
            return self._stilled(self.model), images
        return self._stilled(self._precise), images.double()

    @cached_property
    def _precise(self) -> Classifier | None:
        found = precise_model(self.subject.model, self.images)
        if found is None or is_differentiable(found, self.images[:1].double()):
            return found
        return _WithZeroGradient(found)

    def _stilled(self, model: Classifier) -> Classifier:
        return (
            _Reseeded(model, derive_seed(self.subject.seed, "still")) if self.is_random else model
        )

    def _pass_difference(self, model: Classifier) -> PassDifference:
        if len(self) == 0:
            return PassDifference(logits=0.0, gradients=0.0)
        (first, first_slope), (second, second_slope) = (
            (self.logits(self.images, model=model), self.gradient(margins, model=model)[1])
            for _ in range(2)
        )
        spread = first.amax(dim=1) - first.amin(dim=1)
        of_logits = _part((first - second).abs().amax(dim=1), spread)
        sizes = torch.maximum(_largest(first_slope), _largest(second_slope))
        of_gradients = _part(_largest(first_slope - second_slope), sizes)
        return PassDifference(float(of_logits.max()), float(of_gradients.median()))


def _largest(gradients: Tensor) -> Tensor:
    # No squares: those of a vanishing gradient underflow.
    return gradients.flatten(start_dim=1).abs().amax(dim=1)


def _part(difference: Tensor, whole: Tensor) -> Tensor:
    return torch.where(difference > 0, difference / whole, 0.0)


def _drawn(subject: Subject) -> Tensor:
    right = subject.clean_correct.nonzero().squeeze(1).cpu()
    order = torch.randperm(
        len(right), generator=derived_generator(subject.seed, "sample"), device="cpu"
    )
    return right[order[: subject.examples]].sort().values


class _WithZeroGradient:
    """A model without gradient, as one whose gradient is zero."""

    def __init__(self, model: Classifier) -> None:
        self.model = model

    def __call__(self, images: Images) -> Logits:
        return self.model(images) + 0 * images.flatten(start_dim=1).sum(dim=1, keepdim=True)


class _Reseeded:
    """A model that draws the same numbers from torch's global generator in every pass."""

    def __init__(self, model: Classifier, seed: int) -> None:
        self.model, self.seed = model, seed

    def __call__(self, images: Images) -> Logits:
        cuda = [images.device] if images.device.type == "cuda" else []
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(self.seed)
            return self.model(images)
