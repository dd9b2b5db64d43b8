"""How far an approximate backend's parameter gradient is from the exact one on a probe batch."""

import logging
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from steadygrad._typing import Images, Labels
from steadygrad.batch_share import current_share, first_of_batch
from steadygrad.checks import first_time, until_it_passes
from steadygrad.distributed import average_over_ranks
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.held_statistics import held_statistics
from steadygrad.parallel_models import sharded_modules
from steadygrad.penalties.backends import DoubleBackprop
from steadygrad.penalties.model_passes import RandomState, explained
from steadygrad.penalties.part import BACKENDS, NORMS, Backend, ExampleLoss, GradientNorm
from steadygrad.penalties.update_similarity import as_one_vector

__all__ = [
    "BackendAgreement",
    "check_first_batch",
    "compare_backends",
    "first_agreement",
    "note_first_agreement",
]

PROBE = 16
"""How many images of a model's first batch the check looks at."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class BackendAgreement:
    """An approximate penalty gradient beside the exact one, over all parameters together.

    Attributes:
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
                f"{minimum_cosine} of the exact one, got {self.cosine:.3f}; choose backend "
                "double-backprop, or smooth activations (GELU, SiLU) in place of ReLU, or order=2 "
                "in half precision, or a step_size of your own, which is not compared (0.01 "
                "averages over ReLU's kinks)"
            )


def compare_backends(
    backend: Backend | str,
    model: nn.Module,
    images: Images,
    labels: Labels,
    *,
    norm: GradientNorm | str = "l1",
    power: int = 2,
    loss: ExampleLoss | None = None,
) -> BackendAgreement:
    """Compare a backend's penalty gradient with double backpropagation on one batch.

    The model's parameters, their ``grad``, its buffers, its mode and the global random states are
    left as they were; in training mode batch norm sees the batch. Cost: one step of each backend.
    The exact gradient is taken in full precision, also under autocast, and of the model from
    before ``torch.compile``.

    Args:
        backend: the one to measure, or its text.
        norm: the penalty's norm, or its text.
        power: 2 for the squared norm, 1 for the norm.
        loss: one loss an image; None is the cross-entropy.

    Raises:
        ModelError: the model has no second derivative to compare with, or its outputs do not fit.
    """
    measured = BACKENDS.of(backend), NORMS.of(norm)
    exact = DoubleBackprop(statistics=getattr(measured[0], "statistics", "batch"))
    parameters = [p for p in model.parameters() if p.requires_grad]
    randomness = RandomState(images.device)

    def gradient_of(backend: Backend, model: nn.Module) -> Tensor:
        with randomness.replayed(), held_statistics(model), explained():
            terms = backend(model, images, labels, measured[1], power=power, loss=loss)
            gradients = torch.autograd.grad(
                terms.norms.mean(), parameters, materialize_grads=True, allow_unused=True
            )
        flat, share = as_one_vector(gradients).double(), current_share()
        return flat if share is None else average_over_ranks(flat, share.size)

    approximate = gradient_of(measured[0], model)
    with torch.autocast(images.device.type, enabled=False):
        reference = gradient_of(exact, getattr(model, "_orig_mod", model))
    lengths = approximate.norm(), reference.norm()
    if lengths[0] == 0 and lengths[1] == 0:
        return BackendAgreement(1.0, 1.0)
    cosine = approximate @ reference / (lengths[0] * lengths[1]).clamp_min(1e-300)
    return BackendAgreement(cosine.item(), (lengths[0] / lengths[1].clamp_min(1e-300)).item())


_agreements: WeakKeyDictionary[Any, BackendAgreement] = WeakKeyDictionary()


def first_agreement(model: nn.Module) -> BackendAgreement | None:
    """Return what a finite difference measured on the first batch of a model, if it did."""
    return _agreements.get(model)


def note_first_agreement(model: nn.Module, agreement: BackendAgreement) -> None:
    """Count a model's first batch as checked: a resumed training does not check a later one.

    Args:
        agreement: what ``first_agreement`` returned before.
    """
    first_time(model, _TOPIC)
    _agreements[model] = agreement


_TOPIC = "agreement of the finite difference"


def check_first_batch(
    backend: Backend,
    model: Any,
    images: Images,
    labels: Labels,
    norm: GradientNorm,
    power: int,
    loss: ExampleLoss | None,
) -> None:
    """Compare a backend that asks for it with the exact one, on the first batch of a model.

    What came out is logged, and kept for ``first_agreement``. Where the model has no second
    derivative there is nothing to compare with, and the log says that.

    Raises:
        HyperparameterError: the cosine is below what the backend requires.
    """
    required = getattr(backend, "required_cosine", None)
    if required is None or not isinstance(model, nn.Module):
        return
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return
    with until_it_passes(model, _TOPIC) as is_due:
        if is_due:
            _compare_first_batch(backend, model, images, labels, norm, power, loss, required)


def _compare_first_batch(
    backend: Backend,
    model: nn.Module,
    images: Images,
    labels: Labels,
    norm: GradientNorm,
    power: int,
    loss: ExampleLoss | None,
    required: float,
) -> None:
    subject = model.module if isinstance(model, nn.parallel.DistributedDataParallel) else model
    if sharded_modules(subject):
        _LOG.info("finite difference not compared with the exact gradient: the model is sharded")
        return
    try:
        with first_of_batch(PROBE) as count:
            agreement = compare_backends(
                backend, subject, images[:count], labels[:count], norm=norm, power=power, loss=loss
            )
    except ModelError as error:
        _LOG.info("finite difference not compared with the exact gradient: %s", error)
        return
    _agreements[model] = agreement
    _LOG.info(
        "finite difference: cosine %.3f with the exact penalty gradient on %d images, %.2f of its "
        "length",
        agreement.cosine,
        len(images[:count]),
        agreement.length_ratio,
    )
    agreement.require(required)
