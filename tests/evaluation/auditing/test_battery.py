"""The batteries: what each budget holds, and that it says what it lacks."""

import importlib.util
from typing import Any

import pytest
from torch import Tensor, nn

from steadygrad.attacks import APGD, NES, PGD
from steadygrad.attacks.adapters import AutoAttack
from steadygrad.errors import HyperparameterError, UnknownNameError
from steadygrad.evaluation.auditing import BUDGETS, BatteryEntry, audit, build_battery
from steadygrad.evaluation.auditing.battery import Battery, beyond
from steadygrad.evaluation.auditing.entry import own_entries

needs_autoattack = pytest.mark.skipif(
    importlib.util.find_spec("pyautoattack") is None, reason="pyautoattack is not installed"
)


def battery(budget: str, **options: Any) -> Battery:
    settings: dict[str, Any] = {"eps": 0.1, "norm": "linf", "classes": 10, "sources": {}} | options
    return build_battery(budget, **settings)


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("budget", BUDGETS)
def test_every_attack_is_at_the_radius_in_the_norm_under_a_name_of_its_own(
    budget: str, norm: str
) -> None:
    entries = battery(budget, norm=norm).entries
    assert len({entry.name for entry in entries}) == len(entries) >= 3
    for entry in entries:
        assert entry.attack.eps == 0.1
        assert getattr(entry.attack, "norm", "linf") == norm
        assert entry.scope == ("survivors" if entry.family == "query" else entry.scope)


def test_larger_budgets_hold_more_and_smaller_ones_say_so() -> None:
    quick, full = battery("quick"), battery("full")
    told = beyond("quick", (), eps=0.1, norm="linf")
    named = {sentence.partition(":")[0] for sentence in told}
    assert {entry.name for entry in full.entries} <= named | {e.name for e in quick.entries}
    assert beyond("full", (), eps=0.1, norm="linf") == ()
    assert any(sentence.startswith("transfer:") for sentence in quick.untested)


def test_what_runs_as_an_attack_of_ones_own_is_not_called_left_out() -> None:
    own = BatteryEntry("own", None, APGD(eps=0.1))
    told = beyond("quick", [own], eps=0.1, norm="linf")
    assert not any(sentence.startswith("apgd-ce:") for sentence in told)
    assert "apgd-margin: part of the standard budget" in told


@needs_autoattack
def test_what_runs_with_other_settings_in_a_larger_budget_is_told_so() -> None:
    told = beyond("standard", (), eps=0.1, norm="linf")
    assert "square: with other settings in the full budget" in told
    assert "apgd-t: with other settings in the full budget" in told
    assert "fab-t: part of the full budget" in told


@needs_autoattack
def test_the_full_budget_runs_autoattack_whole() -> None:
    (whole,) = [entry for entry in battery("full").entries if entry.family == "ensemble"]
    assert whole.attack == AutoAttack(eps=0.1) and whole.scope == "all"
    (nes,) = [e for e in battery("full").entries if isinstance(e.attack, NES)]
    assert nes.attack.queries == 4000 and nes.limit is None


def test_a_library_that_is_missing_is_named_with_its_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    lacking = battery("full")
    assert all(not isinstance(entry.attack, AutoAttack) for entry in lacking.entries)
    (sentence,) = [text for text in lacking.untested if text.startswith("square:")]
    assert "pip install" in sentence


def test_apgd_needs_no_library_of_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    named = {entry.name: entry.attack for entry in battery("standard").entries}
    assert named["apgd-ce"] == APGD(eps=0.1)
    assert named["apgd-t"].autoattack_member == "apgd-t"
    assert "square" not in named


def test_few_and_many_classes() -> None:
    of_two = battery("standard", classes=2)
    assert "apgd-t: it needs 4 classes, the model has 2" in of_two.untested
    assert {"apgd-ce", "apgd-margin"} <= {entry.name for entry in of_two.entries}
    of_many = battery("full", classes=1000)
    assert "pgd-50-targets" not in {entry.name for entry in of_many.entries}
    assert any(text.startswith("pgd-50-targets: 1000 classes") for text in of_many.untested)


@needs_autoattack
def test_the_quick_battery_runs(trained: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    images, labels = held_out[0][:30], held_out[1][:30]
    result = audit(trained, images, labels, eps=0.1, budget="quick", diagnostics=False)
    assert [outcome.name for outcome in result.outcomes] == [
        *("noise", "fgsm", "pgd-8", "pgd-20-margin", "nes", "square")
    ]
    nes, square = result.outcomes[-2:]
    assert square.family == "query" and int(square.attacked.sum()) <= 20
    assert nes.family == "query" and nes.gradients == 0
    assert nes.queries <= 1000 * int(nes.attacked.sum())


@needs_autoattack
def test_autoattack_of_ones_own_is_an_ensemble_and_one_of_its_members_is_not() -> None:
    whole, square = own_entries(
        [AutoAttack(eps=0.1), AutoAttack(eps=0.1, attacks=("square",))], (), 0.2, "linf"
    )
    assert whole.family == "ensemble" and whole.attack.eps == 0.2
    assert square.family is None


def test_refusals() -> None:
    with pytest.raises(UnknownNameError, match="quick, standard, full, got 'endless'"):
        battery("endless")
    with pytest.raises(HyperparameterError, match="limit of at least 1 image for x, got 0"):
        BatteryEntry("x", None, PGD(eps=0.1), limit=0)
    with pytest.raises(HyperparameterError, match="expected a name"):
        BatteryEntry("", None, PGD(eps=0.1))
