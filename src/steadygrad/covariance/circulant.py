"""Products with block-circulant matrices through the FFT: the arithmetic behind stationarity.

A kernel ``K`` (channels, channels, rows, columns) lives on a torus: entry ``[a, b, dy, dx]``, with
displacements modulo the torus, is the covariance of channel ``a`` at a pixel with channel ``b`` at
the pixel ``(dy, dx)`` before it. A torus of at least ``2 H - 1`` rows and ``2 W - 1`` columns holds
every displacement inside an H x W image, so that nothing wraps around.
"""

import torch
from torch import Tensor

from steadygrad._typing import Images

__all__ = ["convolve", "correlate", "fast_length", "inverse_window", "mix", "reverse", "transform"]


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
