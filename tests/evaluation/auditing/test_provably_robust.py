"""A network trained by interval bounds: its proof stands beside the worst case, unaccused."""

from datetime import UTC, datetime

import pytest
import torch
from honest_models import bound_loss, network, trained
from torch import Tensor, nn

from steadygrad.evaluation.auditing import AuditResult, audit
from steadygrad.evaluation.certificate.bounds import Region, interval_bounds
from steadygrad.evaluation.certificate.chain import chain_of
from steadygrad.reports.audit.page import render_audit_page

Data = tuple[Tensor, Tensor]
EPS = 0.05


@pytest.fixture(scope="module")
def robust(digits: Data) -> nn.Sequential:
    with torch.random.fork_rng():
        model = network(8, seed=0, width=8)
        images, labels = (each[:1000] for each in digits)
        return trained(model, images, labels, bound_loss, eps=EPS, epochs=24)


@pytest.fixture(scope="module")
def audited(robust: nn.Sequential, held_out: Data) -> AuditResult:
    data = held_out[0][:48], held_out[1][:48]
    attacks = ["pgd:steps=20,loss=margin,restarts=2", "nes:queries=400,loss=margin,stop_early=true"]
    return audit(robust, *data, eps=EPS, budget=None, attacks=attacks)


def test_it_is_not_called_masked_and_its_proof_is_near_the_worst_case(
    audited: AuditResult,
) -> None:
    bound, worst = audited.lower_bound, audited.worst_case
    assert bound is not None
    assert 0.5 < bound.accuracy <= worst.accuracy <= audited.clean.accuracy
    assert worst.accuracy - bound.accuracy < 0.15
    assert audited.verdict.level == "no sign of masking", audited.verdict.summary
    assert f"at least {100 * bound.accuracy:.1f} % stay" in audited.verdict.summary
    assert f"{100 * worst.accuracy:.1f} % of 48 images" in audited.verdict.summary


def test_the_proof_is_printed_beside_the_worst_case(audited: AuditResult) -> None:
    page = render_audit_page(audited, title=None, created=datetime(2026, 1, 2, tzinfo=UTC))
    assert "Proven, at least" in page


def test_training_minds_the_very_bounds_that_the_proof_rests_on(
    robust: nn.Sequential, held_out: Data
) -> None:
    """The loss at full radius is half the cross-entropy of the worst logits, half the plain one."""
    images, labels = held_out[0][:6], held_out[1][:6]
    chain = chain_of(robust, images)
    assert chain is not None
    lower, upper = interval_bounds(chain, Region.around(images, EPS, "linf"))[-1]
    worst = upper.clone()
    worst[torch.arange(6), labels] = lower[torch.arange(6), labels]
    expected = (
        nn.functional.cross_entropy(worst, labels)
        + nn.functional.cross_entropy(chain(images), labels)
    ) / 2
    with torch.no_grad():
        found = bound_loss(robust, images, labels, EPS, 1.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-4)
