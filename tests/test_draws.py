"""Draws of an image: its own, whatever the batch, and as random as they claim."""

import pytest
import torch

from steadygrad.attacks import FGSM, NES, PGD, LongRangeCorrelated, NoisyFGSM, RandomNoise
from steadygrad.batch_share import BatchShare, share_of_batch
from steadygrad.distributed import Ranks
from steadygrad.draws import ImageDraws, ShareDraws, integers, normal, uniform
from steadygrad.errors import HyperparameterError, ShapeError

CPU = torch.device("cpu")
IMAGES = torch.arange(10)


def splitmix(state: int) -> int:
    """One step of the published generator, in Python's unbounded integers."""
    z = state
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) % (1 << 64)
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) % (1 << 64)
    return z ^ (z >> 31)


def test_the_first_draw_is_that_of_the_published_generator() -> None:
    golden = 0x9E3779B97F4A7C15
    stream = splitmix((splitmix(7) + golden) % (1 << 64))
    expected = [splitmix((stream + place * golden) % (1 << 64)) for place in (1, 2, 3)]
    drawn = ImageDraws(torch.tensor([7])).bits((1, 3))[0].tolist()
    assert [number % (1 << 64) for number in drawn] == expected


@pytest.mark.parametrize("rows", [slice(0, 4), slice(3, 10), slice(9, 10)])
def test_a_part_of_the_batch_draws_what_the_whole_one_draws(rows: slice) -> None:
    whole, part = ImageDraws.of(5, IMAGES), ImageDraws.of(5, IMAGES[rows])
    size = len(IMAGES[rows])
    for draw in (uniform, normal):
        a = draw((10, 3, 4), whole, dtype=torch.float32, device=CPU)
        b = draw((size, 3, 4), part, dtype=torch.float32, device=CPU)
        assert torch.equal(a[rows], b)
    a = integers(0, 7, (2, 10, 1), whole, device=CPU, image_axis=1)
    b = integers(0, 7, (2, size, 1), part, device=CPU, image_axis=1)
    assert torch.equal(a[:, rows], b)


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("total", [2, 10])
def test_a_share_draws_what_a_generator_draws_for_the_whole_batch(rank: int, total: int) -> None:
    whole, share = torch.Generator().manual_seed(5), BatchShare(Ranks(rank, 3), total)
    own = ShareDraws(torch.Generator().manual_seed(5))
    size = max(share.size, 1)  # of two images, the third process draws the first one's
    with share_of_batch(share):
        for draw in (uniform, normal):
            a = draw((total, 3, 4), whole, dtype=torch.float32, device=CPU)
            b = draw((size, 3, 4), own, dtype=torch.float32, device=CPU)
            assert torch.equal(a[share.rows], b)
        a = integers(0, 7, (2, total, 1), whole, device=CPU, image_axis=1)
        b = integers(0, 7, (2, size, 1), own, device=CPU, image_axis=1)
        assert torch.equal(a[:, share.rows], b)
        with pytest.raises(ShapeError, match=rf"draws for {size} images along axis 0"):
            uniform((size + 1, 2), own, dtype=torch.float32, device=CPU)
    assert own.draws == 3
    with pytest.raises(ShapeError, match="expected draws for a declared share"):
        uniform((size, 2), own, dtype=torch.float32, device=CPU)


