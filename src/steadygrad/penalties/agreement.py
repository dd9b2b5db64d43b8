"""How far an approximate backend's parameter gradient is from the exact one on a probe batch."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels
from steadygrad.errors import HyperparameterError
from steadygrad.penalties.backend import Backend
from steadygrad.penalties.double_backprop import DoubleBackprop
from steadygrad.penalties.norms import GradientNorm, NormName, norm_by_name

__all__ = ["BackendAgreement", "compare_backends"]


@dataclass(frozen=True)
class BackendAgreement:
    """An approximate penalty gradient beside the exact one, over all parameters together.

    cosine: of the angle between them, in [-1, 1]; 1 is agreement.
    length_ratio: length of the approximate one over that of the exact one.
    """

    cosine: float
    length_ratio: float

    def require(self, minimum_cosine: float) -> None:
        """Raise HyperparameterError unless the cosine is at least ``minimum_cosine``."""
        if not self.cosine >= minimum_cosine:
            raise HyperparameterError(
                f"expected the finite difference's penalty gradient within cosine "
                f"{minimum_cosine} of the exact one, got {self.cosine:.3f}; "
                "change its step size, or use double_backprop"
            )


def compare_backends(
    backend: Backend,
    model: nn.Module,
    images: Images,
    labels: Labels,
    *,
    norm: NormName | GradientNorm = "l1",
) -> BackendAgreement:
    """Compare a backend's penalty gradient with double backpropagation on one batch.

    The model's parameters, their ``grad``, its mode and torch's random state are left as they
    were; in training mode batch norm sees the batch. Cost: one step of each backend.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}

    measured = norm_by_name(norm) if isinstance(norm, str) else norm

    def gradient_of(backend: Backend) -> Tensor:
        with torch.random.fork_rng([images.device] if images.is_cuda else []):
            terms = backend(model, images, labels, measured)
        gradients = torch.autograd.grad(
            terms.squared_norms.mean(), parameters, materialize_grads=True, allow_unused=True
        )
        return torch.cat([gradient.flatten().double() for gradient in gradients])

    approximate, exact = gradient_of(backend), gradient_of(DoubleBackprop())
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    lengths = approximate.norm(), exact.norm()
    cosine = approximate @ exact / (lengths[0] * lengths[1]).clamp_min(1e-300)
    return BackendAgreement(cosine.item(), (lengths[0] / lengths[1].clamp_min(1e-300)).item())
