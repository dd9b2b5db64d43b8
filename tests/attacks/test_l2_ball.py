"""Laws of steadygrad.attacks.l2_ball."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from steadygrad.attacks import L2Ball, PerturbationBall
from steadygrad.attacks.l2_ball import ball_of_norm


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def lengths(change: Tensor) -> Tensor:
    return change.double().flatten(1).norm(dim=1)


def four(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64).reshape(1, 1, 2, 2)


def test_projection_shortens_and_then_clamps() -> None:
    ball = L2Ball(four(0.5, 0.5, 0.9, 0.0), 0.5)
    inside = four(0.5, 0.8, 0.6, 0.2)
    torch.testing.assert_close(ball.project(inside), inside)
    # A change of (3, 0, 4, 0) has length 5, ten times too long: (0.3, 0, 0.4, 0), and 1.3 is white.
    outside = four(3.5, 0.5, 4.9, 0.0)
    torch.testing.assert_close(ball.project(outside), four(0.8, 0.5, 1.0, 0.0))


def test_a_change_of_nothing_stays_nothing_even_at_radius_0() -> None:
    images = four(0.5, 0.5, 0.9, 0.0)
    assert torch.equal(L2Ball(images, 0.3).project(images), images)
    assert torch.equal(L2Ball(images, 0.0).project(images), images)
    assert torch.equal(L2Ball(images, 0.0).project(four(1, 1, 1, 1)), images)


@settings(max_examples=60, deadline=None)
@given(
    eps=st.floats(1e-3, 20),
    scale=st.floats(1e-3, 1e3),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    seed=st.integers(0, 2**32),
)
def test_projections_lie_in_the_ball_and_the_pixel_range(
    eps: float, scale: float, shape: tuple[int, int, int, int], seed: int
) -> None:
    stream = generator(seed)
    images = torch.rand(shape, generator=stream)
    ball = L2Ball(images, eps)
    projected = ball.project(images + scale * torch.randn(shape, generator=stream))
    drawn = ball.draw_uniform(stream)
    for points in (projected, drawn):
        assert points.min() >= 0 and points.max() <= 1
        assert (lengths(points - images) <= eps * (1 + 1e-5) + 1e-6).all()


def test_the_steepest_direction_has_length_1_whatever_the_gradients_size() -> None:
    gradient = torch.randn(4, 3, 5, 5, generator=generator())
    scales = torch.tensor([1e-30, 1e-3, 1.0, 1e30]).view(-1, 1, 1, 1)
    steepest = L2Ball(torch.zeros_like(gradient), 1.0).steepest(scales * gradient)
    expected = gradient / lengths(gradient).float().view(-1, 1, 1, 1)
    torch.testing.assert_close(steepest, expected)


def test_no_gradient_is_no_direction() -> None:
    gradient = torch.zeros(2, 1, 3, 3)
    gradient[1, 0, 1, 2] = -5.0
    steepest = L2Ball(gradient, 1.0).steepest(gradient)
    assert torch.equal(steepest, gradient.sign())


def test_draws_fill_the_round_ball_evenly() -> None:
    ball = L2Ball(torch.full((20_000, 1, 1, 3), 0.5, dtype=torch.float64), 0.4)
    change = (ball.draw_uniform(generator()) - 0.5).flatten(1)
    # In 3 dimensions (radius / eps)^3 is U(0, 1): every quantile within 5 standard errors.
    share = (change.norm(dim=1) / 0.4) ** 3
    quantiles = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    error = (quantiles * (1 - quantiles) / len(share)).sqrt()
    assert ((torch.quantile(share, quantiles) - quantiles).abs() <= 5 * error).all()
    # Any coordinate of a direction in 3 dimensions is U(-1, 1) (Archimedes).
    cosine = change / change.norm(dim=1, keepdim=True)
    for coordinate in cosine.unbind(dim=1):
        drawn = torch.quantile(coordinate, quantiles)
        assert ((drawn - (2 * quantiles - 1)).abs() <= 10 * error).all()


def test_rows_of_a_ball_are_balls_of_the_rows() -> None:
    images = torch.rand(5, 1, 2, 2, generator=generator())
    part = L2Ball(images, 0.1).at(torch.tensor([3, 1]))
    assert torch.equal(part.images, images[[3, 1]]) and part.eps == 0.1


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_keeps_the_dtype(dtype: torch.dtype) -> None:
    images = torch.rand(3, 1, 4, 4, generator=generator()).to(dtype)
    ball = L2Ball(images, 0.5)
    for points in (ball.draw_uniform(generator()), ball.project(images + 1), ball.steepest(images)):
        assert points.dtype == dtype
    rounding = math.sqrt(16) * torch.finfo(dtype).eps
    assert (lengths(ball.project(images - 1) - images) <= 0.5 + rounding).all()


def test_the_norm_names_its_ball() -> None:
    images = torch.rand(1, 1, 2, 2, generator=generator())
    assert isinstance(ball_of_norm(images, 2.0, "l2"), L2Ball)
    assert isinstance(ball_of_norm(images, 0.1, "linf"), PerturbationBall)
