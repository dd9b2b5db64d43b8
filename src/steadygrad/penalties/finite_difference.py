"""Derivative of an input-gradient norm by a finite difference of ordinary passes."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.batch_share import mean_over_batch
from steadygrad.checks import until_it_passes
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.held_statistics import buffer_copies, held_statistics
from steadygrad.parallel_models import refuse_static_graph
from steadygrad.penalties.backends import Statistics
from steadygrad.penalties.losses import example_losses
from steadygrad.penalties.model_passes import (
    RandomState,
    couples_images,
    explained,
    running_statistics,
    uses_running_statistics,
)
from steadygrad.penalties.part import ExampleLoss, GradientNorm, PenaltyTerms, backend

__all__ = ["MINIMUM_COSINE", "FiniteDifference", "arithmetic_eps"]

MINIMUM_COSINE = 0.8
"""With the exact penalty gradient, on a model's first batch, where the step is chosen by itself."""

PIXEL_STEP = {1: 0.22, 2: 0.1}
LOSS_STEP = {1: 3.4, 2: 1.5}
"""The automatic step, by order, see ``FiniteDifference``: the best over five networks."""


@backend("finite-difference", title="Finite difference")
@dataclass(frozen=True, kw_only=True)
class FiniteDifference:
    """Replace the directional derivative along ``v(g)`` by a difference of two losses.

    No second-order graph is built, so this works where double backpropagation does not
    (compiled models, fused attention, FSDP). The reported norm is exact; only its derivative is
    approximate. Dropout draws the same mask in every pass, also from NumPy's and Python's global
    generators; layers that keep statistics learn from each batch once. Images may leave [0, 1] by
    the step in the extra passes.

    Smooth networks (GELU, SiLU, tanh, the complex ones) agree with the exact gradient to a cosine
    of 0.99 and more in float32, of 0.9 under bfloat16 autocast (0.97 with order 2). Large ReLU
    networks do not, whatever the step: it crosses many of their kinks, which the exact derivative
    does not see. Compiling a model changes nothing about that.

    Args:
        step_size: ``h``, in pixel units: how far the images move along ``v`` (for the L1 norm the
            change of every pixel, for L2 the Euclidean length of the change, for Linf the change
            of one pixel). Default: chosen anew for every batch, from what the arithmetic can
            resolve and from the gradients. With ``e`` the arithmetic's relative spacing (1.2e-7 in
            float32, 7.8e-3 under bfloat16 autocast), pixels move by ``0.22 e^(1/2)`` in the root
            mean square for order 1 and by ``0.1 e^(1/3)`` for order 2 (0.02 of the pixel range
            under bfloat16, 8e-5 and 5e-4 in float32), but no further than raises the loss by
            ``3.4 e^(1/2)`` or ``1.5 e^(1/3)`` nats to first order.
        order: 1, ``(loss(x + h v) - loss(x)) / h``, error O(h), one extra forward pass; or
            2, ``(loss(x + h v) - loss(x - h v)) / 2h``, error O(h^2), two extra forward passes.
        statistics: of batch norms in training mode, see ``DoubleBackprop``. With "batch", the
            automatic step takes the derivative of the *sum* of the losses, as
            ``DoubleBackprop`` does: all images move together, each as far as its weight in the
            penalty says. (A step of one's own moves them equally far, and what one image does to
            another's loss is then wrongly weighted.)
        minimum_cosine: refuse a model for whose first batch the cosine with the exact penalty
            gradient is below this, in [-1, 1]. Default: 0.8 with the automatic step, no comparison
            with a step of one's own. Costs one exact step on 16 images, once; where the model has
            no second derivative, nothing is compared. ``first_agreement`` returns what came out.

    Raises:
        HyperparameterError: the step is not positive and finite, the order not 1 or 2, or the
            cosine outside its range.

    Source: Finlay & Oberman, Machine Learning with Applications 2021 (arXiv:1905.11468).
    """

    step_size: float | None = None
    order: Literal[1, 2] = 1
    statistics: Statistics = "batch"
    minimum_cosine: float | None = None

    def __post_init__(self) -> None:
        step = self.step_size
        if step is not None and not (step > 0 and math.isfinite(step)):
            raise HyperparameterError(f"expected step_size > 0, got {step}")
        if self.order not in (1, 2):
            raise HyperparameterError(f"expected order 1 or 2, got {self.order}")
        if self.minimum_cosine is not None and not -1 <= self.minimum_cosine <= 1:
            raise HyperparameterError(
                f"expected minimum_cosine in [-1, 1], got {self.minimum_cosine}"
            )

    @property
    def required_cosine(self) -> float | None:
        """What the cosine on a model's first batch must reach; None compares nothing."""
        if self.minimum_cosine is None and self.step_size is None:
            return MINIMUM_COSINE
        return self.minimum_cosine

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        norm: GradientNorm,
        *,
        power: int = 2,
        loss: ExampleLoss | None = None,
    ) -> PenaltyTerms:
        """Return per-example losses and norms whose mean has the difference's derivative.

        Raises:
            ModelError: the model's outputs are no logits or do not depend on the images, or it
                draws from a generator of its own, or it is in
                ``DistributedDataParallel(static_graph=True)``.
        """
        refuse_static_graph(model)
        images = images.detach().requires_grad_()
        passes = _Passes(model, images, labels, loss, self.statistics)
        with explained():
            losses, logits = passes.first()
            base = passes.base(losses)
            (gradient,) = torch.autograd.grad(base.sum(), images, retain_graph=True)
        length, direction = norm.steepest(gradient)
        if self.step_size is None:
            eps = arithmetic_eps(images, logits)
            joint = self.statistics == "batch" and couples_images(model)
            steps, weights = _automatic(length, direction, eps, self.order, power, joint)
            difference = passes.difference(_rows(steps, images) * direction, base, self.order)
            slopes = weights * difference
        else:
            shift = self.step_size * direction
            slopes = passes.difference(shift, base, self.order) / self.step_size
            # d N^2 = 2 N d(v . g): the exact value carries the difference's derivative.
            slopes = 2 * length * (slopes - slopes.detach()) if power == 2 else slopes
        if getattr(norm, "mean", None) is not None:  # then its length is that of another vector
            value = norm.squared(gradient).detach()
        else:
            value = length if power == 1 else length.square()
        return PenaltyTerms(losses, value + (slopes - slopes.detach()), logits)


