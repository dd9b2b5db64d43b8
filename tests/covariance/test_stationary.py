"""The stationary, radial and block operators against slow references over pairs of pixels."""

import itertools
import math
from collections.abc import Callable, Hashable
from typing import Any

import pytest
import torch
from torch import Tensor

from steadygrad.covariance import (
    BlockCovariance,
    BlockStructure,
    ExponentialCovariance,
    RadialCovariance,
    RadialStructure,
    StationaryCovariance,
    StationaryStructure,
    autocorrelation,
    decay_length,
    estimate_covariance,
    pair_counts,
    radial_function,
)
from steadygrad.covariance.displacements import fast_length, torus_kernel
from steadygrad.covariance.semidefinite import repaired as repaired_kernel
from steadygrad.errors import CovarianceError, HyperparameterError, ShapeError, UnknownNameError

SHAPE = (2, 4, 3)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def noise(count: int = 6) -> Tensor:
    white = torch.randn(count, *SHAPE, dtype=torch.float64, generator=seeded(0))
    return white + 0.7 * white.roll(1, -2) - 0.3 * white.roll(1, 1)


Pixel = tuple[int, int, int]


def pixel_list() -> list[Pixel]:
    return list(itertools.product(*map(range, SHAPE)))


def second_moments(images: Tensor) -> Tensor:
    """Eq. (15), as a loop over images."""
    total = torch.zeros(math.prod(SHAPE), math.prod(SHAPE), dtype=torch.float64)
    for image in images:
        total += torch.outer(image.flatten(), image.flatten())
    return total / len(images)


def averaged_by(key: Callable[[Pixel, Pixel], Hashable], matrix: Tensor) -> Tensor:
    """Replace each entry by the mean of all entries with the same key(pixel, pixel)."""
    groups: dict[Hashable, list[tuple[int, int]]] = {}
    for (i, p), (j, q) in itertools.product(enumerate(pixel_list()), repeat=2):
        groups.setdefault(key(p, q), []).append((i, j))
    averaged = torch.empty_like(matrix)
    for entries in groups.values():
        rows, columns = map(list, zip(*entries, strict=True))
        averaged[rows, columns] = matrix[rows, columns].mean()
    return averaged


