"""From a norm and a backend to a loss: the steps that every penalty takes."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.batch_share import current_share, first_of_batch
from steadygrad.checks import check_images, check_number
from steadygrad.errors import HyperparameterError, LabelError
from steadygrad.held_statistics import held_statistics, modules_of
from steadygrad.penalties.agreement import check_first_batch
from steadygrad.penalties.loss_watch import refuse_when_not_finite, warn_of_size
from steadygrad.penalties.losses import checked_loss, example_losses
from steadygrad.penalties.model_passes import (
    RandomState,
    couples_images,
    explained,
    running_statistics,
    uses_running_statistics,
)
from steadygrad.penalties.part import (
    Backend,
    ExampleLoss,
    GradientNorm,
    PenalizedLoss,
    PenaltyTerms,
)

__all__ = [
    "check_fraction",
    "check_strength",
    "penalised_count",
    "penalized_loss",
    "plain_loss",
]


@explained()
def penalized_loss(
    model: Classifier,
    images: Images,
    labels: Labels,
    *,
    factor: float,
    norm: GradientNorm,
    power: int,
    backend: Backend,
    fraction: float = 1.0,
    loss: ExampleLoss | None = None,
) -> PenalizedLoss:
    """Return the mean loss and ``factor * mean_i N(g_i) ** power``.

    Of a declared share (``batch_share``), the terms are such that their mean over the processes,
    weighted by images, is that of the whole batch.

    Where autograd records nothing (``no_grad``, ``inference_mode``), both are exact values without
    a graph, whatever the backend.

    Args:
        factor: at least 0; 0 gives the plain loss to the bit.
        power: 2 for the squared norm, 1 for the norm.
        fraction: only the first ``ceil(fraction * batch)`` images are penalised, see
            ``penalised_count``.

    Raises:
        ImageError, LabelError, ModelError: the batch or the model's outputs do not fit.
        HyperparameterError: the loss averages, or the backend is too far from the exact one.
    """
    loss = checked_loss(loss)
    images, labels = _usable(images), _usable(labels)
    check_images(images, wait=False)
    if isinstance(labels, Tensor) and labels.shape[:1] != images.shape[:1]:
        raise LabelError(f"expected labels of shape ({len(images)},), got {tuple(labels.shape)}")
    if factor == 0:
        return plain_loss(model, images, labels, loss)
    if not torch.is_grad_enabled():
        return _value(model, images, labels, factor, norm, power, backend, fraction, loss)

    terms = _terms(model, images, labels, norm, power, backend, fraction, loss)
    check_first_batch(backend, model, images, labels, norm, power, loss)
    data_loss = terms.losses.mean()
    penalty = factor * _correction(model, fraction) * terms.norms.mean()
    result = PenalizedLoss(data_loss + penalty, data_loss, penalty, terms.logits)
    warn_of_size(model, result)
    refuse_when_not_finite(model, result)
    return result


def plain_loss(
    model: Classifier, images: Images, labels: Labels, loss: ExampleLoss | None = None
) -> PenalizedLoss:
    """Return the mean loss with a penalty of 0."""
    losses, logits = example_losses(model, images, labels, loss)
    data_loss = losses.mean()
    result = PenalizedLoss(data_loss, data_loss, data_loss.new_zeros(()), logits)
    refuse_when_not_finite(model, result)
    return result


def check_strength(strength: float) -> None:
    """Refuse a strength that is negative or not finite.

    Raises:
        HyperparameterError: names it.
    """
    check_number("strength", strength)
    if not 0 <= strength < float("inf"):
        raise HyperparameterError(f"expected strength >= 0, got {strength}")


def check_fraction(fraction: float) -> None:
    """Refuse a fraction outside (0, 1].

    Raises:
        HyperparameterError: names it.
    """
    if not 0 < fraction <= 1:
        raise HyperparameterError(f"expected fraction in (0, 1], got {fraction}")


def _terms(
    model: Classifier,
    images: Images,
    labels: Labels,
    norm: GradientNorm,
    power: int,
    backend: Backend,
    fraction: float,
    loss: ExampleLoss,
) -> PenaltyTerms:
    share = current_share()
    whole = len(images) if share is None else share.total
    penalised = penalised_count(model, fraction, whole)
    if penalised == whole:
        return backend(model, images, labels, norm, power=power, loss=loss)
    couples = _may_couple_images(model)
    if couples:
        # One pass over all images learns the batch's statistics; the penalty's pass learns none.
        losses, logits = example_losses(model, images, labels, loss)
    with first_of_batch(penalised) as count:
        if couples:
            with held_statistics(model), _statistics_of(backend, model):
                first = backend(model, images[:count], labels[:count], norm, power=power, loss=loss)
            return PenaltyTerms(losses, first.norms, logits)
        first = backend(model, images[:count], labels[:count], norm, power=power, loss=loss)
    if count == len(images):
        return first
    losses, logits = example_losses(model, images[count:], labels[count:], loss)
    return PenaltyTerms(
        torch.cat((first.losses, losses)), first.norms, torch.cat((first.logits, logits))
    )


def _takes_running_statistics(backend: Backend, model: Classifier) -> bool:
    return uses_running_statistics(getattr(backend, "statistics", "batch"), model)


def _statistics_of(backend: Backend, model: Classifier) -> AbstractContextManager[None]:
    """Return a context in which batch norms normalise by what a backend takes."""
    is_running = _takes_running_statistics(backend, model)
    return running_statistics(model) if is_running else nullcontext()


def penalised_count(model: Classifier, fraction: float, batch: int) -> int:
    """Return ``ceil(fraction * batch)``, not fooled by the rounding of the product.

    At least 2 where a batch norm normalises these images by themselves.
    """
    if fraction == 1:  # no look at the modules in every step
        return batch
    fewest = 2 if _may_couple_images(model) else 1
    return min(batch, max(fewest, -int(-(fraction * batch - 1e-9) // 1)))


def _may_couple_images(model: Classifier) -> bool:
    return couples_images(model) or not modules_of(model)


def _correction(model: Classifier, fraction: float) -> float:
    """Return what makes a mean over one's own penalised images weigh as much as one's own images.

    Of a share, the penalised ones need not be the same fraction as of the whole batch.
    """
    share = current_share()
    if share is None or share.size == 0:
        return 1.0
    return share.first(penalised_count(model, fraction, share.total)).weight / share.weight


def _value(
    model: Classifier,
    images: Images,
    labels: Labels,
    factor: float,
    norm: GradientNorm,
    power: int,
    backend: Backend,
    fraction: float,
    loss: ExampleLoss,
) -> PenalizedLoss:
    """Return what ``_terms`` gives, without a graph; of batch norms, by the same statistics."""
    count = penalised_count(model, fraction, len(images))
    is_part = count < len(images) and _may_couple_images(model)
    with torch.inference_mode(False), torch.enable_grad(), explained():
        images = images.detach().requires_grad_()
        is_running = _takes_running_statistics(backend, model)
        randomness = RandomState(images.device) if is_running and not is_part else None
        losses, logits = example_losses(model, images, labels, loss)
        differentiated = losses
        if is_part or is_running:
            draws = nullcontext() if randomness is None else randomness.replayed()
            with draws, held_statistics(model), _statistics_of(backend, model):
                differentiated, _ = example_losses(model, images[:count], labels[:count], loss)
        (gradient,) = torch.autograd.grad(differentiated.sum(), images)
    gradient = gradient[:count]
    norms = norm.squared(gradient) if power == 2 else norm.value(gradient)
    data_loss, penalty = losses.detach().mean(), factor * norms.mean()
    return PenalizedLoss(data_loss + penalty, data_loss, penalty, logits.detach())


def _usable(tensor: Tensor) -> Tensor:
    """Return the tensor, copied if it was made in inference mode: autograd refuses these."""
    if not (isinstance(tensor, Tensor) and tensor.is_inference()):
        return tensor
    with torch.inference_mode(False):
        return tensor.clone()
