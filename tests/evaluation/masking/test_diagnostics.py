"""Each diagnostic on a model for which its number is known."""

import pytest
import torch
from torch import Tensor, nn

from evaluation.masking.conftest import MakeSample, Noisy, Quantised, Scaled
from evaluation.masking.known_models import CLASS_0, Linear, linear, one_pixel
from steadygrad.evaluation.masking import (
    ExpectationOverRandomness,
    FiniteDifferences,
    Float64Gradients,
    GradientAlignment,
    GradientDirection,
    LocalLinearity,
    LogitScale,
    MarginLoss,
    MoreRestarts,
    Randomness,
    RisingAccuracy,
    SoftmaxSaturation,
    Staircase,
    UnboundedEps,
    ZeroGradientPixels,
    ZeroGradients,
)


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_a_linear_model_passes_with_the_numbers_of_a_linear_model(
    sample_of: MakeSample, norm: str
) -> None:
    sample = linear(sample_of, norm=norm)
    assert Randomness()(sample).measured == 0
    assert Staircase()(sample).measured == 0
    assert FiniteDifferences()(sample).measured < 1e-8
    ratios = FiniteDifferences()(sample).evidence["median_slope_over_gradient_by_size"]
    assert list(ratios.values()) == pytest.approx([1.0, 1.0])
    assert ZeroGradients()(sample).measured == 0
    assert SoftmaxSaturation()(sample).measured == 0
    assert ZeroGradientPixels()(sample).measured == 0
    assert Float64Gradients()(sample).measured == 0
    assert Float64Gradients()(sample).evidence["pixels_of_same_sign"] == 1
    assert LogitScale()(sample).status == "not tested"  # a margin of half a nat saturates nothing
    assert MarginLoss()(sample).measured == 0
    assert GradientDirection()(sample).measured == 0
    assert LocalLinearity()(sample).measured < 1e-5
    assert GradientAlignment()(sample).measured < 1e-6
    assert UnboundedEps()(sample).measured == RisingAccuracy()(sample).measured == 0


def test_linearity_is_the_departure_in_parts_of_the_tangents_reach(sample_of: MakeSample) -> None:
    # f(t) = 1 - t - 30 t^2: the tangent at 0 reaches 0.1 within 0.1, f departs from it by 0.3.
    finding = LocalLinearity()(one_pixel(sample_of, lambda t: 1 - t - 30 * t**2))
    assert finding.measured == pytest.approx(3.0, rel=1e-4)
    assert finding.evidence["median_absolute_error"] == pytest.approx(0.3, rel=1e-4)


def test_linearity_looks_where_the_error_is_not_where_the_margin_falls(
    sample_of: MakeSample,
) -> None:
    # The margin falls to the left, and bends ten times as much to the right.
    finding = LocalLinearity()(
        one_pixel(sample_of, lambda t: 5 + 20 * t - torch.where(t > 0, 30, 3) * t**2)
    )
    assert finding.evidence["median_absolute_error"] == pytest.approx(0.3, rel=1e-3)


def test_alignment_sees_a_gradient_that_turns_round(sample_of: MakeSample) -> None:
    # Left of the ridge the slope is that of grey itself, right of it the opposite.
    ridge = GradientAlignment()(one_pixel(sample_of, lambda t: 1 + 0.001 - (t - 0.001).abs()))
    assert ridge.evidence["lowest_cosine"] == -1
    step = GradientAlignment()(one_pixel(sample_of, lambda t: torch.where(t == 0, 1 + t, 1 - t)))
    assert step.measured == 2
    assert step.status == "suspicious"


@pytest.mark.parametrize("is_straight_through", [False, True])
def test_rounded_pixels_make_a_staircase(sample_of: MakeSample, is_straight_through: bool) -> None:
    model = Quantised(Linear(), is_straight_through=is_straight_through)
    finding = Staircase()(linear(sample_of, model))
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

    assert Staircase()(linear(sample_of, WithBias())).measured == 0


def test_rounding_far_below_eps_is_no_staircase(sample_of: MakeSample) -> None:
    assert Staircase()(linear(sample_of, Quantised(Linear(), levels=4096))).measured < 0.2


def test_finite_differences_see_through_a_straight_through_estimate(sample_of: MakeSample) -> None:
    model = Quantised(Linear(), is_straight_through=True)
    finding = FiniteDifferences()(linear(sample_of, model))
    assert finding.status == "suspicious"
    assert next(iter(finding.evidence["median_slope_over_gradient_by_size"].values())) == 0


def test_straight_through_rounding_far_below_eps_has_the_slope_an_attack_needs(
    sample_of: MakeSample,
) -> None:
    model = Quantised(Linear(), is_straight_through=True, levels=4096)
    finding = FiniteDifferences()(linear(sample_of, model))
    tiny, wide = finding.evidence["median_difference_by_size"].values()
    assert tiny == 1
    assert finding.measured == wide < 0.1


def test_finite_differences_measure_a_detached_branch(sample_of: MakeSample) -> None:
    # The margin is 3 t, of which autograd sees t: |3 - 1| / 3.
    finding = FiniteDifferences()(one_pixel(sample_of, lambda t: 1 + t + 2 * t.detach()))
    assert finding.measured == pytest.approx(2 / 3, rel=1e-5)
    assert finding.status == "suspicious"


