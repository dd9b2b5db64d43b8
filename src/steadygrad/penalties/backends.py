"""The exact backend, double backpropagation, and backends by name."""

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.checks import until_it_passes
from steadygrad.held_statistics import held_statistics
from steadygrad.memory import keep_freed_memory
from steadygrad.parallel_models import parameters_kept_gathered, refuse_static_graph
from steadygrad.penalties.losses import example_losses
from steadygrad.penalties.model_passes import (
    RandomState,
    explained,
    is_compiled,
    refuse_no_second_derivative,
    running_statistics,
    uses_running_statistics,
)
from steadygrad.penalties.part import (
    ExampleLoss,
    GradientNorm,
    PenaltyTerms,
    backend,
)
from steadygrad.unread_leaf import mark_unread

__all__ = ["DoubleBackprop", "Statistics", "raised"]

Statistics: TypeAlias = Literal["batch", "running"]
"""By which statistics batch norms in training mode normalise while the penalty is taken."""


@backend("double-backprop", title="Double backpropagation")
@dataclass(frozen=True, kw_only=True)
class DoubleBackprop:
    """Build the graph of the input gradient, so that ``backward()`` runs through it.

    Exact for whatever rule the model's layers give autograd (for complex layers with
    ``second_order="frozen_phase"``, that rule). One forward and one backward pass, and about
    twice that again when the result is differentiated.

    Losses are summed, not averaged, before differentiating: an example's gradient does not
    depend on the batch size. PyTorch's layers run as ours meanwhile, whose second derivatives are
    cheaper (``steadygrad.layers.use_fast_layers``).

    Args:
        statistics: what batch norms in training mode do in the penalty. "batch": they normalise
            by the batch, so that an image's gradient is that of the *sum* of the losses, to which
            it also contributes through the other images' statistics; on our networks 7 to 13 % of
            it. "running": they normalise by their running statistics, as in the deployed network,
            and the gradient is the image's own; costs another forward and backward pass. The data
            loss, and the statistics that are learned from the batch, are the same either way. While
            they are learned, "running" lets the penalty and the data loss be taken of two
            functions, and a network err in eval mode: hold them, or take "batch"
            (``docs/guides/harden.md``).

    Source: Drucker & LeCun, IEEE Trans. Neural Networks 1992.
    """

    statistics: Statistics = "batch"

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
        """Return per-example losses and norms with an exact graph.

        Raises:
            ModelError: the model's outputs are no logits or do not depend on the images, or a
                part of it has no second derivative; it is in
                ``DistributedDataParallel(static_graph=True)``.
        """
        keep_freed_memory()
        refuse_static_graph(model)
        with explained(), parameters_kept_gathered(model), _own_layers(model):
            own = uses_running_statistics(self.statistics, model)
            randomness = RandomState(images.device) if own else None
            # Only the pass that is differentiated has to record the images.
            moved = images.detach().requires_grad_(randomness is None)
            losses, logits = example_losses(model, moved, labels, loss)
            differentiated = losses
            if randomness is not None:
                moved = images.detach().requires_grad_()
                with randomness.replayed(), held_statistics(model), running_statistics(model):
                    differentiated, _ = example_losses(model, moved, labels, loss)
            # In the precision of the forward pass: autocast would round its products once more.
            with torch.autocast(images.device.type, enabled=False):
                (gradient,) = torch.autograd.grad(differentiated.sum(), moved, create_graph=True)
            # Nobody reads the gradient that backward() would compute for it: the layers leave it
            # out, see ``hand_written.gradients.is_read``.
            mark_unread(moved)
        with until_it_passes(model, ("second derivative", is_compiled(model))) as is_due:
            if is_due:
                refuse_no_second_derivative(gradient)
        return PenaltyTerms(losses, raised(norm, gradient, power), logits)


def _own_layers(model: Classifier) -> AbstractContextManager[None]:
    """Return a context in which a model runs our layers in place of PyTorch's."""
    from steadygrad.layers.fast_layers import fast_layers  # a loss alone needs no layers

    return fast_layers(model)


def raised(norm: GradientNorm, gradient: Tensor, power: int) -> Tensor:
    """Return ``N(g_i) ** power``, power 1 or 2, differentiable in ``g``."""
    return norm.squared(gradient) if power == 2 else norm.value(gradient)
