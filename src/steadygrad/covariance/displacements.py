"""Functions of the displacement between two pixels: tables, kernels on a torus, and their FFT.

A table has shape (..., 2 H - 1, 2 W - 1), displacement (0, 0) in its middle. On a torus the same
values stand in FFT order, displacement (0, 0) first.

A kernel ``K`` (channels, channels, rows, columns) lives on a torus: entry ``[a, b, dy, dx]``, with
displacements modulo the torus, is the covariance of channel ``a`` at a pixel with channel ``b`` at
the pixel ``(dy, dx)`` before it. A torus of at least ``2 H - 1`` rows and ``2 W - 1`` columns holds
every displacement inside an H x W image, so that nothing wraps around.
"""

import math

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.covariance.operator import ImageShape
from steadygrad.errors import ShapeError

__all__ = [
    "autocorrelation",
    "check_displacements",
    "convolve",
    "correlate",
    "decay_length",
    "fast_length",
    "inverse_window",
    "mix",
    "pair_counts",
    "radial_function",
    "reverse",
    "rounded_distances",
    "table_of",
    "torus_kernel",
    "torus_of",
    "transform",
]


def fast_length(minimum: int) -> int:
    """Return the smallest even number >= minimum without prime factors above 5.

    Against allowing 7: 450 measured twice as fast as 448 = 2^6 * 7, whose stride of a power of
    two collides in the cache.
    """
    length = max(minimum + minimum % 2, 2)
    while _without_small_factors(length) != 1:
        length += 2
    return length


def transform(images: Images, torus: tuple[int, int]) -> Tensor:
    """Return the half spectrum of each zero-padded image: (..., rows, columns // 2 + 1)."""
    # One axis at a time: the first transform skips the rows that are padding.
    spectra: Tensor = torch.fft.fft(torch.fft.rfft(images, n=torus[1]), n=torus[0], dim=-2)
    return spectra


def inverse_window(spectra: Tensor, columns: int, window: tuple[int, int]) -> Tensor:
    """Return the top left ``window`` of the real images with these half spectra."""
    rows = torch.fft.ifft(spectra, dim=-2)[..., : window[0], :]
    images: Tensor = torch.fft.irfft(rows, n=columns)
    return images[..., : window[1]]


def mix(spectrum: Tensor, spectra: Tensor) -> list[Tensor]:
    """Multiply the channels at each frequency by a matrix; return the channels of the result.

    spectrum: (channels, channels, rows, half columns); spectra: (batch, channels, rows, half).
    """
    # Sums of products: einsum and matmul would move the channels last, at 3 to 5 times the time.
    mixed = []
    for row in spectrum:
        total = row[0] * spectra[:, 0]
        for channel in range(1, len(row)):
            total.addcmul_(row[channel], spectra[:, channel])
        mixed.append(total)
    return mixed


def convolve(images: Images, spectrum: Tensor, torus: tuple[int, int]) -> Images:
    """Return the images convolved with the kernel of that half spectrum, cut to their size.

    spectrum: (channels, channels, rows, half columns), or (rows, half columns) for each channel
        alone.
    """
    spectra, window = transform(images, torus), (images.shape[-2], images.shape[-1])
    if spectrum.ndim == 2:
        return inverse_window(spectrum * spectra, torus[1], window)
    mixed = mix(spectrum, spectra)
    return torch.stack([inverse_window(part, torus[1], window) for part in mixed], dim=1)


def correlate(images: Images, torus: tuple[int, int]) -> Tensor:
    """Return ``sum_n sum_q x_n,a(q + delta) x_n,b(q)`` on the torus, (channels, channels, *torus).

    images: (batch, channels, height, width), no larger than half the torus.
    """
    channels = images.shape[1]
    spectra = transform(images, torus)
    kernel = images.new_empty(channels, channels, *torus)
    for a in range(channels):
        for b in range(a, channels):
            spectrum = (spectra[:, a] * spectra[:, b].conj()).sum(dim=0)
            kernel[a, b] = torch.fft.irfft2(spectrum, s=torus)
            if b > a:
                kernel[b, a] = reverse(kernel[a, b])
    return kernel


def reverse(kernel: Tensor) -> Tensor:
    """Return ``K(-delta)``, displacements over the last two axes modulo the torus."""
    return kernel.flip(-2, -1).roll((1, 1), (-2, -1))


def _without_small_factors(number: int) -> int:
    for factor in (2, 3, 5):
        while number % factor == 0:
            number //= factor
    return number


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


def radial_function(displacements: Tensor, image_shape: ImageShape) -> Tensor:
    """Average a table of covariances over all pairs of pixels at the same rounded distance.

    displacements: (channels, channels, 2 H - 1, 2 W - 1), as in ``StationaryCovariance``.
    Returns (channels, channels, distances), distance 0 first: the intra-channel functions on the
    diagonal, the inter-channel ones, symmetric, beside it.
    Raises: ShapeError.
    Source: Roth et al., arXiv:1805.08736, Eq. (16) and Fig. 2.
    """
    check_displacements(displacements, image_shape)
    distances = rounded_distances(image_shape, displacements.device).flatten()
    pairs = pair_counts(image_shape, displacements.device).to(displacements.dtype).flatten()
    length = int(distances.max()) + 1
    totals = displacements.new_zeros(*displacements.shape[:2], length)
    totals.index_add_(2, distances, displacements.flatten(start_dim=2) * pairs)
    counts = pairs.new_zeros(length).index_add_(0, distances, pairs)
    function = totals / counts
    return (function + function.transpose(0, 1)) / 2


def decay_length(function: Tensor) -> float:
    """Return the distance at which a covariance function first falls to 1/e of its value at 0.

    function: (distances,), positive at 0. The distance is in pixels, by linear interpolation, and
    infinite if the function stays above.
    Raises: ShapeError, if it is not one function positive at 0.
    Source: Roth et al., arXiv:1805.08736, footnote 5.
    """
    if function.ndim != 1 or not function[0] > 0:
        raise ShapeError(
            "expected one covariance function, (distances,), positive at distance 0, "
            f"got shape {tuple(function.shape)}"
        )
    threshold = function[0] / math.e
    below = (function <= threshold).nonzero()
    if len(below) == 0:
        return float("inf")
    after = int(below[0])
    higher, lower = function[after - 1], function[after]
    return after - 1 + ((higher - threshold) / (higher - lower)).item()
