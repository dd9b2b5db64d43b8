"""The L1 ball's projection against another one, and how well a linear model is attacked."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq
from torch import Tensor, nn

from steadygrad.attacks import ATTACKS, SparseL1
from steadygrad.attacks.l1_ball import L1Ball
from steadygrad.errors import HyperparameterError, UnknownNameError


def projected(centre: Tensor, point: Tensor, eps: float) -> Tensor:
    """Solve for the multiplier of the L1 constraint, where the range is kept by a clamp."""
    x, change = centre.numpy(), (point - centre).numpy()

    def at(multiplier: float) -> np.ndarray:
        shrunk = np.sign(change) * np.maximum(np.abs(change) - multiplier, 0)
        return np.clip(x + shrunk, 0, 1) - x

    if np.abs(at(0.0)).sum() <= eps:
        return centre + torch.from_numpy(at(0.0))
    root = brentq(lambda t: np.abs(at(t)).sum() - eps, 0.0, np.abs(change).max(), xtol=1e-14)
    return centre + torch.from_numpy(at(root))


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 10_000), eps=st.floats(0.01, 20), scale=st.floats(0.01, 3))
def test_the_projection_is_the_nearest_point(seed: int, eps: float, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    centre = torch.rand(3, 2, 4, 4, generator=generator, dtype=torch.float64)
    centre = torch.where(centre < 0.2, 0.0, centre)
    point = centre + scale * torch.randn(centre.shape, generator=generator, dtype=torch.float64)
    found = L1Ball(centre, eps).project(point)
    for mine, x, y in zip(found, centre, point, strict=True):
        torch.testing.assert_close(mine, projected(x, y, eps), atol=1e-9, rtol=0)


def test_a_point_of_the_ball_stays() -> None:
    centre = torch.full((1, 1, 2, 2), 0.5, dtype=torch.float64)
    point = centre + torch.tensor([[[[0.1, -0.2], [0.0, 0.3]]]])
    torch.testing.assert_close(L1Ball(centre, 0.6).project(point), point)


def test_a_step_is_spread_over_the_steepest_pixels_that_can_move() -> None:
    images = torch.tensor([[[[1.0, 0.5], [0.5, 0.0]]]])
    gradient = torch.tensor([[[[9.0, -3.0], [2.0, -8.0]]]])
    step = L1Ball(images, 1.0).steepest(gradient, images, pixels=2)
    assert step.flatten().tolist() == [0.0, -0.5, 0.5, 0.0]


def test_a_linear_model_is_attacked_as_well_as_possible() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(36, 2)).double()
    images = torch.rand(4, 1, 6, 6, dtype=torch.float64)
    labels = torch.zeros(4, dtype=torch.int64)
    eps = 3.0
    adversarial = SparseL1(eps=eps, steps=100, loss="margin")(model, images, labels)
    # The best change spends eps on the pixels in the order of their weights, each up to its room.
    linear = model[1]
    assert isinstance(linear, nn.Linear)
    weight = (linear.weight[1] - linear.weight[0]).detach()
    for image, result in zip(images.flatten(1), adversarial.flatten(1), strict=True):
        room = torch.where(weight > 0, 1 - image, image)
        left, best = eps, 0.0
        for pixel in weight.abs().argsort(descending=True):
            spent = min(left, room[pixel].item())
            best, left = best + spent * weight[pixel].abs().item(), left - spent
        reached = ((result - image) @ weight).item()
        assert reached == pytest.approx(best, rel=0.01)
        assert reached <= best + 1e-9


def test_settings_out_of_range_are_named() -> None:
    with pytest.raises(HyperparameterError, match="share in"):
        SparseL1(eps=1.0, share=0.0)
    with pytest.raises(HyperparameterError, match="in L1, got -1"):
        SparseL1(eps=-1.0)
    with pytest.raises(UnknownNameError, match="expected one of linf, l2, got 'l1'"):
        ATTACKS.parse("pgd:eps=1,norm=l1")
