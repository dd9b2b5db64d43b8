"""Laws of the SVHN preprocessing."""

import numpy as np
import torch

from steadygrad.datasets import centre_luminance


def reference(image: np.ndarray) -> np.ndarray:
    """One image (3, 32, 32) by the formula, in double precision."""
    red, green, blue = image[:, 2:30, 2:30].astype(np.float64)
    grey = 0.2989 * red + 0.5870 * green + 0.1140 * blue
    return (grey - grey.min()) / (grey.max() - grey.min())


def test_agrees_with_the_formula(pixels) -> None:
    images = pixels(5, 3, 32, 32)
    result = centre_luminance(torch.from_numpy(images))
    assert result.shape == (5, 1, 28, 28)
    for ours, image in zip(result, images, strict=True):
        np.testing.assert_allclose(ours[0].numpy(), reference(image), atol=2e-6)


def test_every_image_is_stretched_to_the_whole_range(pixels) -> None:
    result = centre_luminance(torch.from_numpy(pixels(4, 3, 32, 32) // 4 + 60))
    assert torch.equal(result.amin(dim=(1, 2, 3)), torch.zeros(4))
    assert torch.equal(result.amax(dim=(1, 2, 3)), torch.ones(4))


def test_the_border_plays_no_part(pixels) -> None:
    images = torch.from_numpy(pixels(2, 3, 32, 32))
    changed = images.clone()
    changed[:, :, :2], changed[:, :, 30:], changed[..., :2], changed[..., 30:] = 0, 255, 7, 9
    assert torch.equal(centre_luminance(images), centre_luminance(changed))


def test_a_constant_image_is_black_and_the_faintest_contrast_is_not() -> None:
    images = torch.full((2, 3, 32, 32), 137, dtype=torch.uint8)
    images[1, 2, 10, 10] += 1
    result = centre_luminance(images)
    assert torch.equal(result[0], torch.zeros(1, 28, 28))
    assert result[1].sum() == result[1, 0, 8, 8] == 1
