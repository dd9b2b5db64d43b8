"""Rotations and elastic deformations against scipy and against pixels whose place is known."""

import math

import pytest
import torch
from torch import Tensor

from steadygrad.datasets import ElasticDeformation, Rotation


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def places(height: int, width: int, count: int = 1) -> Tensor:
    """Images of two channels that say their own row and column, scaled to [0, 1]."""
    rows = torch.linspace(0, 1, height, dtype=torch.float64)[:, None].expand(height, width)
    columns = torch.linspace(0, 1, width, dtype=torch.float64)[None, :].expand(height, width)
    return torch.stack([rows, columns]).expand(count, -1, -1, -1).contiguous()


def test_a_rotation_is_the_drawn_one() -> None:
    height, width, count = 21, 15, 200
    found = Rotation(30.0)(places(height, width, count), generator())
    down = found[:, 0] * (height - 1) - (height - 1) / 2
    right = found[:, 1] * (width - 1) - (width - 1) / 2
    # The pixel three to the right of the centre was read at (cos, -sin) times three.
    angles = torch.atan2(-down[:, 10, 10], right[:, 10, 10])
    assert torch.hypot(down[:, 10, 10], right[:, 10, 10]) == pytest.approx(
        torch.full((count,), 3.0, dtype=torch.float64)
    )
    degrees = angles.rad2deg()
    assert degrees.abs().max() <= 30
    assert degrees.std().item() == pytest.approx(60 / math.sqrt(12), rel=0.1)
    assert abs(degrees.mean().item()) < 4 * 60 / math.sqrt(12 * count)
    # The centre stays, and another pixel of the same image turned by the same angle.
    assert down[:, 10, 7].abs().max() < 1e-9
    assert down[:, 6, 7] == pytest.approx(-4 * angles.cos())
    assert right[:, 6, 7] == pytest.approx(-4 * angles.sin())


@pytest.mark.parametrize("step", [Rotation(180.0), ElasticDeformation(3.0, 2.0)])
def test_places_beyond_the_edge_repeat_it(step: Rotation | ElasticDeformation) -> None:
    grey = torch.full((8, 3, 9, 12), 0.3)
    assert step(grey, generator()) == pytest.approx(grey, abs=1e-6)


def test_elastic_moves_have_their_size_and_are_smooth() -> None:
    side, count, smoothness = 161, 4, 3.0
    found = ElasticDeformation(1.5, smoothness)(places(side, side, count), generator())
    moves = (found - places(side, side, count)) * (side - 1)
    inside = moves[..., 12:-12, 12:-12]
    assert inside.square().mean().sqrt().item() == pytest.approx(1.5, rel=0.15)
    # Noise that a Gaussian of width s smoothed changes by 1 / (sqrt(2) s) of itself in a pixel.
    turn = inside.diff(dim=-1).square().mean().sqrt().item()
    assert turn == pytest.approx(1.5 / (math.sqrt(2) * smoothness), rel=0.15)


def test_without_a_size_nothing_moves() -> None:
    images = torch.rand(3, 2, 11, 8, generator=generator(1))
    assert ElasticDeformation(0.0)(images, generator()) == pytest.approx(images, abs=1e-6)


@pytest.mark.parametrize("step", [Rotation(15.0), ElasticDeformation()])
def test_half_precision_reads_the_same_places(step: Rotation | ElasticDeformation) -> None:
    images = torch.rand(2, 1, 64, 64, generator=generator(1))
    exact = step(images, generator())
    half = step(images.bfloat16(), generator())
    assert half.dtype == torch.bfloat16
    assert half.float() == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("step", [Rotation(15.0), ElasticDeformation()])
def test_channels_of_an_image_move_together_and_images_apart(
    step: Rotation | ElasticDeformation,
) -> None:
    image = torch.rand(1, 1, 16, 16, generator=generator(1))
    found = step(image.expand(2, 3, -1, -1), generator())
    assert torch.equal(found[:, 0], found[:, 2])
    assert not torch.equal(found[0], found[1])
