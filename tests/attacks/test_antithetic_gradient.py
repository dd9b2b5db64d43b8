"""The estimate that NES climbs by: unbiased, from antithetic pairs, whatever the batches."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.tiny_classifier import batch, generator, network, streams
from steadygrad.attacks.nes import antithetic_gradient


@pytest.mark.parametrize("curvature", [0.0, 4.0])
def test_the_estimate_is_unbiased_on_a_quadratic(curvature: float) -> None:
    """Of ``a'x + x'Bx`` the blurred gradient is ``a + (B + B')x``, whatever sigma."""
    linear = torch.randn(9, generator=generator(5), dtype=torch.float64)
    matrix = curvature * torch.randn(9, 9, generator=generator(6), dtype=torch.float64)
    x = torch.rand(1, 1, 3, 3, generator=generator(7), dtype=torch.float64)

    def objective(points: Tensor, _: Tensor) -> Tensor:
        rows = points.flatten(1)
        return rows @ linear + (rows @ matrix * rows).sum(dim=1)

    # 1,000 estimates of 3 pairs each, as 1,000 copies of one image with draws of their own.
    estimates = antithetic_gradient(
        objective,
        x.expand(1000, -1, -1, -1),
        [generator(seed) for seed in range(1000)],
        pairs=3,
        sigma=0.1,
        samples_per_batch=5000,
    ).flatten(1)
    expected = linear + (matrix + matrix.T) @ x.flatten()
    standard_error = estimates.std(dim=0) / math.sqrt(1000)
    assert ((estimates.mean(dim=0) - expected).abs() < 5 * standard_error).all()
    # Of a + cx the variance of one pair's estimate of pixel i is |g|^2 + g_i^2; of three, a third.
    variance = (expected.square().sum() + expected.square()) / 3
    torch.testing.assert_close(estimates.var(dim=0), variance, rtol=0.25, atol=0)


def test_pairs_are_antithetic_and_of_width_sigma() -> None:
    shown = []

    def objective(points: Tensor, owners: Tensor) -> Tensor:
        shown.append((points, owners))
        return points.sum(dim=(1, 2, 3))

    images, _ = batch(2)
    antithetic_gradient(
        objective, images, streams(2), pairs=500, sigma=0.02, samples_per_batch=2000
    )
    ((points, owners),) = shown
    assert owners.tolist() == [0] * 1000 + [1] * 1000
    for example, own in enumerate(points.split(1000)):  # type: ignore[no-untyped-call] # torch leaves it untyped
        above, below = own.split(500)
        torch.testing.assert_close(above + below, (2 * images[example]).expand(500, -1, -1, -1))
        assert (above - images[example]).std().item() == pytest.approx(0.02, rel=0.05)


@pytest.mark.parametrize("samples_per_batch", [2, 3, 7, 20, 41, 1000])
def test_batches_change_nothing(samples_per_batch: int) -> None:
    images, labels = batch()

    def objective(points: Tensor, owners: Tensor) -> Tensor:
        return network(points).gather(1, labels[owners].unsqueeze(1)).squeeze(1)

    settings: dict[str, Any] = {"pairs": 10, "sigma": 0.01}
    expected = antithetic_gradient(objective, images, streams(6), samples_per_batch=120, **settings)
    found = antithetic_gradient(
        objective, images, streams(6), samples_per_batch=samples_per_batch, **settings
    )
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-10)
