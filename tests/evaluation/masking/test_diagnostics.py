"""Each diagnostic on a model for which its number is known."""

import pytest
import torch
from torch import Tensor, nn

from evaluation.masking.conftest import MakeSample, Noisy, Quantised, Scaled
from evaluation.masking.known_models import CLASS_0, Linear, linear, one_pixel
from steadygrad.evaluation.masking.slopes import finite_differences
from steadygrad.evaluation.masking.vanishing_gradients import float64_gradients
from steadygrad.evaluation.masking.loss_surface import gradient_alignment
from steadygrad.evaluation.masking.loss_surface import local_linearity
from steadygrad.evaluation.masking.logit_scale import logit_scale, margin_loss
from steadygrad.evaluation.masking.longer_attacks import more_restarts
from steadygrad.evaluation.masking.loss_surface import gradient_direction
from steadygrad.evaluation.masking.radius import rising_accuracy, unbounded_eps
from steadygrad.evaluation.masking.randomness import expectation_over_randomness, randomness
from steadygrad.evaluation.masking.slopes import staircase
from steadygrad.evaluation.masking.vanishing_gradients import (
    softmax_saturation,
    zero_gradient_pixels,
    zero_gradients,
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


def test_random_directions_beat_a_detached_gradient(sample_of: MakeSample) -> None:
    finding = gradient_direction(one_pixel(sample_of, lambda t: 1 + t - 1.5 * t.detach()))
    # Autograd sees the slope 1 of a margin that falls by 0.5: four of five guesses go down.
    assert finding.measured > 0.7
