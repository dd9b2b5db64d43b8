"""Exact derivative of an input-gradient norm by differentiating the backward pass."""

from dataclasses import dataclass

import torch

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.distributed import parameters_kept_gathered, refuse_static_graph
from steadygrad.memory import keep_freed_memory
from steadygrad.penalties.backend import PenaltyTerms
from steadygrad.penalties.norms import GradientNorm
from steadygrad.penalties.penalized_loss import example_losses

__all__ = ["DoubleBackprop"]


@dataclass(frozen=True)
class DoubleBackprop:
    """Build the graph of the input gradient, so that ``backward()`` runs through it.

    Exact for whatever rule the model's layers give autograd (for complex layers with
    ``second_order="frozen_phase"``, that rule). One forward and one backward pass, and about
    twice that again when the result is differentiated.
    Source: Drucker & LeCun, IEEE Trans. Neural Networks 1992.

    Losses are summed, not averaged, before differentiating: an example's gradient does not
    depend on the batch size. Batch norm in training mode adds cross terms between examples.
    Raises: ModelError, for a model in ``DistributedDataParallel(static_graph=True)``.
    """

    def __call__(
        self, model: Classifier, images: Images, labels: Labels, norm: GradientNorm
    ) -> PenaltyTerms:
        """Return per-example losses and squared norms with an exact graph."""
        keep_freed_memory()
        refuse_static_graph(model)
        images = images.detach().requires_grad_()
        with parameters_kept_gathered(model):
            losses, logits = example_losses(model, images, labels)
            (gradient,) = torch.autograd.grad(losses.sum(), images, create_graph=True)
        # Nobody reads the images' own gradient of the penalty: the first layer can skip it.
        images.requires_grad_(False)
        return PenaltyTerms(losses, norm.squared(gradient), logits)