def test_draws_seeds_and_entries_differ() -> None:
    draws = ImageDraws.of(5, IMAGES)
    first = uniform((10, 100), draws, dtype=torch.float64, device=CPU)
    second = uniform((10, 100), draws, dtype=torch.float64, device=CPU)
    other = uniform((10, 100), ImageDraws.of(6, IMAGES), dtype=torch.float64, device=CPU)
    together = torch.cat([first, second, other]).flatten()
    assert len(together.unique()) == len(together)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_uniform_numbers_are_uniform_and_below_one(dtype: torch.dtype) -> None:
    drawn = uniform((500, 400), ImageDraws.of(1, torch.arange(500)), dtype=dtype, device=CPU)
    assert drawn.dtype == dtype
    assert 0 <= drawn.min() <= drawn.max() < 1
    counts = torch.histc(drawn.float(), bins=64, min=0, max=1)
    expected = drawn.numel() / 64
    chi_squared = ((counts - expected).square() / expected).sum().item()
    assert abs(chi_squared - 63) < 5 * (2 * 63) ** 0.5
    for neighbours in (drawn.double(), drawn.double().t()):  # within and across images
        a, b = neighbours[:-1].flatten() - 0.5, neighbours[1:].flatten() - 0.5
        assert abs((12 * a * b).mean().item()) < 5 / len(a) ** 0.5


def test_normal_numbers_have_the_normal_moments() -> None:
    drawn = normal((500, 400), ImageDraws.of(2, torch.arange(500)), dtype=torch.float64, device=CPU)
    for power, moment, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        error = drawn.pow(power).mean().item() - moment
        assert abs(error) < 5 * (variance / drawn.numel()) ** 0.5


def test_integers_are_in_range_and_equally_likely() -> None:
    drawn = integers(1, 8, (700, 100), ImageDraws.of(3, torch.arange(700)), device=CPU)
    counts = torch.bincount(drawn.flatten(), minlength=8).double()
    assert counts[0] == 0
    assert (counts[1:] - 10_000).abs().max() < 5 * 10_000**0.5


def test_an_ordinary_generator_draws_as_ever() -> None:
    def seeded() -> torch.Generator:
        return torch.Generator().manual_seed(4)

    expected = torch.rand(3, 2, generator=seeded())
    assert torch.equal(uniform((3, 2), seeded(), dtype=torch.float32, device=CPU), expected)
    expected = torch.randn(3, 2, generator=seeded())
    assert torch.equal(normal((3, 2), seeded(), dtype=torch.float32, device=CPU), expected)
    expected = torch.randint(1, 9, (3, 2), generator=seeded())
    assert torch.equal(integers(1, 9, (3, 2), seeded(), device=CPU), expected)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match=r"int64 seeds of shape \(batch,\)"):
        ImageDraws(torch.rand(3))
    with pytest.raises(HyperparameterError, match="seed from 0"):
        ImageDraws.of(-1, IMAGES)
    with pytest.raises(ShapeError, match=r"draws for 10 images along axis 0, got shape \(3, 2\)"):
        ImageDraws.of(1, IMAGES).bits((3, 2))
    with pytest.raises(TypeError):  # code that draws for the whole batch
        torch.rand(10, generator=ImageDraws.of(1, IMAGES))


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(eps=0.1),
        NoisyFGSM(eps=0.1),
        PGD(eps=0.1, steps=3),
        PGD(eps=0.1, steps=2, restarts=2),
        PGD(eps=0.5, steps=2, norm="l2"),
        PGD(eps=0.1, steps=2, target="random"),
        RandomNoise(eps=0.1, samples=3),
        RandomNoise(eps=0.1, distribution="sign"),
        NES(eps=0.1, steps=2, queries=40),
        LongRangeCorrelated(eps=0.1, samples=2),
    ],
    ids=repr,
)
def test_an_attack_on_half_a_batch_ends_where_it_ends_on_the_whole(attack: PGD) -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(1, 3, 3), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(108, 10)
    ).double()
    images, labels = torch.rand(10, 1, 8, 8, dtype=torch.float64), IMAGES % 10
    whole = attack(model, images, labels, generator=ImageDraws.of(8, IMAGES))
    parts = [
        attack(model, images[rows], labels[rows], generator=ImageDraws.of(8, IMAGES[rows]))
        for rows in (slice(0, 3), slice(3, 10))
    ]
    torch.testing.assert_close(torch.cat(parts), whole, rtol=0, atol=1e-12)
