"""Refusing images and labels that would give a wrong number instead of an error."""

import weakref
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from numbers import Integral, Real
from typing import Any, TypeGuard

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
    "check_batch_size",
    "check_eps",
    "check_finite_losses",
    "check_images",
    "check_kind",
    "check_labels",
    "check_logits",
    "check_number",
    "check_step_size",
    "check_target_values",
    "first_time",
    "is_like",
    "reading_waits",
    "until_it_passes",
]

NORMS = ("linf", "l2")
"""In which the size of a perturbation is measured."""

PIXEL_TOLERANCE = 1e-4
"""How far outside [0, 1] a pixel may lie through rounding before it is refused."""


PROBABILITY_TOLERANCE = 1e-3
"""How far from 1 the probabilities of an image's classes may add up to through rounding."""


def check_images(images: Tensor, *, wait: bool = True) -> None:
    """Refuse anything but a non-empty floating batch (N, C, H, W) of finite pixels in [0, 1].

    Args:
        images: what was given as such.
        wait: False judges dtype and shape now and a GPU's pixels at a later call
            (``pending_checks``): a training step is not to wait for the device.

    Raises:
        ImageError: names the offending dtype, shape or value.
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

    Args:
        labels: what was given as such.
        batch: how many images there are.
        classes: how many there are; None if not known.
        wait: as for ``check_images``.

    Raises:
        LabelError: names the offending dtype, shape or label.
    """
    if not isinstance(labels, Tensor):
        raise LabelError(f"expected labels as a torch.Tensor, got {type(labels).__name__}")
    if labels.dtype != torch.int64:
        raise LabelError(f"expected int64 class indices as labels, got {labels.dtype}")
    if labels.shape != (batch,):
        raise LabelError(f"expected labels of shape ({batch},), got {tuple(labels.shape)}")

    def judge(bounds: Sequence[float]) -> None:
        lowest, highest = (int(bound) for bound in bounds)
        if lowest < 0 or (classes is not None and highest >= classes):
            wrong = lowest if lowest < 0 else highest
            allowed = f"0 to {classes - 1}" if classes is not None else "0 or more"
            raise LabelError(f"expected labels from {allowed}, got {wrong}")

    judge_values(torch.stack(labels.aminmax()), judge, wait=wait)


def check_target_values(targets: Tensor, batch: int, *, wait: bool = True) -> None:
    """Refuse floating labels that are no probabilities: (batch,), or (batch, classes) adding to 1.

    Args:
        targets: what was given as such.
        batch: how many images there are.
        wait: as for ``check_images``.

    Raises:
        LabelError: names the shape or value.
    """
    if targets.ndim not in (1, 2) or len(targets) != batch or targets.numel() == 0:
        raise LabelError(
            f"expected probabilities of shape ({batch}, classes) as labels, "
            f"got {tuple(targets.shape)}"
        )
    furthest = targets.new_zeros(())
    if targets.ndim == 2 and targets.shape[1] > 1:
        furthest = (targets.sum(dim=1) - 1).abs().max()
    tolerance = max(PROBABILITY_TOLERANCE, 4 * torch.finfo(targets.dtype).eps)

    def judge(numbers: Sequence[float]) -> None:
        lowest, highest, off = numbers
        if not (lowest >= 0 and highest <= 1 + PROBABILITY_TOLERANCE):
            raise LabelError(
                f"expected int64 class indices as labels, got {targets.dtype} that are no "
                f"probabilities either, from {lowest:g} to {highest:g}"
            )
        if off > tolerance:
            raise LabelError(
                "expected the probabilities of an image's classes to add up to 1, got a sum that "
                f"is {off:g} off"
            )

    judge_values(torch.stack((*targets.aminmax(), furthest)).detach(), judge, wait=wait)


def reading_waits(tensor: Tensor) -> bool:
    """Return whether reading a number of the tensor waits for work that runs beside Python."""
    return tensor.device.type != "cpu"


_seen: dict[int, set[Hashable]] = {}


def first_time(subject: Any, topic: Hashable) -> bool:
    """Return True the first time that an object and a topic come together, then False.

    What is remembered goes with the object; nothing is written into it.
    """
    subject = getattr(subject, "__self__", subject)  # a bound method is made anew at each access
    key = id(subject)
    if key not in _seen:
        with suppress(TypeError):  # an object without weak references is remembered for good
            weakref.finalize(subject, _seen.pop, key, None).atexit = False
        _seen[key] = set()
    if topic in _seen[key]:
        return False
    _seen[key].add(topic)
    return True


