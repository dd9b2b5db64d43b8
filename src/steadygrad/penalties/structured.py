"""Structured gradient regularization (SGR): the input gradient measured in a noise covariance."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.checks import check_images, check_labels
from steadygrad.covariance import Covariance, IdentityCovariance, RunningCovariance
from steadygrad.errors import CheckpointError, HyperparameterError, ShapeError
from steadygrad.penalties.backend import Backend
from steadygrad.penalties.backends import BackendName, resolve_backend
from steadygrad.penalties.double_backprop import DoubleBackprop
from steadygrad.penalties.penalized_loss import PenalizedLoss, example_losses
from steadygrad.penalties.perturbation_source import (
    PerturbingAttack,
    SourceName,
    attack_perturbations,
    resolve_source,
)

__all__ = ["CovarianceNorm", "StructuredPenalty", "strength_from_lambda"]


class CovarianceNorm:
    """``N(g) = sqrt(g^T Sigma g)``, with ``v = Sigma g / N``; a norm where ``Sigma`` is definite.

    mean: ``mu``, (channels, height, width); adds ``2 g . mu`` to ``N(g)^2`` (only there, so that
        ``steepest`` knows nothing of it), which may then be negative.
    """

    def __init__(self, covariance: Covariance, mean: Tensor | None = None) -> None:
        self.covariance, self.mean = covariance, mean

    def squared(self, gradient: Tensor) -> Tensor:
        """Return ``g^T Sigma g`` (+ ``2 g . mu``), never below 0 without a mean.

        Differentiable once in ``g``: the derivative ``2 Sigma g`` is a constant.
        """
        rows = gradient.flatten(start_dim=1)
        with torch.no_grad():
            smoothed = self.covariance.apply(gradient).flatten(start_dim=1)
        product = (rows * smoothed).sum(dim=1)
        # Sigma is symmetric, so the derivative is twice that of the product with Sigma g held
        # constant: backward() need not apply Sigma a second time. The value is exact, 2 a - a.
        energy = 2 * product - product.detach()
        # Rounding alone can bring a semidefinite form below 0.
        energy = energy - energy.detach().clamp(max=0)
        if self.mean is None:
            return energy
        return energy + 2 * (rows @ self.mean.to(rows).flatten())

    @torch.no_grad()
    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        """Return ``sqrt(g^T Sigma g)`` and ``Sigma g`` over it; both 0 where that is 0."""
        smoothed = self.covariance.apply(gradient)
        length = (gradient * smoothed).flatten(start_dim=1).sum(dim=1).clamp(min=0).sqrt()
        divisor = length.view(-1, *[1] * (gradient.ndim - 1))
        return length, torch.where(divisor > 0, smoothed / divisor, 0.0)


@dataclass(kw_only=True, eq=False)
class StructuredPenalty:
    """Add ``strength * mean_i g_i^T Sigma g_i`` to the mean cross-entropy of a batch.

    ``g_i`` is example i's own input gradient of the cross-entropy, minus that of the true class's
    log-probability, in nats per pixel unit. ``strength`` is *half* the paper's lambda, whose
    Omega carries a factor one half (``strength_from_lambda``). With the identity this is
    ``SquaredNormPenalty(strength=strength, norm="l2")``, the paper's GN, to the bit.

    strength: at least 0; 0 gives the plain loss to the bit and leaves the covariance alone.
    covariance: a fixed one, or a ``RunningCovariance`` that learns as the training goes.
    source: the perturbations a running covariance learns from, before each batch's penalty is
        taken: "gradient" (the ``g_i`` that the penalty computes anyway) and "fgsm" (their signs)
        cost no extra pass; "pgd" and "deepfool" run ``pgd_source()`` and ``deepfool_source()`` with
        the model in eval mode; an attack object, such as one of these two at another eps, runs as
        it is. None leaves the updates to you.
    every: learn from every so many-th batch, at least 1.
    mean: "running" adds the shift of uncentred perturbations, ``2 * strength * mean_i g_i . mu``
        (Eq. 12), with the running covariance's mean; a tensor (channels, height, width), in the
        units of the covariance, takes its place. The penalty may then be negative; only with
        double backpropagation.
    backend: "double_backprop" (exact), "finite_difference" (along ``Sigma g / N``), or a backend
        object.
    Raises: HyperparameterError, if a number is outside its range or two settings do not go
        together; UnknownNameError, if there is no such source or backend.
    Source: Roth et al., arXiv:1805.08736, Eqs. (11) and (12) and Algorithm 1.

    ``Sigma`` is a constant of each step: no gradient flows through it. Perturbations that are all
    zero or not finite are passed over; until the first usable ones, ``Sigma`` is the identity.
    """

    strength: float
    covariance: Covariance
    source: SourceName | PerturbingAttack | None = None
    every: int = 1
    mean: Tensor | Literal["running"] | None = None
    backend: BackendName | Backend = "double_backprop"
    calls: int = field(default=0, init=False, repr=False)
    """How many batches there were: every ``every``-th is learned from."""

    def __post_init__(self) -> None:
        if not (self.strength >= 0 and math.isfinite(self.strength)):
            raise HyperparameterError(f"expected strength >= 0, got {self.strength}")
        if self.every < 1:
            raise HyperparameterError(f"expected every >= 1, got {self.every}")
        is_running = isinstance(self.covariance, RunningCovariance)
        if self.source is not None:
            resolve_source(self.source)
            if not is_running:
                raise HyperparameterError(
                    "expected a RunningCovariance to learn from a source, "
                    f"got {type(self.covariance).__name__}"
                )
        if isinstance(self.mean, str) and (self.mean != "running" or not is_running):
            raise HyperparameterError(
                f'expected mean "running" with a RunningCovariance, a tensor or None, got '
                f"{self.mean!r} with {type(self.covariance).__name__}"
            )
        if isinstance(self.mean, Tensor) and not self.mean.isfinite().all():
            raise HyperparameterError("expected a finite mean, got NaN or infinity")
        backend = resolve_backend(self.backend)
        if self.mean is not None and not isinstance(backend, DoubleBackprop):
            raise HyperparameterError(
                f"expected double_backprop along with a mean, got {self.backend!r}"
            )

    def __call__(self, model: Classifier, images: Images, labels: Labels) -> PenalizedLoss:
        """Return the loss to call ``backward()`` on, with its terms and the logits.

        images: (batch, channels, height, width) in [0, 1]; labels: int64 (batch,).
        Raises: ImageError, LabelError or ModelError, if one of them does not fit; ShapeError, if
            the covariance is of another image size; CovarianceError, for a running covariance
            without source that was never updated.
        """
        check_images(images, wait=False)
        check_labels(labels, len(images), wait=False)
        if self.strength == 0:
            losses, logits = example_losses(model, images, labels)
            data_loss = losses.mean()
            return PenalizedLoss(data_loss, data_loss, data_loss.new_zeros(()), logits)

        self._learn_from_attack(model, images.detach(), labels)
        terms = resolve_backend(self.backend)(model, images, labels, _NormOfCall(self))
        self.calls += 1
        data_loss = terms.losses.mean()
        penalty = self.strength * terms.squared_norms.mean()
        return PenalizedLoss(data_loss + penalty, data_loss, penalty, terms.logits)

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed training needs; of a fixed covariance, only the count of calls."""
        state: dict[str, Any] = {"calls": self.calls}
        if isinstance(self.covariance, RunningCovariance):
            state["covariance"] = self.covariance.state_dict()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was taken.

        Raises: CheckpointError, if the state is of a penalty with another kind of covariance.
        """
        is_running = isinstance(self.covariance, RunningCovariance)
        if "calls" not in state or ("covariance" in state) != is_running:
            raise CheckpointError(
                "the state of the structured penalty does not fit one with a "
                f"{type(self.covariance).__name__}"
            )
        if isinstance(self.covariance, RunningCovariance):
            self.covariance.load_state_dict(state["covariance"])
        self.calls = state["calls"]

    @property
    def _is_due(self) -> bool:
        return self.source is not None and self.calls % self.every == 0

    def _learn_from_attack(self, model: Classifier, images: Images, labels: Labels) -> None:
        if self.source is None or not self._is_due:
            return
        attack = resolve_source(self.source)
        if attack is not None:
            self._learn(attack_perturbations(attack, model, images, labels))

    def _learn_from_gradient(self, gradient: Tensor) -> None:
        if self._is_due and self.source == "gradient":
            self._learn(gradient)
        elif self._is_due and self.source == "fgsm":
            self._learn(gradient.sign())

    def _learn(self, perturbations: Tensor) -> None:
        assert isinstance(self.covariance, RunningCovariance)
        # A loss that is not finite is for the training loop to report, with epoch and step.
        if bool(perturbations.any() & perturbations.isfinite().all()):
            self.covariance.update(perturbations)

    def _norm(self, gradient: Tensor) -> CovarianceNorm:
        covariance, mean = self.covariance, self.mean
        if isinstance(covariance, RunningCovariance):
            if covariance.updates == 0 and self.source is not None:
                channels, height, width = gradient.shape[1:]
                return CovarianceNorm(IdentityCovariance((channels, height, width)))
            mean = covariance.mean if isinstance(mean, str) else mean
        assert not isinstance(mean, str)
        if mean is not None and mean.shape != gradient.shape[1:]:
            raise ShapeError(
                f"expected a mean of shape {tuple(gradient.shape[1:])}, got {tuple(mean.shape)}"
            )
        return CovarianceNorm(covariance, mean)


def strength_from_lambda(paper_lambda: float) -> float:
    """Return the strength that equals the paper's lambda: half of it."""
    return paper_lambda / 2


class _NormOfCall:
    """The norm of one batch, whose gradient the covariance may learn from before it is measured."""

    def __init__(self, penalty: StructuredPenalty) -> None:
        self._penalty = penalty
        self._norm: CovarianceNorm | None = None

    def squared(self, gradient: Tensor) -> Tensor:
        return self._learned(gradient).squared(gradient)

    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return self._learned(gradient).steepest(gradient)

    def _learned(self, gradient: Tensor) -> CovarianceNorm:
        if self._norm is None:
            self._penalty._learn_from_gradient(gradient.detach())
            self._norm = self._penalty._norm(gradient)
        return self._norm
