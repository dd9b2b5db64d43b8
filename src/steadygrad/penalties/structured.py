"""Structured gradient regularization (SGR): the input gradient measured in a noise covariance."""

from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NoReturn

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.batch_share import current_share
from steadygrad.checks import check_images
from steadygrad.covariance import (
    COVARIANCES,
    Covariance,
    CovariancePart,
    DataFacts,
    IdentityCovariance,
    RunningCovariance,
    Source,
    Stationary,
    built,
)
from steadygrad.errors import CheckpointError, HyperparameterError, ShapeError
from steadygrad.penalties.backends import DoubleBackprop
from steadygrad.penalties.norms import CovarianceNorm
from steadygrad.penalties.part import (
    BACKENDS,
    Backend,
    ExampleLoss,
    PenalizedLoss,
    names_misspelt_settings,
    penalty,
)
from steadygrad.penalties.penalized import check_fraction, check_strength, penalized_loss
from steadygrad.penalties.perturbation_source import (
    PerturbingAttack,
    SourceName,
    attack_perturbations,
    resolve_source,
)

__all__ = ["CovarianceNorm", "Structured", "StructuredPenalty", "strength_from_lambda"]


@penalty("sgr", title="SGR")
@dataclass(frozen=True, kw_only=True)
class Structured:
    """Add ``strength * mean_i g_i^T Sigma g_i`` to the mean loss of a batch.

    Settings alone: ``prepared(facts)`` makes the ``StructuredPenalty`` that is called, since what
    ``Sigma`` is depends on the images' size, and a running one learns.

    Args:
        strength: at least 0; *half* the paper's lambda (``strength_from_lambda``).
        covariance: a part, its text such as "exponential:8", or a ``Covariance``. What a running
            one learns from, and how often, are settings of its own (``stationary:source=pgd``).
        backend: as in ``SquaredNormPenalty``.
        fraction: as in ``SquaredNormPenalty``; a covariance that learns from gradients sees those
            of the same images.

    Raises:
        HyperparameterError: a number is outside its range.
        UnknownNameError: there is no such covariance or backend.

    Source: Roth et al., arXiv:1805.08736, Eqs. (11) and (12) and Algorithm 1.
    """

    strength: float
    covariance: Annotated[CovariancePart | Covariance | str, COVARIANCES] = Stationary()
    backend: Annotated[Backend | str, BACKENDS] = DoubleBackprop()
    fraction: float = 1.0

    def __post_init__(self) -> None:
        check_strength(self.strength)
        check_fraction(self.fraction)
        object.__setattr__(self, "covariance", COVARIANCES.of(self.covariance))
        object.__setattr__(self, "backend", BACKENDS.of(self.backend))

    def __call__(self, *_: Any, **__: Any) -> NoReturn:
        """Refuse to work before the images' size is known."""
        raise HyperparameterError(
            "expected a structured penalty that is prepared for its images, got settings alone: "
            "call steadygrad.covariance.prepared(penalty, DataFacts((channels, height, width))) "
            "once before the loop"
        )

    def prepared(self, facts: DataFacts) -> "StructuredPenalty":
        """Return the penalty for these images; a running covariance has seen nothing yet.

        Raises:
            ShapeError: a covariance file is of another image size.
            CheckpointError: it is missing or damaged.
            HyperparameterError, CovarianceError: the training images are needed and missing, or
                all equal.
        """
        covariance = built(self.covariance, facts)
        learning: dict[str, Any] = {}
        if isinstance(covariance, RunningCovariance):
            # Each running part has these; a covariance object of the user's own does not.
            part: Any = self.covariance
            learning = {
                "source": getattr(part, "source", None),
                "every": getattr(part, "every", 1),
                "mean": "running" if getattr(part, "mean", False) is True else None,
            }
        return StructuredPenalty(
            strength=self.strength,
            covariance=covariance,
            backend=self.backend,
            fraction=self.fraction,
            **learning,
        )