@contextmanager
def until_it_passes(subject: Any, topic: Hashable) -> Iterator[bool]:
    """Yield whether a check is due: it is until the block has once ended without an error."""
    is_due = first_time(subject, topic)
    try:
        yield is_due
    except BaseException:
        if is_due:
            _seen[id(getattr(subject, "__self__", subject))].discard(topic)
        raise


def check_number(name: str, value: object) -> None:
    """Refuse what is no real number, such as a text.

    Raises: HyperparameterError.
    """
    if not isinstance(value, Real | Tensor):
        hint = f"; write {value} without quotes" if isinstance(value, str) else ""
        raise HyperparameterError(f"expected a number as {name}, got {value!r}{hint}")


def is_like(made: object, images: Tensor) -> TypeGuard[Tensor]:
    """Return whether something is a tensor of the images' shape and dtype."""
    return isinstance(made, Tensor) and made.shape == images.shape and made.dtype == images.dtype


def check_kind(who: str, made: object, images: Tensor) -> None:
    """Refuse what is not a tensor of the images' shape and dtype.

    who: opens the sentence, such as "the attack PGD".
    Raises: ImageError.
    """
    if is_like(made, images):
        return
    if not isinstance(made, Tensor):
        raise ImageError(f"{who} returned {type(made).__name__}, not a tensor")
    raise ImageError(
        f"{who} returned {made.dtype} of shape {tuple(made.shape)} for images of {images.dtype} "
        f"and shape {tuple(images.shape)}"
    )


def check_batch_size(batch_size: object) -> None:
    """Refuse anything but a whole number of at least 1 that torch can count to.

    Raises: HyperparameterError.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, Integral) or batch_size < 1:
        raise HyperparameterError(f"expected batch_size >= 1, got {batch_size!r}")
    if int(batch_size) >= 2**63:
        raise HyperparameterError(f"expected batch_size < 2^63, got {batch_size!r}")


def check_eps(eps: float, norm: str = "linf", *, norms: Sequence[str] = NORMS) -> None:
    """Refuse a radius outside [0, 1] (pixel range units), of an L2 or L1 ball below 0 or infinite.

    The distance between black and white is the number of pixel values in L1 and its square root in
    L2, so that no bound short of infinity holds for all images.

    Args:
        norms: those there are for the one who asks.

    Raises: HyperparameterError; UnknownNameError, if there is no such norm.
    """
    if norm not in norms:
        raise UnknownNameError(f"expected norm one of {', '.join(norms)}, got {norm!r}")
    check_number("eps", eps)
    if norm != "linf":
        if not 0 <= eps < float("inf"):
            raise HyperparameterError(f"expected eps >= 0 and finite in {norm.upper()}, got {eps}")
    elif not 0 <= eps <= 1:
        # From 2 on: 256/255 is a mistake of another kind.
        hint = f"; did you mean {eps:g}/255?" if 2 <= eps <= 255 else ""
        raise HyperparameterError(f"expected eps in [0, 1], got {eps}{hint}")


def check_step_size(step_size: float | None, norm: str = "linf") -> None:
    """Refuse a step that is not positive, or that no radius of its norm allows.

    Raises: HyperparameterError.
    """
    if step_size is None:
        return
    check_number("step_size", step_size)
    if norm == "l2":
        if not 0 < step_size < float("inf"):
            raise HyperparameterError(f"expected step_size > 0 and finite in L2, got {step_size}")
    elif not 0 < step_size <= 1:
        raise HyperparameterError(f"expected step_size in (0, 1], got {step_size}")


def check_logits(logits: object, batch: int) -> None:
    """Refuse model outputs that are no logits: floating, (batch, classes). Values are not read.

    Raises: ModelError, naming what came instead.
    """
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        came, hint = type(logits).__name__, ""
        if isinstance(logits, Tensor):
            came = str(logits.dtype)
        elif isinstance(logits, Mapping | tuple | list) or hasattr(logits, "logits"):
            hint = "; steadygrad.models.Classifier(model) takes the logits out of it"
        raise ModelError(f"expected floating point logits from the model, got {came}{hint}")
    if logits.ndim != 2 or len(logits) != batch or logits.shape[1] == 0:
        raise ModelError(
            f"expected logits of shape ({batch}, classes) from the model, got {tuple(logits.shape)}"
        )


def check_finite_losses(losses: Tensor) -> None:
    """Refuse losses, their sums over steps, or rows of logits of which one is NaN or infinite.

    losses: (batch,), or (batch, classes).

    Raises: ModelError.
    """
    is_finite = losses.isfinite()
    if losses.ndim > 1:
        is_finite = is_finite.all(dim=1)
    if not is_finite.all():
        raise ModelError(
            "expected finite logits from the model, got NaN or infinity for "
            f"{int((~is_finite).sum())} of {len(losses)} images"
        )
