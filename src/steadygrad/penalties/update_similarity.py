"""How much a penalty turns the parameter update away from the plain one."""

from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["as_one_vector", "parameter_gradient", "parameter_update_similarity"]


def parameter_update_similarity(
    loss: Tensor, data_loss: Tensor, parameters: Iterable[Tensor]
) -> Tensor:
    """Return the cosine between the parameter gradients of ``data_loss`` and of ``loss``.

    loss: scalar, data loss and penalty together; data_loss: scalar. Both graphs are kept.
    parameters: those of the network; ones that a loss does not reach count as gradient 0.
    Returns a scalar in [-1, 1], 1 where the penalty changes nothing; NaN where either gradient
    is 0, since an angle with nothing is not defined.
    Source: Yeats, Chen & Li, ICML 2021, Eq. (11).
    """
    parameters = list(parameters)
    plain, combined = (parameter_gradient(scalar, parameters) for scalar in (data_loss, loss))
    return torch.nn.functional.cosine_similarity(plain, combined, dim=0, eps=0)


def parameter_gradient(scalar: Tensor, parameters: Iterable[Tensor]) -> Tensor:
    """Return the gradient of a scalar in all trainable parameters together, as one vector.

    The graph is kept; parameters that the scalar does not reach count as gradient 0, and the
    gradient of a complex parameter as its real and imaginary parts.
    """
    trainable = [parameter for parameter in parameters if parameter.requires_grad]
    gradients = torch.autograd.grad(
        scalar, trainable, retain_graph=True, allow_unused=True, materialize_grads=True
    )
    return as_one_vector(gradients)


def as_one_vector(gradients: Iterable[Tensor]) -> Tensor:
    """Return gradients one after the other as a real vector, (n,): a complex number is two."""
    return torch.cat([_real(gradient).flatten() for gradient in gradients])


def _real(gradient: Tensor) -> Tensor:
    # A conjugate that was not carried out yet cannot be viewed as real numbers.
    return torch.view_as_real(gradient.resolve_conj()) if gradient.is_complex() else gradient
