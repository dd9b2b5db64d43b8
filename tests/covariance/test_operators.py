"""Laws of every covariance operator, whatever its kind."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from steadygrad.covariance import (
    BlockStructure,
    DenseCovariance,
    ExponentialCovariance,
    FixedCovariance,
    IdentityCovariance,
    RunningCovariance,
    StationaryStructure,
    estimate_covariance,
)
from steadygrad.errors import CovarianceError, HyperparameterError, ShapeError

SHAPE = (2, 5, 4)
PIXELS = math.prod(SHAPE)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def perturbations(count: int = 7, seed: int = 1) -> Tensor:
    noise = torch.randn(count, *SHAPE, dtype=torch.float64, generator=generator(seed))
    return noise + 0.6 * noise.roll(1, -1) + 0.4 * noise.roll(1, 1) + 0.2


KINDS: dict[str, Callable[[], FixedCovariance]] = {
    "identity": lambda: IdentityCovariance(SHAPE, variance=2.5),
    "dense": lambda: estimate_covariance(perturbations(), "dense"),
    "stationary biased": lambda: estimate_covariance(perturbations(), "stationary"),
    "stationary unbiased": lambda: estimate_covariance(
        perturbations(), StationaryStructure(estimator="unbiased")
    ),
    "radial": lambda: estimate_covariance(perturbations(), "radial"),
    "block": lambda: estimate_covariance(perturbations(), BlockStructure(reach=2)),
    "exponential": lambda: ExponentialCovariance(SHAPE, 2.0, variance=0.7),
}


@pytest.fixture(params=KINDS)
def covariance(request: pytest.FixtureRequest) -> FixedCovariance:
    return KINDS[request.param]()


def test_the_dense_matrix_is_symmetric_and_semidefinite(covariance: FixedCovariance) -> None:
    matrix = covariance.dense()
    torch.testing.assert_close(matrix, matrix.T)
    eigenvalues = torch.linalg.eigvalsh(matrix)
    assert eigenvalues[0] >= -1e-12 * eigenvalues[-1]
    assert eigenvalues[-1] > 0


def test_applying_is_multiplying_by_the_dense_matrix(covariance: FixedCovariance) -> None:
    images = torch.randn(3, *SHAPE, dtype=torch.float64, generator=generator())
    expected = (images.flatten(start_dim=1) @ covariance.dense()).view_as(images)
    torch.testing.assert_close(covariance.apply(images), expected)


def test_applying_is_differentiable(covariance: FixedCovariance) -> None:
    images = torch.randn(1, *SHAPE, dtype=torch.float64, generator=generator()).requires_grad_()
    assert torch.autograd.gradcheck(covariance.apply, images)


def test_mean_diagonal_is_the_mean_of_the_diagonal(covariance: FixedCovariance) -> None:
    mean = covariance.dense().diagonal().mean().item()
    assert covariance.mean_diagonal == pytest.approx(mean, rel=1e-12)
    assert covariance.scaled(3.0).mean_diagonal == pytest.approx(3 * mean, rel=1e-12)
    assert covariance.normalized().mean_diagonal == pytest.approx(1.0, rel=1e-12)
    torch.testing.assert_close(covariance.scaled(3.0).dense(), 3 * covariance.dense())


def test_samples_have_this_covariance(covariance: FixedCovariance) -> None:
    count = 20_000
    sample = covariance.sample(count, generator(), dtype=torch.float64).flatten(start_dim=1)
    expected = covariance.dense()
    # Var(x_i x_j) of a centred Gaussian is S_ii S_jj + S_ij^2.
    diagonal = expected.diagonal()
    error = ((diagonal[:, None] * diagonal + expected.square()) / count).sqrt()
    assert ((sample.T @ sample / count - expected).abs() <= 5 * error + 1e-12).all()
    assert (sample.mean(dim=0).abs() <= 5 * (diagonal / count).sqrt() + 1e-12).all()


def test_the_same_generator_gives_the_same_sample(covariance: FixedCovariance) -> None:
    first = covariance.sample(3, generator(5))
    torch.testing.assert_close(covariance.sample(3, generator(5)), first, rtol=0, atol=0)
    assert not torch.equal(covariance.sample(3, generator(6)), first)
    assert first.shape == (3, *SHAPE)
    assert first.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_the_result_follows_the_images_dtype(
    covariance: FixedCovariance, dtype: torch.dtype
) -> None:
    images = torch.rand(2, *SHAPE, dtype=torch.float64, generator=generator())
    result = covariance.apply(images.to(dtype))
    assert result.dtype == dtype
    tolerance = 8 * torch.finfo(dtype).eps
    expected = covariance.apply(images)
    assert (result.double() - expected).abs().max() <= tolerance * expected.abs().max()
    assert covariance.sample(1, generator(), dtype=dtype).dtype == dtype


def test_inference_mode_does_not_spoil_later_gradients() -> None:
    for build in KINDS.values():
        covariance = build()
        images = torch.rand(1, *SHAPE, dtype=torch.float64)
        with torch.inference_mode():
            covariance.apply(images)
        recorded = images.requires_grad_()
        covariance.apply(recorded).sum().backward()
        assert recorded.grad is not None


def test_images_of_another_size_are_refused(covariance: FixedCovariance) -> None:
    with pytest.raises(ShapeError, match=r"shape \(batch, 2, 5, 4\) .* got \(3, 2, 4, 5\)"):
        covariance.apply(torch.zeros(3, 2, 4, 5))
    with pytest.raises(ShapeError, match="floating point"):
        covariance.apply(torch.zeros(3, *SHAPE, dtype=torch.int64))


def test_an_empty_sample_is_refused(covariance: FixedCovariance) -> None:
    with pytest.raises(HyperparameterError, match="at least 1 image, got 0"):
        covariance.sample(0)


@pytest.mark.parametrize("factor", [-1.0, math.nan, math.inf])
def test_a_factor_that_leaves_no_covariance_is_refused(
    covariance: FixedCovariance, factor: float
) -> None:
    with pytest.raises(HyperparameterError, match="factor >= 0"):
        covariance.scaled(factor)


def test_a_dense_matrix_of_large_images_is_refused() -> None:
    with pytest.raises(CovarianceError, match=r"8192 pixels .* got 150528 \(181 GB"):
        IdentityCovariance((3, 224, 224)).dense()


def test_nothing_cannot_be_normalized() -> None:
    with pytest.raises(CovarianceError, match="positive mean diagonal, got 0"):
        IdentityCovariance(SHAPE, variance=0.0).normalized()


@pytest.mark.parametrize("shape", [(1, 2), (3, 0, 4), (1.0, 2, 3)])
def test_a_shape_that_is_no_image_is_refused(shape: Any) -> None:
    with pytest.raises(ShapeError, match="channels, height, width"):
        IdentityCovariance(shape)


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.eye(3), r"shape \(4, 4\)"),
        (
            torch.eye(4).index_put((torch.tensor(0), torch.tensor(1)), torch.tensor(0.5)),
            "symmetric",
        ),
        (torch.eye(4).mul(torch.nan), "NaN"),
        (torch.diag(torch.tensor([1.0, 1.0, 1.0, -0.1])), r"smallest eigenvalue of -0\.1"),
    ],
)
def test_a_matrix_that_is_no_covariance_is_refused(matrix: Tensor, message: str) -> None:
    with pytest.raises((CovarianceError, ShapeError), match=message):
        DenseCovariance(matrix, (1, 2, 2))


def test_a_singular_matrix_is_a_covariance_and_can_be_sampled() -> None:
    covariance = DenseCovariance(torch.ones(4, 4), (1, 2, 2))
    sample = covariance.sample(100, generator(), dtype=torch.float64).flatten(start_dim=1)
    torch.testing.assert_close(sample, sample[:, :1].expand(-1, 4), rtol=0, atol=1e-4)


def test_a_running_covariance_is_an_operator_too() -> None:
    running = RunningCovariance("radial")
    running.update(perturbations())
    images = torch.randn(3, *SHAPE, dtype=torch.float64, generator=generator())
    torch.testing.assert_close(running.apply(images), running.current.apply(images))
    torch.testing.assert_close(running.dense(), running.current.dense())
    sample = running.sample(2, generator())
    torch.testing.assert_close(sample, running.current.sample(2, generator()))
    assert running.mean_diagonal == pytest.approx(1.0)
    assert running.image_shape == SHAPE
