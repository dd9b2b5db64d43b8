"""Laws of steadygrad.datasets.augmentation."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import pad

from steadygrad.datasets import (
    AUGMENTATIONS,
    AugmentationStep,
    ElasticDeformation,
    GaussianNoise,
    HorizontalFlip,
    RandomCrop,
    Rotation,
    UniformNoise,
    augment,
)
from steadygrad.errors import HyperparameterError, ImageError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def images(n: int, channels: int = 3, height: int = 7, width: int = 5) -> Tensor:
    return torch.rand(n, channels, height, width, generator=generator(1))


ALL_KINDS = (
    HorizontalFlip(),
    RandomCrop(2, "constant"),
    Rotation(10.0),
    ElasticDeformation(),
    UniformNoise(0.1),
)


def crops(
    image: Tensor, padding: int, mode: str, value: float
) -> dict[tuple[int, int, bool], Tensor]:
    """Every flip and crop of one image, by padding and slicing."""
    height, width = image.shape[-2:]
    found = {}
    for flipped in (False, True):
        source = image.flip(-1) if flipped else image
        if mode == "edge":
            padded = pad(source[None], (padding,) * 4, mode="replicate")[0]
        else:
            padded = pad(source, (padding,) * 4, value=value)
        for top in range(2 * padding + 1):
            for left in range(2 * padding + 1):
                cut = padded[:, top : top + height, left : left + width]
                found[top, left, flipped] = cut
    return found


@pytest.mark.parametrize("mode", ["edge", "constant"])
def test_each_image_is_one_of_its_flips_and_crops_and_all_of_them_occur(mode: str) -> None:
    batch = images(600)
    steps = (HorizontalFlip(), RandomCrop(2, mode, 0.25))
    result = augment(batch, steps, generator())
    seen = set()
    for before, after in zip(batch, result, strict=True):
        matching = [
            place
            for place, crop in crops(before, 2, mode, 0.25).items()
            if torch.equal(crop, after)
        ]
        assert len(matching) == 1
        seen.update(matching)
    assert len(seen) == 5 * 5 * 2


def test_offsets_and_flips_are_drawn_uniformly_and_independently() -> None:
    # Each pixel says its own column and row, so the middle pixel tells where it was read from.
    side, padding, n = 9, 1, 18_000
    places = torch.arange(side * side).view(1, 1, side, side).float() / side**2
    steps = (HorizontalFlip(), RandomCrop(padding))
    result = augment(places.expand(n, -1, -1, -1), steps, generator())
    number = (result * side**2).round().long()
    is_flipped = number[:, 0, 4, 4] > number[:, 0, 4, 5]
    rows = number[:, 0, 4, 4] // side - 4
    columns = torch.where(is_flipped, 4 - number[:, 0, 4, 4] % side, number[:, 0, 4, 4] % side - 4)
    counts = torch.zeros(2, 3, 3)
    counts.index_put_((is_flipped.long(), rows + 1, columns + 1), torch.ones(n), accumulate=True)
    expected = n / 18
    assert (counts - expected).abs().max() < 5 * math.sqrt(expected)


def test_without_steps_the_images_pass_and_nothing_is_drawn() -> None:
    batch, state = images(3), generator()
    assert augment(batch, (), state) is batch
    assert torch.equal(state.get_state(), generator().get_state())


def test_flip_alone_and_crop_alone() -> None:
    batch = images(64)
    flipped = HorizontalFlip()(batch, generator())
    assert all(
        torch.equal(after, before) or torch.equal(after, before.flip(-1))
        for before, after in zip(batch, flipped, strict=True)
    )
    moved = RandomCrop(1, "constant", 0.0)(batch, generator())
    kept = (moved == batch).flatten(1).all(dim=1)
    assert 0 < kept.sum() < 32


def test_gaussian_and_uniform_noise_have_their_scale() -> None:
    grey = torch.full((40, 1, 50, 50), 0.5)
    gaussian = GaussianNoise(0.05)(grey, generator()) - 0.5
    assert abs(gaussian.mean()) < 5 * 0.05 / math.sqrt(grey.numel())
    assert abs(gaussian.std() / 0.05 - 1) < 5 / math.sqrt(2 * grey.numel())
    uniform = UniformNoise(0.1)(grey, generator()) - 0.5
    assert uniform.abs().max() <= 0.1 + 1e-6
    assert uniform.abs().max() > 0.0999
    assert abs(uniform.std() / (0.1 / math.sqrt(3)) - 1) < 5 / math.sqrt(grey.numel())


def test_noise_is_added_after_the_crop_and_clamped_last() -> None:
    batch = torch.ones(50, 1, 8, 8)
    steps = (RandomCrop(2, "constant", 0.5), UniformNoise(0.2))
    result = augment(batch, steps, generator())
    assert result.max() == 1
    padding = result[result < 0.75]
    assert len(padding) > 0
    assert len(padding.unique()) > len(padding) // 2  # the padding is noisy too
    assert result[result > 0.75].min() >= 0.8 - 1e-6


@settings(deadline=None, derandomize=True, max_examples=50)
@given(
    flip=st.sampled_from([(), (HorizontalFlip(),)]),
    crop=st.just(())
    | st.builds(RandomCrop, st.integers(1, 3), st.sampled_from(["edge", "constant"])).map(
        lambda crop: (crop,)
    ),
    noise=st.sampled_from([(), (GaussianNoise(0.3),), (UniformNoise(1.0),), (GaussianNoise(0.0),)]),
    shape=st.tuples(*[st.integers(1, 4)] * 2, *[st.integers(4, 9)] * 2),
    seed=st.integers(0, 2**30),
)
def test_stays_in_range_leaves_its_input_and_follows_from_the_generator(
    flip: tuple[AugmentationStep, ...],
    crop: tuple[AugmentationStep, ...],
    noise: tuple[AugmentationStep, ...],
    shape: tuple[int, ...],
    seed: int,
) -> None:
    batch = torch.rand(shape, generator=generator(seed))
    before = batch.clone()
    steps = (*flip, *crop, *noise)
    result = augment(batch, steps, generator(seed))
    assert result.shape == batch.shape
    assert result.dtype == batch.dtype
    assert result.min() >= 0
    assert result.max() <= 1
    assert torch.equal(batch, before)
    assert torch.equal(result, augment(batch, steps, generator(seed)))


def test_another_seed_gives_another_result() -> None:
    first, second = (augment(images(4), ALL_KINDS, generator(seed)) for seed in (0, 1))
    assert not torch.equal(first, second)


def test_double_precision_is_kept() -> None:
    assert augment(images(2).double(), ALL_KINDS, generator()).dtype == torch.float64


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_draws_on_the_images_device() -> None:
    batch = images(64).cuda()
    result = augment(batch, ALL_KINDS, torch.Generator("cuda").manual_seed(0))
    assert result.device.type == "cuda"
    assert torch.equal(result, augment(batch, ALL_KINDS, torch.Generator("cuda").manual_seed(0)))
    with pytest.raises(HyperparameterError, match="generator on cuda"):
        augment(batch, ALL_KINDS, generator())


def test_padding_as_large_as_the_image_is_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"below the images' side 5, got 5"):
        RandomCrop(5)(images(2), generator())


PARTS = [
    ("flip", HorizontalFlip()),
    ("crop:4", RandomCrop(4)),
    ("crop:2,mode=constant,value=0", RandomCrop(2, "constant", 0.0)),
    ("rotate:10", Rotation(10.0)),
    ("elastic:1.5,smoothness=4", ElasticDeformation(1.5, 4.0)),
    ("gaussian:0.05", GaussianNoise(0.05)),
    ("uniform:8/255", UniformNoise(8 / 255)),
]


@pytest.mark.parametrize(("text", "step"), PARTS)
def test_text_table_and_object_are_the_same(text: str, step: AugmentationStep) -> None:
    assert AUGMENTATIONS.parse(text) == step
    assert AUGMENTATIONS.text(step) == text
    assert AUGMENTATIONS.build(AUGMENTATIONS.table(step)) == step


def test_every_registered_step_is_tried() -> None:
    assert {type(step) for _, step in PARTS} == set(AUGMENTATIONS)


@pytest.mark.parametrize("step", [step for _, step in PARTS], ids=repr)
def test_every_step_keeps_shape_dtype_range_and_its_input(step: AugmentationStep) -> None:
    for dtype in (torch.float32, torch.float64):
        batch = torch.rand(5, 3, 9, 8, dtype=dtype, generator=generator())
        before = batch.clone()
        result = step(batch, generator(1))
        assert (result.shape, result.dtype) == (batch.shape, dtype)
        assert torch.equal(batch, before)
        assert 0 <= result.min() <= result.max() <= 1
        assert torch.equal(step(batch, generator(1)), result)
        assert not torch.equal(step(batch, generator(2)), result)


def test_bytes_are_refused() -> None:
    batch = (images(2) * 255).to(torch.uint8)
    with pytest.raises(ImageError, match=r"got torch\.uint8; divide bytes by 255"):
        augment(batch, ALL_KINDS, generator())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("crop:0", "padding >= 1, got 0"),
        ("crop:1.5", r"expected a whole number, got '1\.5'"),
        ("crop:2,mode=reflect", "'reflect'"),
        ("crop:2,value=3", r"value in \[0, 1\], got 3"),
        ("rotate:0", "degrees above 0 and at most 180, got 0"),
        ("rotate:200", "degrees above 0 and at most 180, got 200"),
        ("elastic:30", "size from 0 to 20, got 30"),
        ("elastic:1,smoothness=0", "smoothness from 0.001 to 10, got 0"),
        ("gaussian:8", r"got 8\.0; did you mean 8/255\?"),
        ("uniform:-1", r"noise scale in \[0, 1\], got -1"),
        ("gaussian:1/0", "expected a number, got '1/0'"),
        ("gaussian:nan", "a finite number, got nan"),
        ("gaussian", "needs a value for std"),
        ("flop", "did you mean 'flip'"),
    ],
)
def test_parts_that_mean_nothing_are_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        AUGMENTATIONS.parse(text)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"padding": 1.5}, r"padding as a number of pixels, got 1\.5"),
        ({"padding": True}, r"padding as a number of pixels, got True"),
        ({"padding": 2, "mode": "reflect"}, r"mode edge or constant, got 'reflect'"),
        ({"padding": 2, "value": 128}, r"value in \[0, 1\], got 128"),
    ],
)
def test_a_constructor_refuses_them_too(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        RandomCrop(**arguments)
