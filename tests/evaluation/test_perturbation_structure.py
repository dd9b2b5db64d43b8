"""Gathering equals a one-shot estimate, the functions a loop over pixel pairs; reach; refusals."""

import math
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from steadygrad.covariance import (
    DenseStructure,
    ExponentialCovariance,
    RadialStructure,
    StationaryStructure,
    dataset_covariance,
    estimate_covariance,
)
from steadygrad.errors import CovarianceError, HyperparameterError, ShapeError
from steadygrad.evaluation import gather_structure, image_structure

SHAPE = (2, 4, 3)


@pytest.fixture(scope="module")
def noise() -> Tensor:
    generator = torch.Generator().manual_seed(3)
    noise = ExponentialCovariance(SHAPE, 1.5).sample(37, generator, dtype=torch.float64)
    return 0.02 * noise + 0.01  # not centred


def slow_function(noise: Tensor) -> Tensor:
    """The paper's covariance function, Eq. (16), by a loop over all pairs of pixels."""
    channels, height, width = noise.shape[1:]
    places = [(y, x) for y in range(height) for x in range(width)]
    length = round(math.hypot(height - 1, width - 1)) + 1
    total = torch.zeros(channels, channels, length, dtype=torch.float64)
    count = torch.zeros(length, dtype=torch.float64)
    for first in places:
        for second in places:
            distance = round(math.dist(first, second))
            count[distance] += 1
            for a in range(channels):
                for b in range(channels):
                    product = noise[:, a, first[0], first[1]] * noise[:, b, second[0], second[1]]
                    total[a, b, distance] += product.mean()
    function = total / count
    return function / function[:, :, 0].diagonal().mean()


def test_batches_of_any_size_equal_the_estimate_from_all_at_once(noise: Tensor) -> None:
    structure = gather_structure(iter(noise.split(10)))
    assert (structure.count, structure.unchanged) == (37, 0)
    for ours, kind in (
        (structure.dense(), DenseStructure()),
        (structure.stationary(), StationaryStructure(estimator="unbiased", repair_steps=30)),
        (structure.radial(), RadialStructure(repair_steps=30)),
    ):
        expected = estimate_covariance(noise, kind)
        torch.testing.assert_close(ours.dense(), expected.dense(), rtol=0, atol=1e-12)
        assert ours.mean_diagonal == pytest.approx(1, abs=1e-12)
    assert structure.pixel_variance == pytest.approx(noise.square().mean().item())
    scale = noise.square().mean().sqrt()
    torch.testing.assert_close(structure.mean, noise.mean(dim=0) / scale)
    assert structure.shift == pytest.approx((noise.mean(dim=0) / scale).square().mean().item())


def test_the_functions_are_those_of_a_loop_over_pairs(noise: Tensor) -> None:
    structure = gather_structure([noise])
    slow = slow_function(noise)
    torch.testing.assert_close(structure.function, slow)
    torch.testing.assert_close(structure.intra_channel, torch.stack([slow[0, 0], slow[1, 1]]))
    assert structure.channel_pairs == ((0, 1),)
    torch.testing.assert_close(structure.inter_channel, slow[0, 1].unsqueeze(0))


def test_float32_batches_are_summed_in_double_precision(noise: Tensor) -> None:
    # 500 equal batches: float32 sums would be off by 1e-6.
    single = noise[:1].float()
    structure = gather_structure(single for _ in range(500))
    assert structure.displacements.dtype == torch.float64
    torch.testing.assert_close(
        structure.function, gather_structure([single]).function, rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("decay_length", [0.7, 3.0])
def test_the_reach_of_a_known_function_comes_back(decay_length: float) -> None:
    covariance = ExponentialCovariance((3, 16, 16), decay_length)
    generator = torch.Generator().manual_seed(0)
    structure = gather_structure(covariance.sample(100, generator) for _ in range(10))
    # Between whole distances the function is read off a chord, which lies above it.
    assert structure.intra_reach == pytest.approx(decay_length, rel=0.25)
    assert structure.inter_reach == pytest.approx(structure.intra_reach, rel=0.15)


def test_channels_that_do_not_correlate_have_no_reach() -> None:
    noise = torch.randn(40, 1, 6, 6, generator=torch.Generator().manual_seed(1))
    opposite = gather_structure([torch.cat((noise, -noise), dim=1)])
    assert opposite.inter_reach is None
    grey = gather_structure([noise])
    assert grey.inter_reach is None
    assert grey.inter_channel.shape == (0, grey.function.shape[2])
    flat = gather_structure([torch.ones(2, 1, 4, 4)])
    assert math.isinf(flat.intra_reach)
    assert flat.shift == pytest.approx(1)


def test_unchanged_images_count_and_move_the_scale_alone(noise: Tensor) -> None:
    padded = gather_structure([noise, torch.zeros_like(noise)])
    alone = gather_structure([noise])
    assert (padded.count, padded.unchanged) == (74, 37)
    assert padded.pixel_variance == pytest.approx(alone.pixel_variance / 2)
    torch.testing.assert_close(padded.matrix, alone.matrix)


def test_images_too_large_for_a_matrix_never_get_one() -> None:
    generator = torch.Generator().manual_seed(0)
    structure = gather_structure([torch.randn(1, 3, 224, 224, generator=generator)])
    assert structure.matrix is None
    assert structure.function.shape[:2] == (3, 3)
    with pytest.raises(CovarianceError, match=r"150,528 pixels would take 181 GB"):
        structure.dense()


def test_the_structure_of_images_is_about_their_mean() -> None:
    generator = torch.Generator().manual_seed(2)
    pixels = torch.randint(256, (50, *SHAPE), generator=generator, dtype=torch.uint8)
    structure = image_structure(pixels, batch_size=7)
    expected = dataset_covariance(pixels, "dense").dense()
    torch.testing.assert_close(structure.dense().dense(), expected, rtol=0, atol=1e-5)
    centred = pixels.double() / 255 - pixels.double().mean(dim=0) / 255
    assert structure.pixel_variance == pytest.approx(centred.square().mean().item())
    assert structure.shift == pytest.approx(0, abs=1e-12)
    floating = image_structure(pixels.float() / 255)
    torch.testing.assert_close(floating.function, structure.function, rtol=0, atol=1e-6)


def test_what_cannot_be_gathered_is_refused(noise: Tensor) -> None:
    def none() -> Iterator[Tensor]:
        yield from ()

    with pytest.raises(CovarianceError, match="at least one batch of perturbations, got none"):
        gather_structure(none())
    with pytest.raises(CovarianceError, match="not all zero, got 4 of zeros"):
        gather_structure([torch.zeros(4, 1, 3, 3)])
    with pytest.raises(CovarianceError, match="finite perturbations, got NaN"):
        gather_structure([noise, noise * torch.nan])
    with pytest.raises(ShapeError, match=r"images \(2, 4, 3\), got torch.float64 of shape"):
        gather_structure([noise, noise[:, :1]])
    with pytest.raises(ShapeError, match=r"\(batch, channels, height, width\), got shape \(4, 3\)"):
        gather_structure([noise[0, 0]])
    with pytest.raises(ShapeError, match="at least 2 images"):
        image_structure(noise[:1])
    with pytest.raises(HyperparameterError, match="batch_size >= 1, got 0"):
        image_structure(noise, batch_size=0)
    with pytest.raises(CovarianceError, match="not all zero"):
        image_structure(torch.full((3, 1, 4, 4), 7, dtype=torch.uint8))
