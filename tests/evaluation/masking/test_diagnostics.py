"""Each diagnostic on a model for which its number is known."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evaluation.masking.conftest import MakeSample, Noisy, Quantised, Scaled
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation.audit.outcome import AttackOutcome, Family
from steadygrad.evaluation.intervals import wilson_interval
from steadygrad.evaluation.masking import Subject
from steadygrad.evaluation.masking.black_box import black_box_beats_white_box
from steadygrad.evaluation.masking.ensemble_gap import ensemble_gap
from steadygrad.evaluation.masking.finite_differences import finite_differences
from steadygrad.evaluation.masking.float64_gradients import float64_gradients
from steadygrad.evaluation.masking.gradient_alignment import gradient_alignment
from steadygrad.evaluation.masking.local_linearity import local_linearity
from steadygrad.evaluation.masking.logit_scale import logit_scale, margin_loss
from steadygrad.evaluation.masking.longer_attacks import convergence, more_restarts, more_steps
from steadygrad.evaluation.masking.loss_surface import (
    LossSurface,
    gradient_direction,
    loss_surface,
)
from steadygrad.evaluation.masking.one_step import one_step_beats_iterative
from steadygrad.evaluation.masking.radius import rising_accuracy, unbounded_eps
from steadygrad.evaluation.masking.randomness import expectation_over_randomness, randomness
from steadygrad.evaluation.masking.sample import Sample
from steadygrad.evaluation.masking.staircase import staircase
from steadygrad.evaluation.masking.zero_gradients import (
    softmax_saturation,
    zero_gradient_pixels,
    zero_gradients,
)

GREY = torch.full((32, 1, 4, 4), 0.5)
CLASS_0 = torch.zeros(32, dtype=torch.int64)


class Linear(nn.Module):
    """Margin ``m(x) = weight . (x - 0.5) + offset``, with two logits, m/2 and -m/2."""

    def __init__(self, weight: Tensor | None = None, offset: float = 0.5) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.weight = nn.Parameter(torch.randn(16) if weight is None else weight)
        self.offset = offset

    def forward(self, x: Tensor) -> Tensor:
        margin = (x - 0.5).flatten(start_dim=1) @ self.weight + self.offset
        return torch.stack((margin / 2, -margin / 2), dim=1)


class OnePixel(nn.Module):
    """A margin that is any function of how far the only pixel is from grey."""

    def __init__(self, margin: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.margin = margin

    def forward(self, x: Tensor) -> Tensor:
        margin = self.margin(x.flatten() - 0.5)
        return torch.stack((margin / 2, -margin / 2), dim=1)


def one_pixel(sample_of: MakeSample, margin: Callable[[Tensor], Tensor], **settings: Any) -> Sample:
    return sample_of(OnePixel(margin), torch.full((32, 1, 1, 1), 0.5), CLASS_0, **settings)


def linear(sample_of: MakeSample, model: nn.Module | None = None, **settings: Any) -> Sample:
    return sample_of(model or Linear(), GREY, CLASS_0, **settings)


def outcome(name: str, family: Family, broken: list[int], **attack: Any) -> AttackOutcome:
    is_broken = torch.zeros(32, dtype=torch.bool)
    is_broken[broken] = True
    return AttackOutcome(
        name=name,
        family=family,
        attack={"name": "pgd", "target": None, "restarts": 1, "loss": "cross-entropy"} | attack,
        eps=0.1,
        norm="linf",
        attacked=torch.ones(32, dtype=torch.bool),
        broken=is_broken,
        seconds=0.0,
        queries=0,
        gradients=0,
        seed=0,
    )


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_model_passes_with_the_numbers_of_a_linear_model(
    sample_of: MakeSample, norm: str
) -> None:
    sample = linear(sample_of, norm=norm)
    assert randomness(sample).measured == 0
    assert staircase(sample).measured == 0
    assert finite_differences(sample).measured < 1e-8
    ratios = finite_differences(sample).evidence["median_slope_over_gradient_by_size"]
    assert list(ratios.values()) == pytest.approx([1.0, 1.0])
    assert zero_gradients(sample).measured == 0
    assert softmax_saturation(sample).measured == 0
    assert zero_gradient_pixels(sample).measured == 0
    assert float64_gradients(sample).measured == 0
    assert float64_gradients(sample).evidence["pixels_of_same_sign"] == 1
    assert logit_scale(sample).status == "not tested"  # a margin of half a nat saturates nothing
    assert margin_loss(sample).measured == 0
    assert gradient_direction(sample).measured == 0
    assert local_linearity(sample).measured < 1e-5
    assert gradient_alignment(sample).measured < 1e-6
    assert unbounded_eps(sample).measured == rising_accuracy(sample).measured == 0


def test_linearity_is_the_departure_in_parts_of_the_tangents_reach(sample_of: MakeSample) -> None:
    # f(t) = 1 - t - 30 t^2: the tangent at 0 reaches 0.1 within 0.1, f departs from it by 0.3.
    finding = local_linearity(one_pixel(sample_of, lambda t: 1 - t - 30 * t**2))
    assert finding.measured == pytest.approx(3.0, rel=1e-4)
    assert finding.evidence["median_absolute_error"] == pytest.approx(0.3, rel=1e-4)


def test_linearity_looks_where_the_error_is_not_where_the_margin_falls(
    sample_of: MakeSample,
) -> None:
    # The margin falls to the left, and bends ten times as much to the right.
    finding = local_linearity(
        one_pixel(sample_of, lambda t: 5 + 20 * t - torch.where(t > 0, 30, 3) * t**2)
    )
    assert finding.evidence["median_absolute_error"] == pytest.approx(0.3, rel=1e-3)


def test_alignment_sees_a_gradient_that_turns_round(sample_of: MakeSample) -> None:
    # Left of the ridge the slope is that of grey itself, right of it the opposite.
    ridge = gradient_alignment(one_pixel(sample_of, lambda t: 1 + 0.001 - (t - 0.001).abs()))
    assert ridge.evidence["lowest_cosine"] == -1
    step = gradient_alignment(one_pixel(sample_of, lambda t: torch.where(t == 0, 1 + t, 1 - t)))
    assert step.measured == 2
    assert step.status == "suspicious"


@pytest.mark.parametrize("is_straight_through", [False, True])
def test_rounded_pixels_make_a_staircase(sample_of: MakeSample, is_straight_through: bool) -> None:
    model = Quantised(Linear(), is_straight_through=is_straight_through)
    finding = staircase(linear(sample_of, model))
    # 16 pixels, drawn over 0.1 around the border between two steps, move by h = 0.1 / 160: none
    # crosses with probability 0.9.
    assert finding.status == "suspicious"
    assert finding.measured == pytest.approx(0.9, abs=0.07)
    by_size = list(finding.evidence["unchanged_by_size"].values())
    assert by_size[0] == finding.measured
    assert by_size[-1] < 0.1


def test_a_logit_that_never_moves_makes_no_staircase(sample_of: MakeSample) -> None:
    class WithBias(Linear):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat((super().forward(x), torch.zeros(len(x), 1, dtype=x.dtype)), dim=1)

    assert staircase(linear(sample_of, WithBias())).measured == 0


def test_rounding_far_below_eps_is_no_staircase(sample_of: MakeSample) -> None:
    assert staircase(linear(sample_of, Quantised(Linear(), levels=4096))).measured < 0.2


def test_finite_differences_see_through_a_straight_through_estimate(sample_of: MakeSample) -> None:
    model = Quantised(Linear(), is_straight_through=True)
    finding = finite_differences(linear(sample_of, model))
    assert finding.status == "suspicious"
    assert next(iter(finding.evidence["median_slope_over_gradient_by_size"].values())) == 0


def test_straight_through_rounding_far_below_eps_has_the_slope_an_attack_needs(
    sample_of: MakeSample,
) -> None:
    model = Quantised(Linear(), is_straight_through=True, levels=4096)
    finding = finite_differences(linear(sample_of, model))
    tiny, wide = finding.evidence["median_difference_by_size"].values()
    assert tiny == 1
    assert finding.measured == wide < 0.1


def test_finite_differences_measure_a_detached_branch(sample_of: MakeSample) -> None:
    # The margin is 3 t, of which autograd sees t: |3 - 1| / 3.
    finding = finite_differences(one_pixel(sample_of, lambda t: 1 + t + 2 * t.detach()))
    assert finding.measured == pytest.approx(2 / 3, rel=1e-5)
    assert finding.status == "suspicious"


def test_finite_differences_find_complex_layers_exact(
    sample_of: MakeSample, honest: dict[str, nn.Module]
) -> None:
    for name in ("complex", "complex, frozen phase"):
        finding = finite_differences(sample_of(honest[name]))
        assert finding.measured < 1e-7
        assert "2 complex layers" in finding.meaning
        assert ("frozen phase" in finding.meaning) == (name != "complex")


def test_randomness_is_measured_and_held_still(sample_of: MakeSample) -> None:
    sample = linear(sample_of, Noisy(Linear()))
    assert randomness(sample).status == "suspicious"
    assert sample.is_random
    assert sample.holds_still
    assert finite_differences(sample).measured < 1e-7


def test_randomness_that_no_seed_governs_leaves_slopes_untested(sample_of: MakeSample) -> None:
    own = torch.Generator().manual_seed(0)
    sample = one_pixel(sample_of, lambda t: 1 + t + torch.rand(t.shape, generator=own))
    assert randomness(sample).status == "suspicious"
    assert {finite_differences(sample).status, staircase(sample).status} == {"not tested"}


def test_averaging_finds_what_random_gradients_hide(sample_of: MakeSample) -> None:
    def margin(t: Tensor) -> Tensor:
        wild = 6 * t * torch.randn_like(t)
        return 0.08 - t + wild - wild.detach()

    sample = one_pixel(sample_of, margin)
    finding = randomness(sample)
    assert finding.status == "suspicious"
    assert finding.evidence["logits"] == 0
    assert expectation_over_randomness(sample).status == "suspicious"
    calm = one_pixel(sample_of, lambda t: 0.08 - t)
    assert expectation_over_randomness(calm).status == "not tested"


def test_a_scaled_linear_model_saturates_and_rescaling_breaks_what_the_margin_allows(
    sample_of: MakeSample,
) -> None:
    # Margins from 0 to 0.2: at eps 0.1 and slope 1, those below 0.1 can be broken, 16 of 32.
    offsets = torch.linspace(0.005, 0.195, 32)
    images = 0.5 + torch.zeros(32, 1, 1, 2)
    images[:, 0, 0, 1] = offsets

    class TwoPixels(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            margin = x[:, 0, 0, 0] - 0.5 + x[:, 0, 0, 1].detach()
            return torch.stack((margin / 2, -margin / 2), dim=1)

    calm = sample_of(TwoPixels(), images, CLASS_0)
    assert softmax_saturation(calm).measured == 0
    assert logit_scale(calm).status == "not tested"
    sure = sample_of(Scaled(TwoPixels(), 1e6), images, CLASS_0)
    assert zero_gradients(sure).measured == 0
    assert softmax_saturation(sure).measured == 1
    # Without a gradient, a few break by the luck of their random start.
    for finding in (logit_scale(sure), margin_loss(sure)):
        plain, better = list(finding.evidence.values())[-2:]
        assert plain > 0.8
        assert better == 0.5
        assert finding.measured == pytest.approx(100 * (plain - better))
        assert finding.status == "suspicious"
    assert unbounded_eps(sure).measured == 100


def test_float64_finds_the_gradient_that_float32_loses(sample_of: MakeSample) -> None:
    # A margin of 400: exp(-400) is 0 in float32, not in float64.
    sample = linear(sample_of, Scaled(Linear(offset=0.8), 500.0))
    finding = float64_gradients(sample)
    assert finding.evidence["accuracy_float32"] == 1
    assert finding.measured == 100
    assert finding.evidence["median_relative_difference"] == 1


def test_zero_gradients_are_counted(sample_of: MakeSample) -> None:
    weight = torch.zeros(16)
    weight[0] = 1.0
    sample = linear(sample_of, Linear(weight))
    assert zero_gradients(sample).measured == 0
    assert zero_gradient_pixels(sample).measured == 15 / 16
    assert zero_gradient_pixels(sample).status == "suspicious"
    flat = linear(sample_of, Linear(torch.zeros(16)))
    assert zero_gradients(flat).measured == 1
    assert softmax_saturation(flat).measured == 0  # the logits have none to lose
    assert zero_gradient_pixels(flat).status == "not tested"
    assert local_linearity(flat).status == gradient_alignment(flat).status == "not tested"


def test_accuracy_rises_where_a_larger_radius_leads_astray(sample_of: MakeSample) -> None:
    def margin(t: Tensor) -> Tensor:
        # Within 0.1, slopes down into a well around 0.05; outside, slopes away from it.
        return torch.where(t.abs() <= 0.101, (t - 0.05).abs() - 0.03, 0.6 - t.abs())

    finding = rising_accuracy(one_pixel(sample_of, margin))
    accuracies = list(finding.evidence["accuracy_by_eps"].values())
    assert accuracies[:2] == [0.0, 0.0]
    assert finding.measured == 100 * accuracies[2] > 20
    # One start in a wide ball finds the well by luck; several do so more often.
    restarts = more_restarts(one_pixel(sample_of, margin, eps=0.2))
    assert restarts.status == "suspicious"
    one, several = (run["accuracy"] for run in restarts.evidence["attacks"])
    assert restarts.measured == pytest.approx(100 * (one - several))


def moat(t: Tensor) -> Tensor:
    """Wrong at the corners of the ball alone; before them the way leads back to the middle."""
    return torch.where(
        t.abs() > 0.0999, -1.0 - t, torch.where(t.abs() < 0.02, 1 - t, 0.9 + t.abs())
    )


def test_one_step_and_noise_beat_many_steps_across_a_moat(sample_of: MakeSample) -> None:
    sample = one_pixel(sample_of, moat)
    for diagnostic in (one_step_beats_iterative, black_box_beats_white_box):
        finding = diagnostic(sample)
        assert finding.status == "suspicious"
        evidence = finding.evidence
        assert evidence["of_those_met_by_weaker"] == 16
        assert evidence["broken_by_weaker"] == 16
        least = wilson_interval(16, 16)[0] * evidence["left_by_stronger"]
        expected = 100 * max(16, least) * evidence["still_standing"] / 16 / 32
        assert finding.measured == pytest.approx(expected)


def test_batteries_are_compared_example_by_example_and_tried_again(sample_of: MakeSample) -> None:
    battery = (
        outcome("noise", "noise", [0, 1, 2, 3]),
        outcome("fgsm", "one-step", [4, 5]),
        outcome("pgd", "white-box", [0, 4]),
    )
    impregnable = linear(sample_of, Linear(offset=50.0), outcomes=battery)
    noise = black_box_beats_white_box(impregnable)
    # Of the four, PGD broke the first, and nobody can break the others in truth.
    assert noise.evidence["broken_by_weaker"] == noise.evidence["still_standing"] == 3
    assert noise.measured == pytest.approx(100 * 3 / 32)
    assert one_step_beats_iterative(impregnable).measured == pytest.approx(100 / 32)
    # Long attacks break all that the noise broke: the battery was weak, the gradients are fine.
    weak = black_box_beats_white_box(linear(sample_of, outcomes=battery))
    assert weak.evidence["broken_by_weaker"] == 3
    assert weak.measured == 0


def test_what_only_an_ensemble_breaks_is_counted_once(sample_of: MakeSample) -> None:
    battery = (
        outcome("pgd", "white-box", [0, 4]),
        outcome("square", "query", [9]),
        outcome("autoattack", "ensemble", [0, 1, 2, 3, 9]),
    )
    finding = ensemble_gap(linear(sample_of, outcomes=battery))
    assert finding.measured == pytest.approx(100 * 4 / 32)
    assert finding.status == "suspicious"
    assert "breaks 4 of 32 examples" in finding.meaning
    small = ensemble_gap(linear(sample_of, outcomes=(*battery[:2], outcome("aa", "ensemble", [1]))))
    assert small.measured == pytest.approx(100 / 32) and small.status == "passed"
    assert ensemble_gap(linear(sample_of, outcomes=battery[:2])).status == "not tested"


def test_a_query_attack_on_a_few_examples_speaks_for_the_others(sample_of: MakeSample) -> None:
    square = outcome("square", "query", [0, 1, 2, 3, 4, 5])
    met = torch.zeros(32, dtype=torch.bool)
    met[:8] = True
    battery = (
        outcome("pgd", "white-box", []),
        outcome("noise", "noise", []),
        replace(square, attacked=met),
    )
    finding = black_box_beats_white_box(linear(sample_of, Linear(offset=50.0), outcomes=battery))
    assert finding.measured == pytest.approx(100 * wilson_interval(6, 8)[0])


def test_an_ensemble_is_no_attack_with_gradients(sample_of: MakeSample) -> None:
    battery = (
        outcome("pgd", "white-box", [0]),
        outcome("square", "query", [1, 2, 3]),
        outcome("autoattack", "ensemble", [0, 1, 2, 3]),
    )
    finding = black_box_beats_white_box(linear(sample_of, Linear(offset=50.0), outcomes=battery))
    assert finding.measured == pytest.approx(100 * 3 / 32)


def test_outcomes_of_another_radius_play_no_part(sample_of: MakeSample) -> None:
    battery = (outcome("noise", "noise", [0, 1, 2, 3]), outcome("pgd", "white-box", [0]))
    sample = linear(sample_of, Linear(offset=50.0), outcomes=battery, eps=0.2)
    assert black_box_beats_white_box(sample).evidence["weaker"] != ["noise"]


def test_longer_attacks_of_the_battery_are_compared(sample_of: MakeSample) -> None:
    battery = (
        outcome("pgd-8", "white-box", [0], steps=8),
        outcome("pgd-8 dlr", "white-box", [5, 6, 7], steps=64, loss="dlr"),
        outcome("pgd-50", "white-box", [0, 1, 2, 3], steps=50),
        outcome("pgd-50 twice", "white-box", [0, 1, 4], steps=50, restarts=2),
    )
    sample = linear(sample_of, outcomes=battery)
    assert more_steps(sample).measured == pytest.approx(100 * 3 / 32)
    assert "PGD(50) takes 9 points" in more_steps(sample).meaning
    assert more_restarts(sample).measured == pytest.approx(100 * 1 / 32)


class Scripted(Sample):
    """A sample whose attacks break as many examples as is written down for their steps."""

    def __init__(self, subject: Subject, broken: dict[int, int]) -> None:
        super().__init__(subject)
        self.script = broken

    def broken_by(self, attack: Any, *_: Any) -> Tensor:
        return torch.arange(len(self)) < self.script[attack.steps]


def test_convergence_is_the_gain_of_doubling(sample_of: MakeSample) -> None:
    subject = linear(sample_of).subject
    stuck = convergence(Scripted(subject, {50: 8, 100: 8}))
    moving = convergence(Scripted(subject, {50: 8, 100: 10}))
    assert (stuck.measured, stuck.status) == (0, "passed")
    assert (moving.measured, moving.status) == (pytest.approx(6.25), "suspicious")
    own = more_steps(Scripted(subject, {8: 2, 50: 10}))
    assert own.measured == 25


def test_random_directions_beat_a_detached_gradient(sample_of: MakeSample) -> None:
    finding = gradient_direction(one_pixel(sample_of, lambda t: 1 + t - 1.5 * t.detach()))
    # Autograd sees the slope 1 of a margin that falls by 0.5: four of five guesses go down.
    assert finding.measured > 0.7


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_surface_of_a_linear_model_is_a_plane(sample_of: MakeSample, norm: str) -> None:
    model = Linear()
    surface = loss_surface(linear(sample_of, model, norm=norm), 0, points=5)
    weight = model.weight.detach()
    steepness = float(weight.abs().sum() if norm == "linf" else weight.norm())
    assert surface.offsets == pytest.approx((-0.2, -0.1, 0.0, 0.1, 0.2))
    middle = surface.margin[2]
    assert middle == pytest.approx([0.5 - offset * steepness for offset in surface.offsets])
    rises = torch.tensor(surface.margin) - torch.tensor(middle)
    torch.testing.assert_close(rises, rises[:, :1].expand(5, 5), atol=1e-5, rtol=0)
    assert rises[3, 0] == pytest.approx(-float(rises[1, 0]), abs=1e-5)
    losses = torch.nn.functional.softplus(-torch.tensor(surface.margin))
    torch.testing.assert_close(torch.tensor(surface.cross_entropy), losses, atol=1e-5, rtol=0)


def test_surfaces_go_to_json_and_back(sample_of: MakeSample) -> None:
    surface = loss_surface(linear(sample_of), 3, points=3)
    assert surface.example == 3
    again = LossSurface.from_json(surface.to_json())
    assert LossSurface.from_json(again.to_json()) == again
    assert again.margin[1] == pytest.approx(surface.margin[1], rel=1e-5)
    with pytest.raises(HyperparameterError, match="expected an odd number of points >= 3, got 4"):
        loss_surface(linear(sample_of), 0, points=4)
