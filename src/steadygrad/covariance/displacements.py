"""Tables over the displacements (dy, dx) between two pixels of an image, and their torus.

A table has shape (..., 2 H - 1, 2 W - 1), displacement (0, 0) in its middle. On a torus the same
values stand in FFT order, displacement (0, 0) first.
"""

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.circulant import correlate, fast_length
from steadygrad.covariance.operator import ImageShape
from steadygrad.errors import ShapeError

__all__ = [
    "autocorrelation",
    "check_displacements",
    "pair_counts",
    "rounded_distances",
    "table_of",
    "torus_kernel",
    "torus_of",
]


def torus_of(image_shape: ImageShape) -> tuple[int, int]:
    """Return the sizes of a torus that is fast to transform and lets no displacement wrap."""
    _, height, width = image_shape
    return fast_length(2 * height - 1), fast_length(2 * width - 1)


def pair_counts(image_shape: ImageShape, device: torch.device | None = None) -> Tensor:
    """Return how many pairs of pixels of an image have each displacement, a table, int64."""
    _, height, width = image_shape
    rows = height - torch.arange(1 - height, height, device=device).abs()
    columns = width - torch.arange(1 - width, width, device=device).abs()
    return rows[:, None] * columns


def rounded_distances(image_shape: ImageShape, device: torch.device | None = None) -> Tensor:
    """Return the distance of each displacement, rounded to whole pixels, a table, int64."""
    _, height, width = image_shape
    rows = torch.arange(1 - height, height, device=device, dtype=torch.float64)
    columns = torch.arange(1 - width, width, device=device, dtype=torch.float64)
    return torch.hypot(rows[:, None], columns).round().long()


def autocorrelation(images: Images) -> Tensor:
    """Return the sum over pixel pairs ``x_a(q + delta) x_b(q)``, averaged over the images.

    Returns a table (channels, channels, 2 H - 1, 2 W - 1), symmetric: ``[a, b]`` at delta is
    ``[b, a]`` at -delta.
    """
    _, _, height, width = images.shape
    torus = fast_length(2 * height - 1), fast_length(2 * width - 1)
    kernel = correlate(images, torus) / len(images)
    table = table_of(kernel, height, width)
    # Some processors round the two sides differently, which few pairs, far apart, amplify.
    return (table + table.flip(-2, -1).transpose(0, 1)) / 2


def table_of(kernel: Tensor, height: int, width: int) -> Tensor:
    """Return the table of an H x W image's displacements from a kernel in FFT order."""
    centred = kernel.roll((height - 1, width - 1), (-2, -1))
    return centred[..., : 2 * height - 1, : 2 * width - 1]


def torus_kernel(table: Tensor, image_shape: ImageShape, *, bridged: bool) -> Tensor:
    """Return a table in FFT order on its torus, the few displacements beyond the image filled in.

    bridged: by a straight line between the two ends, which keeps a long-ranged function from
        ending in a jump that would ring as negative power; False: by 0.
    """
    for axis, length in zip((-2, -1), torus_of(image_shape), strict=True):
        last, first = table.narrow(axis, -1, 1), table.narrow(axis, 0, 1)
        size = table.shape[axis]
        gap = length - size
        fills = [torch.zeros_like(last)] * gap
        if bridged:
            weights = [step / (gap + 1) for step in range(1, gap + 1)]
            fills = [(1 - weight) * last + weight * first for weight in weights]
        table = torch.cat((table, *fills), dim=axis).roll(-(size // 2), axis)
    return table


def check_displacements(table: Tensor, image_shape: ImageShape) -> None:
    """Refuse a table of covariances that is not one over the images' displacements.

    Raises: ShapeError.
    """
    channels, height, width = image_shape
    expected = (channels, channels, 2 * height - 1, 2 * width - 1)
    if table.shape != expected:
        raise ShapeError(
            f"expected displacements of shape {expected} for images {image_shape}, "
            f"got {tuple(table.shape)}"
        )
