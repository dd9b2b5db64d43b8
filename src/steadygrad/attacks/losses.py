"""What a gradient attack can raise: cross-entropy, margin and DLR, each away or towards a class."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from steadygrad._typing import Labels, Logits
from steadygrad.errors import ModelError, UnknownNameError

__all__ = ["LOSSES", "AttackLoss", "Loss", "check_classes", "check_loss"]

Loss: TypeAlias = Literal["cross-entropy", "margin", "dlr"]


@dataclass(frozen=True)
class AttackLoss:
    """One loss as two functions of the logits ``z``, one value for each example.

    away: of (logits, labels y), the larger the further from class y.
    towards: of (logits, labels y, targets t), the larger the nearer to class t.
    fewest_away, fewest_towards: classes that each needs.
    """

    away: Callable[[Logits, Labels], Tensor]
    towards: Callable[[Logits, Labels, Labels], Tensor]
    fewest_away: int
    fewest_towards: int


def check_loss(name: str) -> None:
    """Refuse a loss that is none of ``LOSSES``.

    Raises: UnknownNameError, listing the names.
    """
    if name not in LOSSES:
        raise UnknownNameError(f"expected loss one of {', '.join(LOSSES)}, got {name!r}")


def check_classes(name: str, classes: int, *, is_targeted: bool) -> None:
    """Refuse a loss that a model of so few classes does not have.

    Raises: ModelError.
    """
    loss = LOSSES[name]
    fewest = loss.fewest_towards if is_targeted else loss.fewest_away
    if classes < fewest:
        kind = "targeted " if is_targeted else ""
        raise ModelError(
            f"expected a model of at least {fewest} classes for the {kind}{name} loss, "
            f"got {classes}"
        )


def _cross_entropy(logits: Logits, labels: Labels) -> Tensor:
    return cross_entropy(logits, labels, reduction="none")


def _cross_entropy_towards(logits: Logits, labels: Labels, targets: Labels) -> Tensor:  # noqa: ARG001 - the target alone counts
    return -cross_entropy(logits, targets, reduction="none")


def _margin(logits: Logits, labels: Labels) -> Tensor:
    """``max_{k != y} z_k - z_y``: positive where the prediction is not y.

    Source: Carlini & Wagner, S&P 2017 (arXiv:1608.04644), f_6 with the signs of an attack that
    leaves y, and without its bound at 0.
    """
    return _largest_other(logits, labels) - _of_class(logits, labels)


def _margin_towards(logits: Logits, labels: Labels, targets: Labels) -> Tensor:  # noqa: ARG001 - the target alone counts
    """``z_t - max_{k != t} z_k``: positive where the prediction is t."""
    return -_margin(logits, targets)


def _dlr(logits: Logits, labels: Labels) -> Tensor:
    """``(max_{k != y} z_k - z_y) / (z_(1) - z_(3))``, with ``z_(i)`` the i-th largest logit.

    Source: Croce & Hein, ICML 2020 (arXiv:2003.01690), Eq. (6): shift and scale of the logits
    cancel, so that no saturated softmax hides the gradient.
    """
    ranked = logits.topk(3, dim=1).values
    return _ratio(_margin(logits, labels), ranked[:, 0] - ranked[:, 2])


def _dlr_towards(logits: Logits, labels: Labels, targets: Labels) -> Tensor:
    """``(z_t - z_y) / (z_(1) - (z_(3) + z_(4)) / 2)``.

    Source: Croce & Hein, ICML 2020 (arXiv:2003.01690), Eq. (7).
    """
    ranked = logits.topk(4, dim=1).values
    gain = _of_class(logits, targets) - _of_class(logits, labels)
    return _ratio(gain, ranked[:, 0] - (ranked[:, 2] + ranked[:, 3]) / 2)


def _ratio(gain: Tensor, spread: Tensor) -> Tensor:
    # Where the largest logits are equal, the gain alone remains, up to a constant factor: never a
    # division by zero. The square root of the smallest number leaves room for its square.
    return gain / spread.clamp_min(torch.finfo(spread.dtype).tiny ** 0.5)


def _of_class(logits: Logits, classes: Labels) -> Tensor:
    return logits.gather(1, classes.unsqueeze(1)).squeeze(1)


def _largest_other(logits: Logits, labels: Labels) -> Tensor:
    return logits.scatter(1, labels.unsqueeze(1), -torch.inf).max(dim=1).values


LOSSES: Mapping[str, AttackLoss] = {
    "cross-entropy": AttackLoss(_cross_entropy, _cross_entropy_towards, 1, 1),
    "margin": AttackLoss(_margin, _margin_towards, 2, 2),
    "dlr": AttackLoss(_dlr, _dlr_towards, 3, 4),
}
