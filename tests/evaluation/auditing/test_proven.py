"""What is proven in an audit: below the worst case, and stronger than any suspicion."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from made_up_audit import made_up_audit
from steadygrad.evaluation.auditing import AuditResult, audit, read_audit
from steadygrad.evaluation.masking import Verdict
from steadygrad.reports.audit.page import render_audit_page

Data = tuple[Tensor, Tensor]


class Dead(nn.Module):
    """Robust by far, and without a gradient on half of the images: its units are dead there."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(), nn.Linear(16, 1), nn.ReLU(), nn.Linear(1, 2)
        ).requires_grad_(False)
        self.net[1].weight.fill_(1.0)
        self.net[1].bias.fill_(-8.0)
        self.net[3].weight.copy_(torch.tensor([[-1.0], [1.0]]))
        self.net[3].bias.copy_(torch.tensor([1.0, -1.0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


@pytest.fixture(scope="module")
def proven(tmp_path_factory: pytest.TempPathFactory) -> tuple[AuditResult, Path]:
    draws = torch.Generator().manual_seed(0)
    dark, bright = (low + 0.2 * torch.rand(8, 1, 4, 4, generator=draws) for low in (0.1, 0.75))
    images = torch.cat((dark, bright))
    labels = torch.arange(16) // 8
    folder = tmp_path_factory.mktemp("proven")
    result = audit(
        Dead(), images, labels, eps=0.05, budget=None, attacks=["pgd:steps=5"], out=folder
    )
    return result, folder


def test_a_proof_silences_the_suspicion_of_dead_units(proven: tuple[AuditResult, Path]) -> None:
    result, _ = proven
    assert result.verdict.level == "no sign of masking"
    assert result.verdict.summary.startswith("Proven:")
    assert result.lower_bound is not None and result.is_proven and result.is_established
    assert result.lower_bound.correct == result.worst_case.correct == 16


def test_the_bound_is_written_read_and_shown(proven: tuple[AuditResult, Path]) -> None:
    result, folder = proven
    again = read_audit(folder)
    assert again.certified is not None and result.certified is not None
    assert torch.equal(again.certified, result.certified)
    assert again.to_json()["lower_bound"]["correct"] == 16
    page = render_audit_page(again, title=None, created=datetime(2026, 1, 2, tzinfo=UTC))
    assert "Proven, at least" in page and "it is proven" in page


def test_the_worst_case_is_never_below_the_bound(trained: nn.Module, digits: Data) -> None:
    images, labels = digits[0][:40], digits[1][:40]
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    settings = {"budget": None, "attacks": ["pgd:steps=20,loss=margin"], "diagnostics": False}
    result = audit(model.eval(), images, labels, eps=0.03, **settings)
    bound = result.lower_bound
    assert bound is not None
    assert 0 < bound.correct <= result.worst_case.correct
    assert audit(trained, images[:8], labels[:8], eps=0.03, **settings).lower_bound is None


def test_a_partial_proof_leaves_the_verdict() -> None:
    masked = Verdict(level="masked", summary="Masked.", causes=(), reasons=("staircase",))
    few = torch.arange(200) >= 190
    result = made_up_audit(verdict=masked, certified=few)
    assert not result.is_proven and not result.is_established
