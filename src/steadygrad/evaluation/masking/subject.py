"""What the diagnostics look at: a model, its examples, and what attacks have done to them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.checks import check_eps, check_images, check_labels
from steadygrad.errors import HyperparameterError, LabelError
from steadygrad.evaluation.accuracy import model_device

if TYPE_CHECKING:  # the audit imports this room
    from steadygrad.evaluation.audit.outcome import AttackOutcome

__all__ = ["Subject"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Subject:
    """A model under diagnosis; the tensors may lie anywhere, batches are sent to ``device``.

    images (n, channels, height, width) in [0, 1]; labels int64 (n,); clean_correct bool (n,):
        which examples are right without an attack. Diagnostics look at those alone.
    eps: radius that the model's robustness is claimed for, in (0, 1] for "linf" and above 0 for
        "l2"; norm: in which it is measured.
    outcomes: what a battery has done at that radius. Diagnostics that compare attacks use them
        where they can, and run small attacks of their own where there are none.
    examples: how many of the right examples a diagnostic takes for work of its own, at least 1.
    progress: told ``(name, done, total)`` when a diagnostic begins, and once at the end.
    Raises: ImageError, LabelError, HyperparameterError.
    """

    model: Classifier
    images: Images = field(repr=False)
    labels: Labels = field(repr=False)
    clean_correct: Tensor = field(repr=False)
    eps: float
    norm: Literal["linf", "l2"] = "linf"
    outcomes: "tuple[AttackOutcome, ...]" = ()
    seed: int = 0
    batch_size: int = 256
    device: torch.device | str | None = None
    examples: int = 64
    progress: Callable[[str, int, int], None] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        check_images(self.images)
        check_labels(self.labels, len(self.images))
        if self.clean_correct.shape != self.labels.shape or self.clean_correct.dtype != torch.bool:
            raise LabelError(
                f"expected clean_correct as bool of shape {tuple(self.labels.shape)}, "
                f"got {self.clean_correct.dtype} of shape {tuple(self.clean_correct.shape)}"
            )
        if self.norm not in ("linf", "l2"):
            raise HyperparameterError(f"expected norm linf or l2, got {self.norm!r}")
        if self.norm == "linf":
            check_eps(self.eps)
        if not self.eps > 0:
            raise HyperparameterError(f"expected eps > 0 to diagnose at, got {self.eps}")
        for name in ("batch_size", "examples"):
            if getattr(self, name) < 1:
                raise HyperparameterError(f"expected {name} >= 1, got {getattr(self, name)}")

    @property
    def place(self) -> torch.device:
        """Where the work is done: ``device``, or where the model lies."""
        if self.device is None:
            return model_device(self.model, self.images)
        return torch.device(self.device)
