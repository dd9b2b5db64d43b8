"""One mean and standard deviation, against the steps of transformers' processors on bytes."""

from typing import Any

import pytest
import torch

from steadygrad.models.image_processor import pixel_normalization

MEAN, STD = [0.5, 0.4, 0.3], [0.2, 0.25, 0.5]
NORMAL = {"image_mean": MEAN, "image_std": STD}


def processed(pixels: torch.Tensor, settings: dict[str, Any]) -> torch.Tensor:
    """Return what a processor does to pixels in [0, 1] that come as bytes, step by step."""
    values = 255 * pixels
    if settings.get("do_rescale", True):
        values = values * settings.get("rescale_factor", 1 / 255)
        values = values - 1 if settings.get("rescale_offset") else values
    mean, std = (
        torch.as_tensor(settings[name], dtype=torch.float64).reshape(-1, 1, 1)
        for name in ("image_mean", "image_std")
    )
    if settings.get("do_normalize", True):
        values = (values - mean) / std
    return values / std if settings.get("include_top") else values


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"do_rescale": False},
        {"rescale_factor": 1 / 127.5},
        {"rescale_factor": 1 / 127.5, "rescale_offset": True},
        {"rescale_factor": 1 / 127.5, "rescale_offset": True, "do_normalize": False},
        {"do_rescale": False, "do_normalize": False},
        {"image_mean": 0.5, "image_std": 0.5},
        {"include_top": True},
        {"include_top": True, "do_normalize": False},
        {"include_top": True, "image_mean": 0.5},
    ],
    ids=str,
)
def test_the_steps_of_a_processor_are_one_normalisation(changes: dict[str, Any]) -> None:
    settings = NORMAL | changes
    pixels = torch.rand(3, 2, 2, dtype=torch.float64)
    found = pixel_normalization(settings)
    assert found is not None
    mean, std = (torch.tensor(row, dtype=torch.float64).reshape(-1, 1, 1) for row in found)
    torch.testing.assert_close((pixels - mean) / std, processed(pixels, settings))


@pytest.mark.parametrize(
    "settings", [{}, {"size": 8}, NORMAL | {"do_normalize": False}, {"image_mean": MEAN}], ids=str
)
def test_without_a_mean_or_work_pixels_stay_as_they_are(settings: dict[str, Any]) -> None:
    assert pixel_normalization(settings) is None