def test_finite_differences_find_complex_layers_exact(
    sample_of: MakeSample, honest: dict[str, nn.Module]
) -> None:
    for name in ("complex", "complex, frozen phase"):
        finding = FiniteDifferences()(sample_of(honest[name]))
        assert finding.measured < 1e-7
        assert "2 complex layers" in finding.meaning
        assert ("frozen phase" in finding.meaning) == (name != "complex")


def test_randomness_is_measured_and_held_still(sample_of: MakeSample) -> None:
    sample = linear(sample_of, Noisy(Linear()))
    assert Randomness()(sample).status == "suspicious"
    assert sample.is_random
    assert sample.holds_still
    assert FiniteDifferences()(sample).measured < 1e-7


def test_randomness_that_no_seed_governs_leaves_slopes_untested(sample_of: MakeSample) -> None:
    own = torch.Generator().manual_seed(0)
    sample = one_pixel(sample_of, lambda t: 1 + t + torch.rand(t.shape, generator=own))
    assert Randomness()(sample).status == "suspicious"
    assert {FiniteDifferences()(sample).status, Staircase()(sample).status} == {"not tested"}


def test_averaging_finds_what_random_gradients_hide(sample_of: MakeSample) -> None:
    def margin(t: Tensor) -> Tensor:
        wild = 6 * t * torch.randn_like(t)
        return 0.08 - t + wild - wild.detach()

    sample = one_pixel(sample_of, margin)
    finding = Randomness()(sample)
    assert finding.status == "suspicious"
    assert finding.evidence["logits"] == 0
    assert ExpectationOverRandomness()(sample).status == "suspicious"
    calm = one_pixel(sample_of, lambda t: 0.08 - t)
    assert ExpectationOverRandomness()(calm).status == "not tested"


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
    assert SoftmaxSaturation()(calm).measured == 0
    assert LogitScale()(calm).status == "not tested"
    sure = sample_of(Scaled(TwoPixels(), 1e6), images, CLASS_0)
    assert ZeroGradients()(sure).measured == 0
    assert SoftmaxSaturation()(sure).measured == 1
    # Without a gradient, a few break by the luck of their random start.
    for finding in (LogitScale()(sure), MarginLoss()(sure)):
        plain, better = list(finding.evidence.values())[-2:]
        assert plain > 0.8
        assert better == 0.5
        assert finding.measured == pytest.approx(100 * (plain - better))
        assert finding.status == "suspicious"
    assert UnboundedEps()(sure).measured == 100


def test_float64_finds_the_gradient_that_float32_loses(sample_of: MakeSample) -> None:
    # A margin of 400: exp(-400) is 0 in float32, not in float64.
    sample = linear(sample_of, Scaled(Linear(offset=0.8), 500.0))
    finding = Float64Gradients()(sample)
    assert finding.evidence["accuracy_float32"] == 1
    assert finding.measured == 100
    assert finding.evidence["median_relative_difference"] == 1


def test_zero_gradients_are_counted(sample_of: MakeSample) -> None:
    weight = torch.zeros(16)
    weight[0] = 1.0
    sample = linear(sample_of, Linear(weight))
    assert ZeroGradients()(sample).measured == 0
    assert ZeroGradientPixels()(sample).measured == 15 / 16
    assert ZeroGradientPixels()(sample).status == "suspicious"
    flat = linear(sample_of, Linear(torch.zeros(16)))
    assert ZeroGradients()(flat).measured == 1
    assert SoftmaxSaturation()(flat).measured == 0  # the logits have none to lose
    assert ZeroGradientPixels()(flat).status == "not tested"
    assert LocalLinearity()(flat).status == GradientAlignment()(flat).status == "not tested"


def test_accuracy_rises_where_a_larger_radius_leads_astray(sample_of: MakeSample) -> None:
    def margin(t: Tensor) -> Tensor:
        # Within 0.1, slopes down into a well around 0.05; outside, slopes away from it.
        return torch.where(t.abs() <= 0.101, (t - 0.05).abs() - 0.03, 0.6 - t.abs())

    finding = RisingAccuracy()(one_pixel(sample_of, margin))
    accuracies = list(finding.evidence["accuracy_by_eps"].values())
    assert accuracies[:2] == [0.0, 0.0]
    assert finding.measured == 100 * accuracies[2] > 20
    # One start in a wide ball finds the well by luck; several do so more often.
    restarts = MoreRestarts()(one_pixel(sample_of, margin, eps=0.2))
    assert restarts.status == "suspicious"
    one, several = (run["accuracy"] for run in restarts.evidence["attacks"])
    assert restarts.measured == pytest.approx(100 * (one - several))


def test_random_directions_beat_a_detached_gradient(sample_of: MakeSample) -> None:
    finding = GradientDirection()(one_pixel(sample_of, lambda t: 1 + t - 1.5 * t.detach()))
    # Autograd sees the slope 1 of a margin that falls by 0.5: four of five guesses go down.
    assert finding.measured > 0.7
