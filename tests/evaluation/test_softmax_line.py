"""Softmax activations along a line: a closed form, the slope, no clipping, refusals."""

import pytest
import torch
from torch import Tensor, nn

from steadygrad.errors import HyperparameterError, ModelError, ShapeError
from steadygrad.evaluation import softmax_lines

GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(3, 1, 2, 2, generator=GENERATOR, dtype=torch.float64)
DIRECTIONS = torch.randn(3, 1, 2, 2, generator=GENERATOR, dtype=torch.float64)


@pytest.fixture
def linear() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(4, 5)).double()


def test_a_linear_model_has_the_softmax_of_a_straight_line(linear: nn.Module) -> None:
    lines = softmax_lines(linear, IMAGES, DIRECTIONS, reach=2, points=9)
    assert lines.positions.tolist() == [-2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2]
    weight, bias = linear[1].weight, linear[1].bias
    start = IMAGES.flatten(1) @ weight.T + bias
    slope = DIRECTIONS.flatten(1) @ weight.T
    # No clipping to [0, 1]: the logits would have a kink.
    expected = torch.stack([(start + t * slope).softmax(dim=1) for t in lines.positions], dim=1)
    torch.testing.assert_close(lines.probabilities, expected.detach())


def test_the_steepest_change_is_that_of_a_logistic_curve() -> None:
    # Logits (0, k t): the probability of a class changes by at most k / 4 per unit of t.
    def model(images: Tensor) -> Tensor:
        return torch.stack((torch.zeros(len(images)), 6 * images[:, 0, 0, 0]), dim=1)

    lines = softmax_lines(
        model, torch.zeros(1, 1, 1, 1), torch.ones(1, 1, 1, 1), reach=1, points=2001
    )
    assert lines.steepest.item() == pytest.approx(1.5, rel=1e-3)


def test_the_model_keeps_its_mode_and_is_asked_in_eval_mode() -> None:
    model = nn.Sequential(nn.Flatten(), nn.Dropout(0.9), nn.Linear(4, 3)).double().train()
    first = softmax_lines(model, IMAGES, DIRECTIONS, points=5)
    assert model[1].training
    again = softmax_lines(model, IMAGES, DIRECTIONS, points=5)
    assert torch.equal(first.probabilities, again.probabilities)


def test_what_is_no_line_is_refused(linear: nn.Module) -> None:
    with pytest.raises(ShapeError, match="perturbations of the images' shape"):
        softmax_lines(linear, IMAGES, DIRECTIONS[:2])
    with pytest.raises(HyperparameterError, match="reach > 0, got 0"):
        softmax_lines(linear, IMAGES, DIRECTIONS, reach=0)
    with pytest.raises(HyperparameterError, match="at least 2 points, got 1"):
        softmax_lines(linear, IMAGES, DIRECTIONS, points=1)
    with pytest.raises(ModelError, match="NaN"):
        softmax_lines(lambda x: x.flatten(1) * torch.nan, IMAGES, DIRECTIONS)