class _Passes:
    """The passes of one batch: all see the same random draws and leave the same statistics."""

    def __init__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        loss: ExampleLoss | None,
        statistics: Statistics,
    ) -> None:
        self._model, self._images, self._labels, self._loss = model, images, labels, loss
        self._uses_running = uses_running_statistics(statistics, model)
        self._randomness = RandomState(images.device)
        self._buffers = buffer_copies(model)

    def first(self) -> tuple[Tensor, Tensor]:
        """Return losses and logits of the pass from which statistics are learned."""
        losses, logits = example_losses(self._model, self._images, self._labels, self._loss)
        with until_it_passes(self._model, "repeats itself") as is_due:
            if is_due:
                self._check_repetition(losses, logits)
        return losses, logits

    def _check_repetition(self, losses: Tensor, logits: Tensor) -> None:
        with torch.no_grad():
            again = self._again(self._images, running=False)
        spread = (again - losses.detach()).abs().max().item()
        allowed = 50 * arithmetic_eps(self._images, logits) * (1 + again.abs().max().item())
        if spread > allowed:
            raise ModelError(
                "expected the same losses from a second pass with the same random draws, got "
                f"losses that differ by {spread:.3g}: the model draws from a generator of its "
                "own, which a finite difference cannot repeat; draw from torch's global "
                "generator, or choose backend double-backprop"
            )

    def base(self, losses: Tensor) -> Tensor:
        """Return the losses that the penalty differentiates."""
        return self._again(self._images, running=True) if self._uses_running else losses

    def difference(self, shift: Tensor, base: Tensor, order: int) -> Tensor:
        """Return by how much each loss changes with the shift, (batch,)."""
        there = self._again(self._images.detach() + shift, running=self._uses_running)
        if order == 1:
            return there - base
        return (there - self._again(self._images.detach() - shift, running=self._uses_running)) / 2

    def _again(self, images: Images, *, running: bool) -> Tensor:
        start = None if running else self._buffers
        with self._randomness.replayed(), held_statistics(self._model, start):
            if not running:
                return example_losses(self._model, images, self._labels, self._loss)[0]
            with running_statistics(self._model):
                return example_losses(self._model, images, self._labels, self._loss)[0]


def _automatic(
    length: Tensor, direction: Tensor, eps: float, order: int, power: int, joint: bool
) -> tuple[Tensor, Tensor]:
    """Return how far each image moves along its ``v``, and the weight of its change of loss.

    joint: one weight for all images, so that the sum of the losses is what is differentiated.
    """
    root = eps ** (1 / (order + 1))
    pixels = direction.flatten(start_dim=1)
    tiny = torch.finfo(length.dtype).tiny
    size = pixels.square().mean(dim=1).sqrt().clamp_min(tiny)
    weights = torch.ones_like(length) if power == 1 else 2 * length
    if joint:
        squares, growth = (weights * size).square(), weights * length
        per_weight = torch.minimum(
            PIXEL_STEP[order] * root / mean_over_batch(squares).sqrt().clamp_min(tiny),
            LOSS_STEP[order] * root / mean_over_batch(growth).clamp_min(tiny),
        )
        return per_weight * weights, torch.where(mean_over_batch(weights) > 0, 1 / per_weight, 0.0)
    steps = torch.minimum(
        PIXEL_STEP[order] * root / size, LOSS_STEP[order] * root / length.clamp_min(tiny)
    )
    steps = torch.where(length > 0, steps, 0.0)
    return steps, torch.where(length > 0, weights / steps.clamp_min(tiny), 0.0)


def arithmetic_eps(images: Images, logits: Tensor) -> float:
    """Return the relative spacing of the numbers in which a model computes, autocast included."""
    kind = images.device.type
    if torch.is_autocast_enabled(kind):
        return torch.finfo(torch.get_autocast_dtype(kind)).eps
    eps = max(torch.finfo(images.dtype).eps, torch.finfo(logits.dtype).eps)
    is_float32 = eps == torch.finfo(torch.float32).eps
    return TF32_EPS if kind == "cuda" and is_float32 and _may_use_tf32() else eps


TF32_EPS = 2.0**-10
"""Of float32 products on a GPU whose factors may be rounded first; float64 never is."""


def _may_use_tf32() -> bool:
    try:
        return torch.backends.cudnn.allow_tf32 or torch.backends.cuda.matmul.allow_tf32
    except RuntimeError:  # set through the newer fp32_precision, to different values
        return True


def _rows(numbers: Tensor, like: Tensor) -> Tensor:
    """Return (batch,) as (batch, 1, 1, ...), to multiply images by."""
    return numbers.view(-1, *[1] * (like.ndim - 1))
