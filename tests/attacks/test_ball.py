"""Laws of steadygrad.attacks.ball."""

import pytest
import torch

from steadygrad.attacks import PerturbationBall

IMAGES = torch.tensor([0.0, 0.05, 0.5, 1.0], dtype=torch.float64).reshape(1, 1, 2, 2)


def test_bounds_are_cut_off_at_black_and_white() -> None:
    ball = PerturbationBall(IMAGES, 0.1)
    torch.testing.assert_close(
        ball.lower.flatten(), torch.tensor([0.0, 0.0, 0.4, 0.9], dtype=torch.float64)
    )
    torch.testing.assert_close(
        ball.upper.flatten(), torch.tensor([0.1, 0.15, 0.6, 1.0], dtype=torch.float64)
    )


def test_projection_moves_only_what_lies_outside() -> None:
    ball = PerturbationBall(IMAGES, 0.1)
    outside = torch.tensor([-3.0, 0.1, 0.61, 0.95], dtype=torch.float64).reshape(1, 1, 2, 2)
    expected = torch.tensor([0.0, 0.1, 0.6, 0.95], dtype=torch.float64).reshape(1, 1, 2, 2)
    torch.testing.assert_close(ball.project(outside), expected)
    assert torch.equal(ball.project(IMAGES), IMAGES)
    assert torch.equal(ball.project(ball.project(outside)), ball.project(outside))


@pytest.mark.parametrize("eps", [1 / 255, 8 / 255, 0.1, 0.3])
def test_the_boundary_is_eps_away_up_to_one_rounding(eps: float) -> None:
    images = torch.linspace(0.35, 0.65, 1001).reshape(1, 1, 1, -1)
    ball = PerturbationBall(images, eps)
    for bound in (ball.lower, ball.upper):
        distance = (bound.double() - images.double()).abs()
        assert (distance - eps).abs().max() <= torch.finfo(torch.float32).eps


def test_uniform_draws_fill_the_ball_evenly() -> None:
    ball = PerturbationBall(torch.full((1, 1, 100, 200), 0.5), 0.2)
    change = (ball.draw_uniform(torch.Generator().manual_seed(0)) - 0.5).flatten().double()
    # 20,000 draws of U(-0.2, 0.2): every quantile within 5 standard errors of the line.
    quantiles = torch.linspace(0.1, 0.9, 9, dtype=torch.float64)
    drawn = torch.quantile(change, quantiles)
    error = 0.4 * (quantiles * (1 - quantiles) / change.numel()).sqrt()
    assert ((drawn - (0.4 * quantiles - 0.2)).abs() <= 5 * error).all()


def test_sign_draws_are_fair_corners() -> None:
    ball = PerturbationBall(torch.full((1, 1, 100, 100), 0.5, dtype=torch.float64), 0.25)
    change = ball.draw_sign(torch.Generator().manual_seed(0)) - 0.5
    assert set(change.unique().tolist()) == {-0.25, 0.25}
    assert abs((change > 0).double().mean().item() - 0.5) < 5 * 0.5 / 100


def test_rows_of_a_ball_are_balls_of_the_rows() -> None:
    images = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0))
    part = PerturbationBall(images, 0.1).at(torch.tensor([3, 1]))
    assert torch.equal(part.upper, PerturbationBall(images[[3, 1]], 0.1).upper)
