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

    On an accelerator, where reading a number waits for all work before it, only every hundredth
    backward pass of a model looks, at all losses since the last look.

    Raises:
        NonFiniteLossError: from within ``backward()``.
    """
    if not result.loss.requires_grad:
        return
    values = torch.stack((result.data_loss, result.penalty)).detach()

    def look(_: Tensor) -> None:
        if values.is_cuda and torch.cuda.is_current_stream_capturing():
            return  # a replay would not look
        seen = _Unseen.of(model).take(values) if reading_waits(values) else values
        if seen is not None and not seen.isfinite().all():
            data_loss, penalty = seen.tolist()
            raise NonFiniteLossError(
                f"expected a finite loss, got a data loss of {data_loss:g} and a penalty of "
                f"{penalty:g}; lower the penalty's strength or ramp it in (suggest_strength "
                "proposes both), lower the learning rate, or clip the gradient",
                data_loss=data_loss,
                penalty=penalty,
            )

    result.loss.register_hook(look)  # type: ignore[no-untyped-call] # torch leaves it untyped


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