def by_displacement(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    return p[0], q[0], p[1] - q[1], p[2] - q[2]


def by_rounded_distance(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    return min(p[0], q[0]), max(p[0], q[0]), round(math.hypot(p[1] - q[1], p[2] - q[2]))


def by_row_distance(p: tuple[int, ...], q: tuple[int, ...]) -> tuple[int, ...]:
    return p[0], q[0], p[1] - q[1], p[2], q[2]


def taper() -> Tensor:
    pixels = pixel_list()
    _, height, width = SHAPE
    rows = [
        [(1 - abs(p[1] - q[1]) / height) * (1 - abs(p[2] - q[2]) / width) for q in pixels]
        for p in pixels
    ]
    return torch.tensor(rows, dtype=torch.float64)


def unit(matrix: Tensor) -> Tensor:
    return matrix / matrix.diagonal().mean()


def test_biased_estimate_is_the_tapered_average_over_pairs_at_a_displacement() -> None:
    estimate = estimate_covariance(noise(), StationaryStructure(estimator="biased"))
    expected = taper() * averaged_by(by_displacement, second_moments(noise()))
    torch.testing.assert_close(estimate.dense(), unit(expected))


@pytest.mark.parametrize("shape", [(2, 4, 3), (1, 5, 7), (3, 1, 6), (1, 8, 1), (3, 6, 6)], ids=str)
@pytest.mark.parametrize("estimator", ["biased", "unbiased"])
def test_equals_the_dense_matrix_of_its_displacements_to_float64_rounding(
    shape: tuple[int, int, int], estimator: Any
) -> None:
    perturbations = torch.randn(9, *shape, dtype=torch.float64, generator=seeded(0)) + 0.1
    structure = StationaryStructure(estimator=estimator)
    covariance = estimate_covariance(perturbations, structure)
    assert isinstance(covariance, StationaryCovariance)
    # Entry by entry from the table, and nothing that knows of transforms.
    _, height, width = shape
    pixels = list(itertools.product(*map(range, shape)))
    table = covariance.displacements
    matrix = torch.tensor(
        [
            [table[a, b, height - 1 + y - v, width - 1 + x - u].item() for b, v, u in pixels]
            for a, y, x in pixels
        ],
        dtype=torch.float64,
    )
    images = torch.randn(4, *shape, dtype=torch.float64, generator=seeded(1))
    expected = (images.flatten(start_dim=1) @ matrix).view_as(images)
    scale = matrix.abs().sum(dim=1).max() * images.abs().max()
    assert (covariance.apply(images) - expected).abs().max() <= 1e-14 * scale
    assert (covariance.dense() - matrix).abs().max() <= 1e-14 * matrix.abs().sum(dim=1).max()


def test_unbiased_estimate_of_many_images_is_the_average_over_pairs() -> None:
    # White noise is far from indefinite, so nothing has to be repaired.
    white = torch.randn(4000, *SHAPE, dtype=torch.float64, generator=seeded(0))
    estimate = estimate_covariance(white, StationaryStructure(estimator="unbiased"))
    expected = averaged_by(by_displacement, second_moments(white))
    assert isinstance(estimate, StationaryCovariance)
    assert estimate.repair is not None
    assert estimate.repair.change == 0
    torch.testing.assert_close(estimate.dense(), unit(expected))


def test_table_of_displacements_comes_back() -> None:
    table = autocorrelation(noise())
    covariance = estimate_covariance(noise(), "stationary")
    assert isinstance(covariance, StationaryCovariance)
    scale = covariance.displacements[0, 0, 3, 2] / table[0, 0, 3, 2]
    torch.testing.assert_close(covariance.displacements, table * scale)
    again = StationaryCovariance.from_displacements(table, SHAPE, repair_steps=100)
    torch.testing.assert_close(again.displacements, table, rtol=0, atol=0.01 * table.max().item())
    assert table.shape == (2, 2, 7, 5)
    # By hand: channel 0 at a pixel with channel 1 one row down and one column to the left.
    by_hand = sum(
        image[0, y, x] * image[1, y + 1, x - 1]
        for image in noise()
        for y in range(3)
        for x in (1, 2)
    )
    torch.testing.assert_close(table[0, 1, 3 - 1, 2 + 1], by_hand / len(noise()))


def test_nothing_wraps_around_the_edges() -> None:
    image = torch.zeros(1, 1, 1, 6, 6, dtype=torch.float64)[0]
    image[0, 0, 0, 0] = 1.0
    table = torch.zeros(1, 1, 11, 11, dtype=torch.float64)
    table[0, 0, 5, 5], table[0, 0, 5, 4], table[0, 0, 5, 6] = 2.0, 1.0, 1.0
    covariance = StationaryCovariance.from_displacements(table, (1, 6, 6))
    expected = torch.zeros_like(image)
    expected[0, 0, 0, 0], expected[0, 0, 0, 1] = 2.0, 1.0
    torch.testing.assert_close(covariance.apply(image), expected)


def test_signed_displacements_are_told_apart() -> None:
    # The second channel is the first, one column to the right.
    white = torch.randn(2000, 1, 4, 4, dtype=torch.float64, generator=seeded(0))
    images = torch.cat((white[..., :3], white[..., 1:]), dim=1)
    covariance = estimate_covariance(images, StationaryStructure(estimator="unbiased"))
    assert isinstance(covariance, StationaryCovariance)
    # Channel 1 at (y, x) is channel 0 at (y, x + 1): one pixel before it.
    table = covariance.displacements
    assert (table[1, 0, 3, 2 - 1] - table[0, 0, 3, 2]).abs() < 0.1
    assert table[1, 0, 3, 2 + 1].abs() < 0.1


def test_an_autocorrelation_is_symmetric_to_the_last_bit() -> None:
    images = torch.randn(3, 2, 96, 80, generator=torch.Generator().manual_seed(0))
    table = autocorrelation(images)
    assert torch.equal(table, table.flip(-2, -1).transpose(0, 1))
    corner = (images[:, 0, -1, -1] * images[:, 1, 0, 0]).mean()
    assert table[0, 1, -1, -1].item() == pytest.approx(corner.item(), abs=2e-3)


def test_radial_function_averages_over_rounded_distances() -> None:
    sums = autocorrelation(noise())
    function = radial_function(sums / pair_counts(SHAPE), SHAPE)
    expected = averaged_by(by_rounded_distance, second_moments(noise()))
    pixels = pixel_list()
    for (i, p), (j, q) in itertools.product(enumerate(pixels), repeat=2):
        distance = round(math.hypot(p[1] - q[1], p[2] - q[2]))
        torch.testing.assert_close(function[p[0], q[0], distance], expected[i, j])


def test_an_indefinite_radial_function_is_repaired_and_the_repair_reported() -> None:
    # A hard edge: correlation 0.9 up to distance 2, then none.
    function = torch.tensor([1.0, 0.9, 0.9, 0.0], dtype=torch.float64).view(1, 1, 4)
    shape = (1, 6, 6)
    covariance = RadialCovariance.from_function(function, shape)
    repaired = covariance.dense()
    distances = torch.cdist(*2 * [torch.cartesian_prod(torch.arange(6.0), torch.arange(6.0))])
    before = torch.where(distances.round() == 0, 1.0, 0.9).double()
    before[distances.round() > 2] = 0.0
    assert torch.linalg.eigvalsh(before)[0] < -0.5
    assert torch.linalg.eigvalsh(repaired)[0] > -1e-12
    assert covariance.repair is not None
    assert covariance.repair.smallest_eigenvalue < 0
    assert 0 < covariance.repair.negative_share < 1
    change = (repaired - before).norm() / before.norm()
    assert covariance.repair.change == pytest.approx(change.item(), rel=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_the_radial_function_its_repair_is_semidefinite(seed: int) -> None:
    channels, height, width = shape = (1 + seed % 3, 5, 3 + seed)
    distances = round(math.hypot(height - 1, width - 1)) + 1
    function = torch.randn(
        channels, channels, distances, dtype=torch.float64, generator=seeded(seed)
    )
    function = function + function.transpose(0, 1)
    function.diagonal()[0] = 2.0  # the variances, at distance 0
    covariance = RadialCovariance.from_function(function, shape)
    assert covariance.repair is not None and covariance.repair.smallest_eigenvalue < 0
    eigenvalues = torch.linalg.eigvalsh(covariance.dense())
    assert eigenvalues[0] >= -1e-12 * eigenvalues[-1]
    images = torch.randn(200, *shape, dtype=torch.float64, generator=seeded(seed))
    energies = (images * covariance.apply(images)).sum(dim=(1, 2, 3))
    assert energies.min() >= -1e-12 * energies.max()


def test_more_repair_steps_come_nearer() -> None:
    function = torch.tensor([1.0, 0.9, 0.9, 0.0], dtype=torch.float64).view(1, 1, 4)
    changes = []
    for steps in (0, 3, 30):
        covariance = RadialCovariance.from_function(function, (1, 6, 6), repair_steps=steps)
        assert covariance.repair is not None
        changes.append(covariance.repair.change)
    assert changes[0] > changes[1] > changes[2]


def test_radial_estimate_without_rounding_trouble_is_the_average_over_pairs() -> None:
    white = torch.randn(4000, *SHAPE, dtype=torch.float64, generator=seeded(0))
    covariance = estimate_covariance(white, RadialStructure())
    expected = averaged_by(by_rounded_distance, second_moments(white))
    torch.testing.assert_close(covariance.dense(), unit(expected))


def test_block_estimate_is_the_average_over_rows_at_a_distance() -> None:
    white = torch.randn(4000, *SHAPE, dtype=torch.float64, generator=seeded(0))
    covariance = estimate_covariance(white, BlockStructure(reach=3))
    expected = averaged_by(by_row_distance, second_moments(white))
    assert isinstance(covariance, BlockCovariance)
    assert covariance.repair is not None
    assert covariance.repair.change == 0
    torch.testing.assert_close(covariance.dense(), unit(expected))


def test_block_reach_drops_what_is_farther() -> None:
    white = torch.randn(4000, *SHAPE, dtype=torch.float64, generator=seeded(0))
    near = estimate_covariance(white, BlockStructure(reach=1)).dense()
    rows = torch.tensor([p[1] for p in pixel_list()])
    is_far = (rows[:, None] - rows).abs() > 1
    assert near[is_far].abs().max() < 1e-12
    full = estimate_covariance(white, BlockStructure(reach=3)).dense()
    torch.testing.assert_close(near[~is_far], full[~is_far])


@pytest.mark.parametrize("length", [0.5, 3.0, 50.0])
def test_exponential_function_is_exact_at_every_pair_of_pixels(length: float) -> None:
    covariance = ExponentialCovariance(SHAPE, length).dense()
    pixels = pixel_list()
    for (i, p), (j, q) in itertools.product(enumerate(pixels), repeat=2):
        expected = math.exp(-math.hypot(p[1] - q[1], p[2] - q[2]) / length)
        expected *= 1.0 if p[0] == q[0] else 0.5
        assert covariance[i, j].item() == pytest.approx(expected, abs=1e-12)


def test_exponential_samples_of_large_images_come_from_the_transform() -> None:
    shape = (2, 65, 64)  # above CHOLESKY_LIMIT
    covariance = ExponentialCovariance(shape, 3.0)
    sample = covariance.sample(200, seeded(0), dtype=torch.float64)
    near = [(0, 0, 0, 1.0), (0, 0, 2, 1.0), (0, 1, 0, 0.5), (1, 1, 1, 1.0), (0, 1, 3, 0.5)]
    for first, second, shift, factor in near:
        products = sample[:, first, :-1, : 64 - shift] * sample[:, second, 1:, shift:]
        expected = factor * math.exp(-math.hypot(1, shift) / 3.0)
        # The images are independent: the spread of their means tells the error.
        means = products.mean(dim=(1, 2))
        assert (means.mean() - expected).abs() <= 5 * means.std() / math.sqrt(len(means))


def test_decay_length_interpolates_the_crossing_of_one_over_e() -> None:
    exponential = torch.exp(-torch.arange(40, dtype=torch.float64) / 8.0)
    assert decay_length(3.0 * exponential) == pytest.approx(8.0, abs=0.01)
    assert decay_length(torch.tensor([1.0, 0.0])) == pytest.approx(1 - 1 / math.e)
    assert decay_length(torch.ones(5)) == math.inf
    with pytest.raises(ShapeError, match="positive at distance 0"):
        decay_length(torch.tensor([0.0, 1.0]))


def test_large_images_take_linear_memory() -> None:
    shape = (3, 224, 224)
    for covariance in (
        ExponentialCovariance(shape, 16.0),
        estimate_covariance(torch.randn(1, *shape, generator=seeded(0))),
    ):
        image = torch.randn(1, *shape, generator=seeded(1))
        assert (covariance.apply(image) * image).sum() > 0
        assert covariance.sample(1, seeded(2)).shape == (1, *shape)


def test_fast_lengths_are_even_and_factor_into_small_primes() -> None:
    assert [fast_length(n) for n in (1, 7, 15, 55, 63, 127, 447)] == [2, 8, 16, 60, 64, 128, 450]


@pytest.mark.parametrize("length", [0.0, -1.0, math.nan, math.inf])
def test_a_decay_length_that_is_none_is_refused(length: float) -> None:
    with pytest.raises(HyperparameterError, match="decay_length > 0 pixels"):
        ExponentialCovariance(SHAPE, length)


def test_settings_outside_their_range_are_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"inter_channel in \[-0\.5, 1\]"):
        ExponentialCovariance((3, 4, 4), 2.0, inter_channel=-0.6)
    with pytest.raises(UnknownNameError, match="biased, unbiased, got 'fair'"):
        StationaryStructure(estimator="fair")  # type: ignore[arg-type] # the point
    with pytest.raises(HyperparameterError, match="repair_steps >= 0"):
        RadialStructure(repair_steps=-1)
    with pytest.raises(HyperparameterError, match="at least 0 rows"):
        BlockStructure(reach=-1)


def test_tables_that_are_no_covariance_are_refused() -> None:
    table = autocorrelation(noise())
    with pytest.raises(ShapeError, match=r"\(2, 2, 7, 5\)"):
        StationaryCovariance.from_displacements(table[:, :, 1:], SHAPE)
    lopsided = table.clone()
    lopsided[0, 1, 0, 0] += table.abs().max()
    with pytest.raises(CovarianceError, match="symmetric"):
        StationaryCovariance.from_displacements(lopsided, SHAPE)
    with pytest.raises(CovarianceError, match="NaN"):
        StationaryCovariance.from_displacements(table * math.nan, SHAPE)
    kernel = StationaryCovariance.from_displacements(table, SHAPE).kernel
    with pytest.raises(CovarianceError, match="semidefinite"):
        StationaryCovariance(-kernel, SHAPE)
    with pytest.raises(ShapeError, match="kernel of shape"):
        StationaryCovariance(kernel, (2, 8, 3))
    with pytest.raises(ShapeError, match="function of shape"):
        RadialCovariance.from_function(torch.ones(4), SHAPE)
    with pytest.raises(ShapeError, match="1 to 4 blocks"):
        BlockCovariance.from_blocks(torch.ones(1, 2, 2), SHAPE)
    with pytest.raises(CovarianceError, match="symmetric"):
        BlockCovariance.from_blocks(torch.randn(1, 6, 6), SHAPE)


@pytest.mark.parametrize("side", [4, 5])
def test_the_negative_share_is_that_of_all_eigenvalues(side: int) -> None:
    draws = torch.Generator().manual_seed(side)
    kernel = torch.randn(1, 1, side, dtype=torch.float64, generator=draws)
    kernel = kernel + kernel.flip(-1).roll(1, -1)  # symmetric on the circle
    places = torch.arange(side)
    eigenvalues = torch.linalg.eigvalsh(kernel[0, 0][(places[:, None] - places) % side])
    share = eigenvalues.clamp(max=0).abs().sum() / eigenvalues.abs().sum()
    assert 0 < share < 1
    _, repair = repaired_kernel(kernel, torch.ones(side), 0)
    assert repair.negative_share == pytest.approx(share.item())


def test_between_the_largest_displacements_a_bridge_is_a_straight_line() -> None:
    table = torch.arange(-13.0, 14.0).view(1, 1, 1, 27)  # of images 1x14, on a circle of 30
    row = torus_kernel(table, (1, 1, 14), bridged=True)[0, 0, 0]
    assert row.tolist() == [*range(14), 6.5, 0.0, -6.5, *range(-13, 0)]


def test_the_spectrum_of_large_images_has_the_covariances_of_the_function() -> None:
    covariance = ExponentialCovariance((1, 66, 66), 33.0)
    root = covariance._pixel_root(torch.float64, torch.device("cpu"))
    spectrum = root.square().to(torch.complex128)
    row = torch.fft.irfft2(spectrum, s=covariance._sampling_torus)[0, :66]
    torch.testing.assert_close(row, (-torch.arange(66.0, dtype=torch.float64) / 33).exp())
