"""What is said of a penalised loss that no training survives: too large a penalty, no number."""

import warnings
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from steadygrad._typing import Classifier
from steadygrad.checks import first_time, reading_waits
from steadygrad.errors import NonFiniteLossError
from steadygrad.penalties.part import PenalizedLoss

__all__ = ["refuse_when_not_finite", "warn_of_size"]

MANY = 100.0
"""How many times the data loss a penalty may be on the first batch before a warning."""

LOOK_EVERY = 100
"""After how many backward passes on an accelerator the losses are looked at."""


def warn_of_size(model: Classifier, result: PenalizedLoss) -> None:
    """Warn, on a model's first batch, of a penalty that is many times the data loss."""
    if not first_time(model, "size of the penalty"):
        return
    data_loss, penalty = result.data_loss.item(), result.penalty.item()
    times = penalty / max(data_loss, 1e-3)
    if times > MANY:
        warnings.warn(
            f"the penalty of the first batch is {penalty:.4g}, {times:.0f} times its "
            f"data loss of {data_loss:.4g}: the penalty will dominate the training; "
            "steadygrad.penalties.suggest_strength proposes a strength and a ramp",
            stacklevel=4,
        )


def refuse_when_not_finite(model: Classifier, result: PenalizedLoss) -> None:
    """Let ``backward()`` refuse a loss that is not finite, before it changes any gradient.

    Also that of a sum of the two terms by the caller, such as a ramped loss. On an accelerator,
    where reading a number waits for all work before it, only every hundredth backward pass of a
    model looks, at all losses since the last look.

    Raises:
        NonFiniteLossError: from within ``backward()``.
    """
    if not result.loss.requires_grad:
        return
    look = _Look(model, result)
    if not result.penalty.requires_grad:
        result.data_loss.register_hook(look.at_both)  # type: ignore[no-untyped-call] # torch's
        return
    # A backward pass comes first to what was computed last: the penalty.
    result.penalty.register_hook(look.at_both)  # type: ignore[no-untyped-call] # torch's
    if result.data_loss.requires_grad:
        result.data_loss.register_hook(look.at_data_loss)  # type: ignore[no-untyped-call] # torch's


class _Look:
    """The look at a batch's losses, when a backward pass comes to them; one for both of them."""

    def __init__(self, model: Classifier, result: PenalizedLoss) -> None:
        self._model = model
        self._data_loss, self._penalty = result.data_loss.detach(), result.penalty.detach()
        self._has_looked = False

    def at_both(self, _: Tensor) -> None:
        self._look(self._penalty)
        self._has_looked = True

    def at_data_loss(self, _: Tensor) -> None:
        if not self._has_looked:  # the penalty takes no part in this pass
            self._look(torch.zeros_like(self._penalty))
        self._has_looked = False

    def _look(self, penalty: Tensor) -> None:
        values = torch.stack((self._data_loss, penalty))
        if values.is_cuda and torch.cuda.is_current_stream_capturing():
            return  # a replay would not look
        seen = _Unseen.of(self._model).take(values) if reading_waits(values) else values
        if seen is None or seen.isfinite().all():
            return
        found, of_penalty = seen.tolist()
        raise NonFiniteLossError(
            f"expected a finite loss, got a data loss of {found:g} and a penalty of "
            f"{of_penalty:g}; lower the penalty's strength or ramp it in (suggest_strength "
            "proposes both), lower the learning rate, or clip the gradient",
            data_loss=found,
            penalty=of_penalty,
        )


class _Unseen:
    """The losses of a model since the last look, as one sum that is not finite if one is not."""

    _all: ClassVar[WeakKeyDictionary[Any, "_Unseen"]] = WeakKeyDictionary()

    def __init__(self) -> None:
        self._sum: Tensor | None = None
        self._count = 0

    @classmethod
    def of(cls, model: Any) -> "_Unseen":
        return cls._all.setdefault(getattr(model, "__self__", model), cls())

    def take(self, values: Tensor) -> Tensor | None:
        """Add the values; return their mean if it is time to look, without any look else."""
        self._sum = values if self._sum is None else self._sum + values
        self._count += 1
        if self._count < LOOK_EVERY:
            return None
        mean, self._sum, self._count = self._sum / self._count, None, 0
        return mean