@names_misspelt_settings
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
        cost no extra pass; "pgd" and "deepfool" run ``PGDSource()`` and ``DeepFoolSource()`` with
        the model in eval mode; an attack object, such as one of these two at another eps, runs as
        it is. None leaves the updates to you.
    every: update the covariance every N batches, at least 1.
    mean: "running" adds the shift of uncentred perturbations, ``2 * strength * mean_i g_i . mu``
        (Eq. 12), with the running covariance's mean; a tensor (channels, height, width), in the
        units of the covariance, takes its place. The penalty may then be negative.
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
    source: SourceName | Source | PerturbingAttack | None = None
    every: int = 1
    mean: Tensor | Literal["running"] | None = None
    backend: Backend | str = DoubleBackprop()
    fraction: float = 1.0
    calls: int = field(default=0, init=False, repr=False)
    """How many batches there were: every ``every``-th is learned from."""

    def __post_init__(self) -> None:
        check_strength(self.strength)
        check_fraction(self.fraction)
        if self.every < 1:
            raise HyperparameterError(f"expected every >= 1, got {self.every}")
        if not hasattr(self.covariance, "apply"):
            raise HyperparameterError(
                f"expected a covariance that is built for images, got {self.covariance!r}; give it "
                "to Structured(strength=..., covariance=...).prepared(DataFacts(image_shape))"
            )
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
        self.backend = BACKENDS.of(self.backend)

    def __call__(
        self,
        model: Classifier,
        images: Images,
        labels: Labels,
        *,
        loss: ExampleLoss | None = None,
        generator: torch.Generator | None = None,  # noqa: ARG002 - nothing is drawn
    ) -> PenalizedLoss:
        """Return the loss to call ``backward()`` on, with its terms and the logits.

        images: (batch, channels, height, width) in [0, 1]; labels: int64 (batch,).
        Raises: ImageError, LabelError or ModelError, if one of them does not fit; ShapeError, if
            the covariance is of another image size; CovarianceError, for a running covariance
            without source that was never updated.
        """
        learns = self.strength > 0 and torch.is_grad_enabled()
        if learns:
            self._learn_from_attack(model, images, labels, loss)
        result = penalized_loss(
            model,
            images,
            labels,
            factor=self.strength,
            norm=_NormOfCall(self, learns),
            power=2,
            backend=BACKENDS.of(self.backend),
            fraction=self.fraction,
            loss=loss,
        )
        self.calls += learns
        return result

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

    def _learn_from_attack(
        self, model: Classifier, images: Images, labels: Labels, loss: ExampleLoss | None
    ) -> None:
        attack = None if self.source is None else resolve_source(self.source).attack()
        if attack is not None and self._is_due:
            check_images(images, wait=False)
            self._learn(attack_perturbations(attack, model, images.detach(), labels, loss))

    def _learn_from_gradient(self, gradient: Tensor) -> None:
        if self.source is None or not self._is_due:
            return
        of_gradient = getattr(resolve_source(self.source), "of_gradient", None)
        if of_gradient is not None:
            self._learn(of_gradient(gradient))

    def _learn(self, perturbations: Tensor) -> None:
        assert isinstance(self.covariance, RunningCovariance)
        share = current_share()
        if share is not None:  # an image that only keeps the others company is not learned from
            perturbations = perturbations[: share.size]
        # A loss that is not finite is for the training loop to report, with epoch and step.
        self.covariance.offer(perturbations)

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

    ball = CovarianceNorm.ball

    def __init__(self, penalty: StructuredPenalty, learns: bool) -> None:
        self._penalty, self._learns = penalty, learns
        self._norm: CovarianceNorm | None = None

    def squared(self, gradient: Tensor) -> Tensor:
        return self._learned(gradient).squared(gradient)

    @property
    def mean(self) -> Tensor | None:
        return None if self._norm is None else self._norm.mean

    def value(self, gradient: Tensor) -> Tensor:
        return self._learned(gradient).value(gradient)

    def steepest(self, gradient: Tensor) -> tuple[Tensor, Tensor]:
        return self._learned(gradient).steepest(gradient)

    def _learned(self, gradient: Tensor) -> CovarianceNorm:
        if self._norm is None:
            if self._learns:
                self._penalty._learn_from_gradient(gradient.detach())
            self._norm = self._penalty._norm(gradient)
        return self._norm
