"""Diagnostics that compare attacks: of a battery, of another family, of more steps or restarts."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from evaluation.masking.conftest import MakeSample
from evaluation.masking.known_models import Linear, linear, one_pixel, outcome
from steadygrad.evaluation.masking import (
    BlackBoxBeatsWhiteBox,
    Convergence,
    EnsembleGap,
    MoreRestarts,
    MoreSteps,
    OneStepBeatsIterative,
    Subject,
)
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.evaluation.outcome import Family
from steadygrad.evaluation.statistics import wilson_interval


def moat(t: Tensor) -> Tensor:
    """Wrong at the corners of the ball alone; before them the way leads back to the middle."""
    return torch.where(
        t.abs() > 0.0999, -1.0 - t, torch.where(t.abs() < 0.02, 1 - t, 0.9 + t.abs())
    )


def least_of(broken: int, n: int) -> float:
    return wilson_interval(broken, n)[0]


def test_one_step_and_noise_beat_many_steps_across_a_moat(sample_of: MakeSample) -> None:
    sample = one_pixel(sample_of, moat)
    for diagnostic in (OneStepBeatsIterative(), BlackBoxBeatsWhiteBox()):
        finding = diagnostic(sample)
        assert finding.status == "suspicious"
        evidence = finding.evidence
        assert evidence["of_those_met_by_weaker"] == 16
        assert evidence["broken_by_weaker"] == 16
        left = evidence["left_by_stronger"]
        least = max(wilson_interval(16, 32)[0], wilson_interval(16, 16)[0] * left / 32)
        expected = 100 * least * evidence["still_standing"] / 16
        assert finding.measured == pytest.approx(expected)


def test_batteries_are_compared_example_by_example_and_tried_again(sample_of: MakeSample) -> None:
    battery = (
        outcome("noise", "noise", [0, 1, 2, 3]),
        outcome("fgsm", "one-step", [4, 5]),
        outcome("pgd", "white-box", [0, 4]),
    )
    impregnable = linear(sample_of, Linear(offset=50.0), outcomes=battery)
    noise = BlackBoxBeatsWhiteBox()(impregnable)
    # Of the four, PGD broke the first, and nobody can break the others in truth.
    assert noise.evidence["broken_by_weaker"] == noise.evidence["still_standing"] == 3
    # Of 29 that PGD and FGSM left the noise broke 3; of 30 that PGD left, FGSM broke 1.
    assert noise.measured == pytest.approx(100 * least_of(3, 29) * 29 / 32)
    one = OneStepBeatsIterative()(impregnable)
    assert one.measured == pytest.approx(100 * least_of(1, 30) * 30 / 32)
    assert one.status == "passed" and noise.status == "suspicious"
    # Long attacks break all that the noise broke: the battery was weak, the gradients are fine.
    weak = BlackBoxBeatsWhiteBox()(linear(sample_of, outcomes=battery))
    assert weak.evidence["broken_by_weaker"] == 3
    assert weak.measured == 0


def test_what_only_an_ensemble_breaks_is_counted_once(sample_of: MakeSample) -> None:
    battery = (
        outcome("pgd", "white-box", [0, 4]),
        outcome("square", "query", [9]),
        outcome("autoattack", "ensemble", [0, 1, 2, 3, 9]),
    )
    finding = EnsembleGap()(linear(sample_of, outcomes=battery))
    assert finding.measured == pytest.approx(100 * 4 / 32)
    assert finding.status == "suspicious"
    assert "breaks 4 of 32 examples" in finding.meaning
    small = EnsembleGap()(
        linear(sample_of, outcomes=(*battery[:2], outcome("aa", "ensemble", [1])))
    )
    assert small.measured == pytest.approx(100 / 32) and small.status == "passed"
    assert EnsembleGap()(linear(sample_of, outcomes=battery[:2])).status == "not tested"


def test_a_query_attack_on_a_few_examples_speaks_for_the_others(sample_of: MakeSample) -> None:
    square = outcome("square", "query", [0, 1, 2, 3, 4, 5])
    met = torch.zeros(32, dtype=torch.bool)
    met[:8] = True
    battery = (
        outcome("pgd", "white-box", []),
        outcome("noise", "noise", []),
        replace(square, attacked=met),
    )
    finding = BlackBoxBeatsWhiteBox()(linear(sample_of, Linear(offset=50.0), outcomes=battery))
    assert finding.measured == pytest.approx(100 * wilson_interval(6, 8)[0])


def test_an_ensemble_is_no_attack_with_gradients(sample_of: MakeSample) -> None:
    battery = (
        outcome("pgd", "white-box", [0]),
        outcome("square", "query", [1, 2, 3]),
        outcome("autoattack", "ensemble", [0, 1, 2, 3]),
    )
    finding = BlackBoxBeatsWhiteBox()(linear(sample_of, Linear(offset=50.0), outcomes=battery))
    assert finding.measured == pytest.approx(100 * least_of(3, 31) * 31 / 32)


def test_outcomes_of_another_radius_play_no_part(sample_of: MakeSample) -> None:
    battery = (outcome("noise", "noise", [0, 1, 2, 3]), outcome("pgd", "white-box", [0]))
    sample = linear(sample_of, Linear(offset=50.0), outcomes=battery, eps=0.2)
    assert BlackBoxBeatsWhiteBox()(sample).evidence["weaker"] != ["noise"]


def test_longer_attacks_of_the_battery_are_compared(sample_of: MakeSample) -> None:
    battery = (
        outcome("pgd-8", "white-box", [0], steps=8),
        outcome("pgd-8 dlr", "white-box", [5, 6, 7], steps=64, loss="dlr"),
        outcome("pgd-50", "white-box", [0, 1, 2, 3], steps=50),
        outcome("pgd-50 twice", "white-box", [0, 1, 4], steps=50, restarts=2),
    )
    sample = linear(sample_of, outcomes=battery)
    assert MoreSteps()(sample).measured == pytest.approx(100 * 3 / 32)
    assert "PGD(50) takes 9 points" in MoreSteps()(sample).meaning
    assert MoreRestarts()(sample).measured == pytest.approx(100 * 1 / 32)


def met_by(name: str, family: Family, broken: list[int], met: range, **attack: Any) -> Any:
    is_met = torch.zeros(32, dtype=torch.bool)
    is_met[list(met)] = True
    return replace(outcome(name, family, broken, **attack), attacked=is_met)


def test_an_ensemble_is_compared_on_what_a_single_attack_met_too(sample_of: MakeSample) -> None:
    ensemble = outcome("autoattack", "ensemble", list(range(16)))
    spot_check = met_by("pgd", "white-box", [0, 1, 2], range(4))
    finding = EnsembleGap()(linear(sample_of, outcomes=(spot_check, ensemble)))
    assert finding.measured == pytest.approx(100 * 1 / 4)
    assert "breaks 1 of 4 examples" in finding.meaning
    elsewhere = met_by("autoattack", "ensemble", [20], range(20, 24))
    apart = EnsembleGap()(linear(sample_of, outcomes=(spot_check, elsewhere)))
    assert apart.status == "not tested"


def test_an_attack_on_a_few_examples_is_no_longer_or_shorter_one(sample_of: MakeSample) -> None:
    few = met_by("pgd-50", "white-box", [0], range(4), steps=50, restarts=2)
    every = outcome("pgd-8", "white-box", [0, 1, 2, 3], steps=8)
    for battery in ((few, every), (replace(few, attack=few.attack | {"restarts": 1}), every)):
        sample = linear(sample_of, outcomes=battery)
        for diagnostic in (MoreSteps(), MoreRestarts()):
            sources = {each["source"] for each in diagnostic(sample).evidence["attacks"]}
            assert sources == {"the diagnostic's own attack"}


def test_an_attack_that_always_left_the_ball_is_compared_with_none(sample_of: MakeSample) -> None:
    outside = replace(outcome("pgd", "white-box", []), outside=32)
    noise = outcome("noise", "noise", [0, 1, 2, 3])
    sample = linear(sample_of, Linear(offset=50.0), outcomes=(noise, outside))
    assert BlackBoxBeatsWhiteBox()(sample).evidence["weaker"] != ["noise"]
    assert (
        EnsembleGap()(linear(sample_of, outcomes=(outside, outcome("aa", "ensemble", [1])))).status
        == "not tested"
    )


class Scripted(Sample):
    """A sample whose attacks break as many examples as is written down for their steps."""

    def __init__(self, subject: Subject, broken: dict[int, int]) -> None:
        super().__init__(subject)
        self.script = broken

    def broken_by(self, attack: Any, *_: Any) -> Tensor:
        return torch.arange(len(self)) < self.script[attack.steps]


def test_convergence_is_the_gain_of_doubling(sample_of: MakeSample) -> None:
    subject = linear(sample_of).subject
    stuck = Convergence()(Scripted(subject, {50: 8, 100: 8}))
    moving = Convergence()(Scripted(subject, {50: 8, 100: 10}))
    assert (stuck.measured, stuck.status) == (0, "passed")
    assert (moving.measured, moving.status) == (pytest.approx(6.25), "suspicious")
    own = MoreSteps()(Scripted(subject, {8: 2, 50: 10}))
    assert own.measured == 25
