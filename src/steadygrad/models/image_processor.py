"""What an image processor of transformers does to pixels, as one mean and standard deviation."""

from collections.abc import Mapping
from typing import Any

__all__ = ["pixel_normalization"]


def pixel_normalization(
    settings: Mapping[str, Any],
) -> tuple[tuple[float, ...], tuple[float, ...]] | None:
    """Return mean and std of ``(x - mean) / std``, x in [0, 1], that equals a processor's work.

    A processor takes bytes ``255 x``, multiplies them by ``rescale_factor`` (1/255), subtracts 1
    where it has ``rescale_offset``, and then normalises; ``do_rescale`` and ``do_normalize`` switch
    these steps off, and ``include_top`` (EfficientNet) divides by ``image_std`` once more.

    Args:
        settings: of the processor, such as those of its ``preprocessor_config.json``.

    Returns:
        One number a channel, or one for all; None where pixels in [0, 1] stay as they are, or the
        mean is not told.
    """
    scale, offset = 255.0, 0.0
    if settings.get("do_rescale", True) is not False:
        factor = settings.get("rescale_factor")
        scale = 1.0 if factor is None else 255.0 * float(factor)
        offset = 1.0 if settings.get("rescale_offset") else 0.0
    mean, std = (_row(settings.get(f"image_{name}")) for name in ("mean", "std"))
    does_normalize = settings.get("do_normalize") is not False
    if does_normalize and (mean is None or std is None):
        return None
    means = mean if does_normalize and mean is not None else (0.0,)
    stds = std if does_normalize and std is not None else (1.0,)
    if settings.get("include_top") and std is not None:
        longest = max(len(stds), len(std))
        pairs = zip(_of_length(stds, longest), _of_length(std, longest), strict=True)
        stds = tuple(first * second for first, second in pairs)
    if (means, stds, offset) == ((0.0,), (1.0,), 0.0) and abs(scale - 1) < 1e-6:
        return None
    return tuple((one + offset) / scale for one in means), tuple(one / scale for one in stds)


def _of_length(row: tuple[float, ...], length: int) -> tuple[float, ...]:
    return row * length if len(row) == 1 else row


def _row(value: Any) -> tuple[float, ...] | None:
    if value is None or isinstance(value, int | float):
        return None if value is None else (float(value),)
    return tuple(float(number) for number in value)
