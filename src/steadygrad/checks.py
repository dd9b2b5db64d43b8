"""Refusing images and labels that would give a wrong number instead of an error."""

from collections.abc import Sequence

import torch
from torch import Tensor

from steadygrad.errors import (
    HyperparameterError,
    ImageError,
    LabelError,
    ModelError,
    UnknownNameError,
)
from steadygrad.pending_checks import judge_values

__all__ = [
    "check_eps",
    "check_finite_losses",
    "check_images",
    "check_labels",
    "check_logits",
    "check_step_size",
]

NORMS = ("linf", "l2")
"""In which the size of a perturbation is measured."""

PIXEL_TOLERANCE = 1e-4
"""How far outside [0, 1] a pixel may lie through rounding before it is refused."""


def check_images(images: Tensor, *, wait: bool = True) -> None:
    """Refuse anything but a non-empty floating batch (N, C, H, W) of finite pixels in [0, 1].

    wait: False lets a GPU's pixels be judged at a later call (``pending_checks``), dtype and shape
        now: a training step is not to wait for the device.
    Raises: ImageError, naming the offending dtype, shape or value.
    """
    if not isinstance(images, Tensor):
        raise ImageError(f"expected images as a torch.Tensor, got {type(images).__name__}")
    if not images.is_floating_point():
        raise ImageError(
            f"expected floating point images in [0, 1], got {images.dtype}; "
            "did you mean images.float() / 255?"
        )
    if images.ndim != 4 or images.numel() == 0:
        raise ImageError(
            "expected a non-empty batch of images (batch, channels, height, width), "
            f"got shape {tuple(images.shape)}"
        )
    judge_values(torch.stack(images.detach().aminmax()), _judge_pixels, wait=wait)


def _judge_pixels(bounds: Sequence[float]) -> None:
    lowest, highest = bounds
    if not (lowest >= -PIXEL_TOLERANCE and highest <= 1 + PIXEL_TOLERANCE):
        if lowest != lowest or highest != highest:
            raise ImageError("expected finite pixels in [0, 1], got NaN")
        hint = "; divide by 255" if highest > 2 and lowest >= 0 else ""
        hint = hint or "; put the normalisation inside the model (PixelNormalization)"
        raise ImageError(
            f"expected pixels in [0, 1], got values from {lowest:g} to {highest:g}{hint}"
        )


def check_labels(
    labels: Tensor, batch: int, classes: int | None = None, *, wait: bool = True
) -> None:
    """Refuse anything but one int64 class index in [0, classes) per image.

    wait: as for ``check_images``.
    Raises: LabelError, naming the offending dtype, shape or label.
    """
    if not isinstance(labels, Tensor):
        raise LabelError(f"expected labels as a torch.Tensor, got {type(labels).__name__}")
    if labels.dtype != torch.int64:
        raise LabelError(f"expected int64 class indices as labels, got {labels.dtype}")
    if labels.shape != (batch,):
        raise LabelError(f"expected labels of shape ({batch},), got {tuple(labels.shape)}")

    def judge(bounds: Sequence[float]) -> None:
        lowest, highest = bounds
        if lowest < 0 or (classes is not None and highest >= classes):
            wrong = lowest if lowest < 0 else highest
            allowed = f"0 to {classes - 1}" if classes is not None else "0 or more"
            raise LabelError(f"expected labels from {allowed}, got {wrong}")

    judge_values(torch.stack(labels.aminmax()), judge, wait=wait)


def check_eps(eps: float, norm: str = "linf") -> None:
    """Refuse a radius outside [0, 1] (pixel range units), of an L2 ball below 0 or infinite.

    The L2 distance between black and white is the square root of the number of pixel values, so
    that no bound short of infinity holds for all images.

    Raises: HyperparameterError; UnknownNameError, if the norm is neither "linf" nor "l2".
    """
    if norm not in NORMS:
        raise UnknownNameError(f"expected norm one of {', '.join(NORMS)}, got {norm!r}")
    if norm == "l2":
        if not 0 <= eps < float("inf"):
            raise HyperparameterError(f"expected eps >= 0 and finite in L2, got {eps}")
    elif not 0 <= eps <= 1:
        hint = f"; did you mean {eps:g}/255?" if 1 < eps <= 255 else ""
        raise HyperparameterError(f"expected eps in [0, 1], got {eps}{hint}")


def check_step_size(step_size: float | None, norm: str = "linf") -> None:
    """Refuse a step that is not positive, or that no radius of its norm allows.

    Raises: HyperparameterError.
    """
    if step_size is None:
        return
    if norm == "l2":
        if not 0 < step_size < float("inf"):
            raise HyperparameterError(f"expected step_size > 0 and finite in L2, got {step_size}")
    elif not 0 < step_size <= 1:
        raise HyperparameterError(f"expected step_size in (0, 1], got {step_size}")


def check_logits(logits: Tensor, batch: int) -> None:
    """Refuse model outputs that are no logits: floating, (batch, classes). Values are not read.

    Raises: ModelError, naming what came instead.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        came = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise ModelError(f"expected floating point logits from the model, got {came}")
    if logits.ndim != 2 or len(logits) != batch or logits.shape[1] == 0:
        raise ModelError(
            f"expected logits of shape ({batch}, classes) from the model, got {tuple(logits.shape)}"
        )


def check_finite_losses(losses: Tensor) -> None:
    """Refuse losses, or sums of losses over steps, of which one is NaN or infinite.

    Raises: ModelError.
    """
    is_finite = losses.isfinite()
    if not is_finite.all():
        raise ModelError(
            "expected finite logits from the model, got NaN or infinity for "
            f"{int((~is_finite).sum())} of {losses.numel()} images"
        )
