"""Laws of the corruptions: the pixel range, their draws, and what each of them does."""

import pytest
import torch

from steadygrad.errors import HyperparameterError, ImageError
from steadygrad.evaluation.corruptions import (
    BrightnessGradient,
    ContrastGradient,
    Corruption,
    ElasticDeformation,
    Fog,
    GaussianBlur,
    JpegCompression,
    Shift,
    ShotNoise,
)

ALL: tuple[Corruption, ...] = (
    BrightnessGradient(),
    ContrastGradient(),
    Fog(),
    GaussianBlur(),
    JpegCompression(),
    ShotNoise(),
    Shift(),
    ElasticDeformation(),
)
DRAWN = tuple(c for c in ALL if not isinstance(c, GaussianBlur | JpegCompression))
each = pytest.mark.parametrize("corruption", ALL, ids=repr)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(channels: int = 3) -> torch.Tensor:
    return torch.rand(5, channels, 12, 10, generator=seeded(1))


@each
@pytest.mark.parametrize("channels", [1, 3])
def test_images_change_and_stay_images(corruption: Corruption, channels: int) -> None:
    images = batch(channels)
    before = images.clone()
    found = corruption(images, seeded())
    assert found.shape == images.shape
    assert found.dtype == images.dtype
    assert 0 <= found.min() <= found.max() <= 1
    assert not torch.equal(found, images)
    assert torch.equal(images, before)


@each
def test_the_same_draws_give_the_same_images(corruption: Corruption) -> None:
    assert torch.equal(corruption(batch(), seeded()), corruption(batch(), seeded()))


@pytest.mark.parametrize("corruption", DRAWN, ids=repr)
def test_every_image_has_draws_of_its_own(corruption: Corruption) -> None:
    same = batch()[:1].expand(5, -1, -1, -1).contiguous()
    found = corruption(same, seeded())
    assert len({tuple(image.flatten().tolist()) for image in found}) > 1


@each
def test_what_is_no_image_is_refused(corruption: Corruption) -> None:
    with pytest.raises(ImageError, match="expected pixels in"):
        corruption(255 * batch(), seeded())


def test_a_brightness_gradient_is_a_plane_of_its_size() -> None:
    grey = torch.full((4, 1, 9, 9), 0.5)
    change = BrightnessGradient(0.3)(grey, seeded()) - 0.5
    torch.testing.assert_close(change.abs().amax(dim=(1, 2, 3)), torch.full((4,), 0.3))
    for axis in (2, 3):
        bend = change.diff(dim=axis).diff(dim=axis)
        torch.testing.assert_close(bend, torch.zeros_like(bend), rtol=0, atol=1e-6)


def test_a_contrast_gradient_spares_one_side_and_takes_from_the_other() -> None:
    images = batch(1).double()
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    left = (ContrastGradient(0.8)(images, seeded()) - mean) / (images - mean)
    assert left.min().item() == pytest.approx(0.2)
    assert left.max().item() == pytest.approx(1)


def test_fog_brightens_and_varies_slowly() -> None:
    black = torch.zeros(8, 1, 32, 32)
    clouds = Fog(1.0)(black, seeded())
    assert clouds.min().item() == pytest.approx(0.5)
    assert clouds.max().item() == pytest.approx(1)
    steps = clouds.diff(dim=3).square().mean()
    assert steps < 0.5 * clouds.var()  # white noise has 2


def test_blur_is_a_normal_kernel() -> None:
    dot = torch.zeros(1, 1, 21, 21)
    dot[0, 0, 10, 10] = 1
    found = GaussianBlur(1.5)(dot, seeded())[0, 0]
    places = torch.arange(21) - 10.0
    variance = (found.sum(dim=0) * places.square()).sum()
    assert found.sum().item() == pytest.approx(1, abs=1e-5)
    assert variance.item() == pytest.approx(1.5**2, rel=0.05)


def test_shot_noise_has_the_variance_of_its_photons() -> None:
    grey = torch.full((1, 1, 200, 200), 0.4)
    found = ShotNoise(100)(grey, seeded())
    assert found.mean().item() == pytest.approx(0.4, abs=0.002)
    assert found.var().item() == pytest.approx(0.4 / 100, rel=0.05)


def test_a_shift_moves_whole_pixels() -> None:
    images = torch.zeros(64, 1, 9, 9)
    images[:, 0, 4, 4] = 1
    rows, columns = Shift(2)(images, seeded())[:, 0].nonzero()[:, 1:].unbind(dim=1)
    assert len(rows) == 64
    assert set(rows.tolist()) == set(columns.tolist()) == {2, 3, 4, 5, 6}


def test_elastic_moves_are_as_long_as_they_say() -> None:
    ramp = torch.linspace(0, 1, 101).expand(4, 1, 101, 101).contiguous()
    found = ElasticDeformation(2.0, 5.0)(ramp, seeded())
    moves = 100 * (found - ramp)[..., 15:-15]
    assert moves.square().mean().sqrt().item() == pytest.approx(2, rel=0.25)
    assert ElasticDeformation(0.0)(ramp, seeded()) == pytest.approx(ramp, abs=1e-5)


def test_better_quality_leaves_more() -> None:
    smooth = torch.linspace(0, 1, 16).expand(2, 3, 16, 16).contiguous()
    errors = [(JpegCompression(q)(smooth, seeded()) - smooth).abs().mean() for q in (95, 5)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: BrightnessGradient(1.5), "size from 0 to 1, got 1.5"),
        (lambda: JpegCompression(100), "quality from 1 to 95, got 100"),
        (lambda: ShotNoise(0), "photons from 0.001"),
        (lambda: Shift(0), "pixels from 1"),
        (lambda: JpegCompression()(torch.rand(1, 2, 8, 8), seeded()), "1 or 3 channels"),
    ],
)
def test_what_is_out_of_range_is_refused(make, text: str) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(HyperparameterError, match=text):
        make()
