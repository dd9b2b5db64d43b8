"""Adapted attacks in an audit: asked for by diagnostics, held to a control, told on the page."""

import dataclasses
from datetime import UTC, datetime

import pytest
import torch
from dishonest_models import NoGradient, Quantised
from torch import Tensor, nn

from made_up_audit import made_up_audit
from steadygrad.evaluation.auditing import AuditResult, audit, read_audit, write_audit
from steadygrad.evaluation.auditing import run as run_module
from steadygrad.evaluation.auditing.adapted import AdaptedAttack, AdaptedRound
from steadygrad.evaluation.auditing.gate import Gate
from steadygrad.evaluation.masking import Verdict
from steadygrad.evaluation.masking.diagnostic import traits_of
from steadygrad.reports.audit.page import render_audit_page

Data = tuple[Tensor, Tensor]
MASKED = Verdict(
    level="masked", summary="Masked.", causes=("input quantisation",), reasons=("staircase",)
)


def fit(*asked_by: str, broken: int = 9) -> AdaptedAttack:
    return AdaptedAttack("straight-through", asked_by, "known", 10, broken, "through round")


@pytest.fixture(scope="module")
def quantised(trained: nn.Module, held_out: Data) -> AuditResult:
    data = (held_out[0][:16], held_out[1][:16])
    return audit(
        Quantised(trained), *data, eps=0.2, budget=None, attacks=["pgd:steps=5,loss=margin"]
    )


def test_a_quantiser_is_broken_by_the_attack_that_its_diagnosis_asks_for(
    quantised: AuditResult,
) -> None:
    result = quantised
    assert result.verdict.level == "masked"
    names = [outcome.name for outcome in result.outcomes]
    assert names[0] == "pgd-5" and "straight-through" in names
    adapted = result.adapted
    assert adapted.before == result.clean.correct  # PGD meets no gradient
    assert adapted.after == result.worst_case.correct < adapted.before / 2
    first = adapted.attacks[0]
    assert first.name == "straight-through" and first.is_fit
    assert "round" in first.note and "staircase" in first.asked_by
    assert [
        names.index(name) for name in ("straight-through", "wide-differences", "surrogate")
    ] == (sorted(names.index(name) for name in traits_of("staircase").asks_for))
    assert all("straight-through" in traits_of(name).asks_for for name in first.asked_by)
    assert result.is_established
    assert "Attacks adapted to that" in result.verdict.summary


@dataclasses.dataclass
class SpentAt:
    """A limit of time that is met at one of the looks that adapted attacks take at it."""

    look: int
    looks: int = 0

    def is_spent(self, share: float = 1.0) -> bool:
        self.looks += share == 1.0
        return share == 1.0 and self.looks >= self.look


def test_no_time_to_confirm_a_masked_number_never_establishes_it(
    trained: nn.Module,
    held_out: Data,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
) -> None:
    data = (held_out[0][:12], held_out[1][:12])
    whole, out = SpentAt(1000), str(tmp_path)

    def audited(limit: SpentAt) -> AuditResult:
        monkeypatch.setattr(run_module, "TimeBudget", lambda _: limit)
        return audit(
            *(Quantised(trained), *data),
            eps=0.1,
            budget=None,
            attacks=["pgd:steps=5"],
            batch_size=8,
            minutes=1,
            out=out,
        )

    assert audited(whole).is_established
    for look in (3, whole.looks - 1, whole.looks):
        cut = audited(SpentAt(look))
        assert cut.worst_case.correct > 0
        assert cut.is_established is (not cut.late)
        if cut.adapted.after < cut.adapted.before:
            assert ("No second, longer run confirmed that" in cut.verdict.summary) is bool(cut.late)


def test_the_round_is_written_read_and_shown(quantised: AuditResult, tmp_path: object) -> None:
    folder = str(tmp_path)
    write_audit(quantised, folder)
    assert read_audit(folder).adapted == quantised.adapted
    page = render_audit_page(quantised, title=None, created=datetime(2026, 1, 2, tzinfo=UTC))
    assert "Attacks adapted to that" in page
    assert "Only as an upper bound" in page and "Not established" not in page


@pytest.mark.parametrize(
    ("adapted", "is_established"),
    [
        (AdaptedRound(), False),
        (AdaptedRound((fit("staircase"),), 90, 0, None, 200), True),
        (AdaptedRound((fit("staircase"),), 90, 20, None, 200), False),
        (AdaptedRound((fit("staircase", broken=8),), 90, 20, 0, 200), False),
        (AdaptedRound((fit("zero-gradients"),), 90, 20, 0, 200), False),
        (AdaptedRound((fit("staircase"),), 90, 20, 4, 200), True),
        (AdaptedRound((fit("staircase"),), 90, 20, 5, 200), False),
    ],
)
def test_a_masked_number_stands_only_where_each_reason_was_overcome(
    adapted: AdaptedRound, is_established: bool
) -> None:
    result = made_up_audit(verdict=MASKED, adapted=adapted)
    assert result.is_established is is_established
    failure = Gate(fail_under=0.1).failure(result)
    assert (failure is None) is is_established


def test_nothing_is_asked_of_an_honest_network(trained: nn.Module, held_out: Data) -> None:
    data = (held_out[0][:16], held_out[1][:16])
    result = audit(
        trained, *data, eps=0.05, budget=None, attacks=["pgd:steps=50,loss=margin,restarts=2"]
    )
    assert result.verdict.level != "masked"
    assert result.adapted.attacks == () or result.verdict.level == "doubtful"


def test_what_nothing_can_replace_is_listed(trained: nn.Module, held_out: Data) -> None:
    data = (held_out[0][:12], held_out[1][:12])
    result = audit(NoGradient(trained), *data, eps=0.2, budget=None, attacks=["fgsm"])
    assert any(
        sentence.startswith("straight-through: no operation") for sentence in result.untested
    )
    assert result.worst_case.correct < result.clean.correct / 2


def test_an_unfit_attack_says_so() -> None:
    good, bad = fit("staircase").sentence, fit("staircase", broken=1).sentence
    assert good.endswith("9 of 10 images that are known to be breakable, fit for this model")
    assert bad.endswith("unfit for this model")
    assert dataclasses.replace(fit("a"), met=0, broken=0).is_fit is False
    assert torch.is_grad_enabled()
