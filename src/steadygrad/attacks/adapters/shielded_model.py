"""A model as a foreign library sees it: logits, gradients of the images, and nothing to break."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from steadygrad._typing import Classifier, Images, Logits
from steadygrad.checks import check_logits
from steadygrad.default_tensors import DefaultTensors
from steadygrad.errors import ModelError
from steadygrad.model_answer import answer

__all__ = ["ShieldedModel"]


class ShieldedModel(nn.Module):
    """An ``nn.Module`` around any callable that keeps a library's hands off the model itself.

    model: images to logits; need not be a module.
    images: whose dtype and device the model reads.

    The library may compute in float32 or wider where the images are narrower, or narrower where
    they are float64: it gets logits of the dtype it sent. Whatever it does to this module (modes,
    ``requires_grad``, hooks, optimizers) stays here, and ``backward`` reaches the images only: no
    ``.grad`` appears on a parameter. First derivatives only.
    """

    def __init__(self, model: Classifier, images: Images) -> None:
        super().__init__()
        # In a tuple: a module in an attribute would become part of this one.
        self._hidden = (model,)
        self.dtype = images.dtype
        # The model meets the defaults under which it was handed over, not a library's.
        self._defaults = DefaultTensors.now()
        # Libraries ask the first parameter where the model lies.
        self.anchor = nn.Parameter(torch.empty(0, device=images.device), requires_grad=False)
        self.eval()

    def forward(self, images: Images) -> Logits:
        """Return logits (batch, classes) in the images' dtype.

        Raises: ModelError, for outputs that are no finite logits or do not depend on the images.
        """
        if torch.is_grad_enabled() and images.requires_grad:
            logits: Logits = _ImageGradient.apply(images, self)  # type: ignore[no-untyped-call] # torch leaves it untyped
            return logits
        with torch.no_grad():
            return self.logits(images)

    def logits(self, images: Images) -> Logits:
        """Ask the model, in whatever grad mode. NaN in, NaN out is not the model's doing."""
        (model,) = self._hidden
        with self._defaults.lent():
            logits = answer(model, images.to(self.dtype))
        check_logits(logits, len(images))
        # A sum that is finite has finite terms, and one number is soon read.
        is_suspect = not logits.detach().sum().isfinite()
        if is_suspect and not logits.isfinite().all() and images.isfinite().all():
            raise ModelError("expected finite logits from the model, got NaN or infinity")
        return logits.to(images.dtype)

    def count_classes(self, images: Images) -> int:
        """Return the number of classes, by one pass of one image."""
        return int(self.forward(images[:1]).shape[1])


class _ImageGradient(torch.autograd.Function):
    """The model with a graph of its own inside, of which only the images' gradient is asked."""

    @staticmethod
    def forward(ctx: Any, images: Images, shielded: ShieldedModel) -> Logits:
        with torch.enable_grad():
            ctx.images = images.detach().requires_grad_()
            ctx.logits = shielded.logits(ctx.images)
        if not ctx.logits.requires_grad:
            raise ModelError("expected logits differentiable in the images, got constants")
        logits: Logits = ctx.logits.detach()
        return logits

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        # Kept: DeepFool and its like ask for the gradient of every class in turn.
        (image_gradient,) = torch.autograd.grad(
            ctx.logits, ctx.images, gradient, retain_graph=True, allow_unused=True
        )
        if image_gradient is None:
            raise ModelError("expected logits that depend on the images, got constants")
        return image_gradient, None
