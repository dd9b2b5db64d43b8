"""Derivative of an input-gradient norm by a finite difference of ordinary passes."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.distributed import refuse_static_graph
from steadygrad.errors import HyperparameterError
from steadygrad.penalties.backend import PenaltyTerms
from steadygrad.penalties.norms import GradientNorm
from steadygrad.penalties.penalized_loss import example_losses

__all__ = ["FiniteDifference"]


@dataclass(frozen=True, kw_only=True)
class FiniteDifference:
    """Replace the directional derivative along ``v(g)`` by a difference of two losses.

    step_size: ``h``, in pixel units: how far the images move along ``v`` (for the L1 norm the
        change of every pixel, for L2 the Euclidean length of the change, for Linf the change of
        one pixel). Default 0.003. Small steps follow the exact derivative; large ones also
        flatten the neighbourhood, see ``compare_backends`` for what a step does to a model.
    order: 1, ``(loss(x + h v) - loss(x)) / h``, error O(h), one extra forward pass; or
        2, ``(loss(x + h v) - loss(x - h v)) / 2h``, error O(h^2), two extra forward passes.
    Raises: HyperparameterError, if the step is not positive and finite or the order not 1 or 2.
    Source: Finlay & Oberman, Machine Learning with Applications 2021 (arXiv:1905.11468).

    No second-order graph is built, so this works where double backpropagation does not
    (compiled models, fused attention, FSDP). The reported norm is exact; only its derivative is
    approximate. Dropout draws the same mask in every pass, batch norm updates its running
    statistics once. Images may leave [0, 1] by ``h`` in the extra passes.
    """

    step_size: float = 0.003
    order: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        if not (self.step_size > 0 and math.isfinite(self.step_size)):
            raise HyperparameterError(f"expected step_size > 0, got {self.step_size}")
        if self.order not in (1, 2):
            raise HyperparameterError(f"expected order 1 or 2, got {self.order}")

    def __call__(
        self, model: Classifier, images: Images, labels: Labels, norm: GradientNorm
    ) -> PenaltyTerms:
        """Return per-example losses and squared norms whose derivative is the difference's."""
        refuse_static_graph(model)
        images = images.detach().requires_grad_()
        randomness = _RandomState(images.device)
        losses, logits = example_losses(model, images, labels)
        (gradient,) = torch.autograd.grad(losses.sum(), images, retain_graph=True)
        length, direction = norm.steepest(gradient)
        shift = self.step_size * direction

        def shifted_losses(offset: Tensor) -> Tensor:
            with randomness.replayed(), _fixed_running_statistics(model):
                return example_losses(model, images.detach() + offset, labels)[0]

        if self.order == 1:
            slope = (shifted_losses(shift) - losses) / self.step_size
        else:
            slope = (shifted_losses(shift) - shifted_losses(-shift)) / (2 * self.step_size)
        # d N^2 = 2 N d(v . g): the exact value carries the difference's derivative.
        squared = length.square() + 2 * length * (slope - slope.detach())
        return PenaltyTerms(losses, squared, logits)


class _RandomState:
    """torch's global generators as they were, to repeat the same dropout masks."""

    def __init__(self, device: torch.device) -> None:
        self._devices = [device] if device.type == "cuda" else []
        self._cpu = torch.get_rng_state()
        self._cuda = [torch.cuda.get_rng_state(device) for device in self._devices]

    @contextmanager
    def replayed(self) -> Iterator[None]:
        with torch.random.fork_rng(self._devices):
            torch.set_rng_state(self._cpu)
            for device, state in zip(self._devices, self._cuda, strict=True):
                torch.cuda.set_rng_state(state, device)
            yield


@contextmanager
def _fixed_running_statistics(model: Classifier) -> Iterator[None]:
    modules = model.modules() if isinstance(model, nn.Module) else ()
    tracking = [m for m in modules if isinstance(m, _BatchNorm) and m.training]
    tracking = [m for m in tracking if m.track_running_stats]
    # A training batch norm that does not track still normalises by the batch.
    for module in tracking:
        module.track_running_stats = False
    try:
        yield
    finally:
        for module in tracking:
            module.track_running_stats = True
