"""An audit under a time limit: the promising first, what is left out is named, and incomplete."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD
from steadygrad.evaluation.auditing import AuditResult, audit
from steadygrad.evaluation.auditing import run as run_module
from steadygrad.evaluation.auditing.battery import build_battery
from steadygrad.evaluation.auditing.entry import LAST, BatteryEntry, own_entries
from steadygrad.evaluation.auditing.time_budget import by_promise
from steadygrad.time_budget import TimeBudget
from ticking_clock import TickingClock

Data = tuple[Tensor, Tensor]


def test_the_most_promising_attacks_come_first_and_none_is_lost() -> None:
    battery = build_battery("standard", eps=0.1, norm="linf", classes=10, sources={})
    own = BatteryEntry("mine", None, FGSM(eps=0.1))
    ordered = [entry.name for entry in by_promise([*battery.entries, own])]
    assert ordered[:3] == ["pgd-20-margin", "pgd-8", "mine"]
    assert ordered[-1] == "noise"
    assert all(entry.turn < LAST for entry in battery.entries)
    assert sorted(ordered) == sorted([*(entry.name for entry in battery.entries), "mine"])


def test_all_of_autoattack_and_transfers_come_last_whoever_asked() -> None:
    source = nn.Sequential(nn.Flatten(), nn.Linear(4, 4))
    battery = build_battery(None, eps=0.1, norm="linf", classes=4, sources={"other": source})
    own = own_entries(["autoattack", "fgsm"], battery.entries, 0.1, "linf")
    ordered = by_promise([*battery.entries, *own])
    assert ordered[0].name == "fgsm"
    assert {entry.name for entry in ordered[1:]} == {"transfer-other-mim-10", "autoattack"}


def test_what_no_time_was_left_for_is_named_and_the_rest_counts(
    trained: nn.Module, held_out: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    images, labels = held_out[0][:20], held_out[1][:20]
    monkeypatch.setattr(
        run_module, "TimeBudget", lambda minutes: TimeBudget(minutes, TickingClock())
    )
    settings = {
        "eps": 0.05,
        "budget": None,
        "attacks": [PGD(eps=0.05, steps=5), FGSM(eps=0.05)],
        "batch_size": 8,
        "out": tmp_path,
    }
    result = audit(trained, images, labels, minutes=1 / 20, **settings)  # three seconds
    (first,) = result.outcomes
    assert first.name == "pgd-5"
    assert 0 < int(first.attacked.sum()) < result.clean.correct
    assert any(
        f"{each}: no time was left" == sentence
        for each in ("fgsm",)
        for sentence in result.untested
    )
    assert any(sentence.startswith("pgd-5: no time was left after") for sentence in result.untested)
    assert result.late == ("pgd-5", "fgsm")
    assert all(finding.status == "not tested" and finding.is_late for finding in result.findings)
    assert result.verdict.level == "incomplete"
    assert result.verdict.summary.startswith("Incomplete: 0.05 minutes left no time for")
    # What was cut short is not taken for the whole when there is time again.
    whole = audit(trained, images, labels, diagnostics=False, **settings)
    assert all(int(outcome.attacked.sum()) == whole.clean.correct for outcome in whole.outcomes)
    assert torch.equal(whole.clean_correct, result.clean_correct)


class StandsStill:
    """A clock that stands at one time from the second look on."""

    def __init__(self, seconds: float) -> None:
        self.seconds, self.is_first = seconds, True

    def __call__(self) -> float:
        self.is_first, was_first = False, self.is_first
        return 0.0 if was_first else self.seconds


def test_proofs_that_no_time_is_left_for_count_as_none_and_are_not_kept(
    digits: Data, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Linear(16, 10))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    images, labels = digits[0][:40], digits[1][:40]
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()
    settings = {"eps": 0.03, "budget": None, "attacks": ["pgd:steps=5"], "diagnostics": False}

    def proven_at(seconds: float) -> AuditResult:
        monkeypatch.setattr(
            run_module, "TimeBudget", lambda minutes: TimeBudget(minutes, StandsStill(seconds))
        )
        return audit(model.eval(), images, labels, minutes=1, out=tmp_path, **settings)

    late, early = proven_at(60 * 0.7), proven_at(60 * 0.69)
    for result in (late, early):
        assert result.certified is not None and result.lower_bound is not None
    assert late.uncertified == late.worst_case.correct > 0
    assert late.lower_bound.correct == 0 < early.lower_bound.correct
    assert early.uncertified == 0
    assert any("images count as not proven" in sentence for sentence in late.untested)
    assert late.to_json()["uncertified"] == late.uncertified
    assert proven_at(60 * 0.7).uncertified == 0  # kept, so no time is needed
