"""Audits of a few images by a few attacks, and an attack that does as it is told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD, RandomNoise
from steadygrad.evaluation.auditing import AuditResult, BatteryEntry, audit
from steadygrad.reports.audit.page import render_audit_page

__all__ = ["ATTACKS", "EPS", "Calls", "Data", "Meddling", "meddling", "render", "small_audit"]

Data = tuple[Tensor, Tensor]
Data = tuple[Tensor, Tensor]
EPS = 0.1
ATTACKS = (
    RandomNoise(eps=EPS, samples=3),
    FGSM(eps=EPS),
    PGD(eps=EPS, steps=5),
    PGD(eps=EPS, steps=10, restarts=2, loss="margin"),
)


def small_audit(model: Any, data: Data, **options: Any) -> AuditResult:
    settings = {"budget": None, "attacks": ATTACKS, "diagnostics": False} | options
    return audit(model, *data, eps=settings.pop("eps", EPS), **settings)


class Calls(nn.Module):
    """The model, and how often it has been called with gradients on, which attacks alone do."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.batches = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.batches += images.requires_grad
        return self.model(images)


@dataclass(frozen=True, kw_only=True)
class Meddling:
    """An attack that does one thing to the batch, whatever it is."""

    eps: float
    what: Callable[..., Any]

    def __call__(
        self, model: nn.Module, images: Tensor, labels: Tensor, *, generator: Any = None
    ) -> Any:
        return self.what(model, images, labels)


def render(result: AuditResult) -> str:
    return render_audit_page(result, title=None, created=datetime(2026, 1, 2, tzinfo=UTC))


def meddling(what: Callable[..., Any], **options: Any) -> BatteryEntry:
    return BatteryEntry("meddling", None, Meddling(eps=EPS, what=what), **options)
