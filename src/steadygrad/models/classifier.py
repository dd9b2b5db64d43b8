"""Anyone's network as a classifier of pixels: preprocessing inside, plain logits outside."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import interpolate
from torch.nn.modules.conv import _ConvNd

from steadygrad._typing import Images, Logits
from steadygrad.error_text import described
from steadygrad.errors import HyperparameterError, ModelError, SteadygradError
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.held_statistics import held_statistics
from steadygrad.layers import PixelNormalization
from steadygrad.layers.hand_written.torch_internals import is_plain_eager
from steadygrad.logits import logits_of
from steadygrad.model_answer import changes_of

__all__ = [
    "Classifier",
    "check_fits",
    "differentiable_attention",
    "grey_output",
    "has_fused_attention",
    "refuse_without_numbers",
]

_OF_SIZE = re.compile(r"\b(sizes?|shapes?|small|height|width|resolution)\b", re.IGNORECASE)
"""Words by which errors of networks and layers speak of an image's side."""


class Classifier(nn.Module):
    """Map images in [0, 1], (N, channels, height, width), to logits (N, classes).

    The given network may expect normalised images. It may return logits, a dict, a dataclass or a
    transformers output with ``logits``, or a tuple that begins with them and holds no other matrix.
    It may work in place on what it is given, which is a copy then. Because its preprocessing lies
    inside, ``eps`` is in pixels everywhere.

    Args:
        model: the network; its own keys are those of ``classifier.model.state_dict()``.
        mean: one number a channel, in pixel units; None for a network that takes pixels.
        std: one positive number a channel; None where ``mean`` is None.
        class_names: one a class, in the order of the logits; empty where they are not known.
        image_size: side of the images that the network was made for, for those who load data; None
            where it is not known.
        resize: scale images of another size to this side, inside the model (bilinear, smoothed
            where they shrink); None takes them as they come.
        fused_attention: let PyTorch choose fused attention kernels, which are faster but have no
            second derivative; without them attention is computed by differentiable operations.
        taken_from: where the preprocessing comes from, for messages and results.

    Raises:
        HyperparameterError: a setting is outside its range.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        class_names: Sequence[str] = (),
        image_size: int | None = None,
        resize: int | None = None,
        fused_attention: bool = False,
        taken_from: str = "",
    ) -> None:
        super().__init__()
        if (mean is None) != (std is None):
            raise HyperparameterError(f"expected both mean and std or neither, got {mean}, {std}")
        for name, side in (("image_size", image_size), ("resize", resize)):
            if side is not None and side < 1:
                raise HyperparameterError(f"expected {name} >= 1 pixel, got {side}")
        self.normalization: nn.Module = (
            nn.Identity() if mean is None or std is None else PixelNormalization(mean, std)
        )
        self.model = model
        self.class_names = tuple(class_names)
        self.image_size, self.resize = image_size, resize
        self.fused_attention, self.taken_from = fused_attention, taken_from
        self._changes_images: dict[bool, bool] = {}  # by the mode, training or not
        self.weight_notes: tuple[str, ...] = ()
        """What had to be understood of the file that the weights came from."""

    def forward(self, images: Images) -> Logits:
        """Return the logits of a batch.

        Raises:
            ShapeError: the images have another number of channels than ``mean``.
            ModelError: the network returns no logits.
        """
        if self.resize is not None and images.shape[-2:] != (self.resize, self.resize):
            shrinks = max(images.shape[-2:]) > self.resize
            images = interpolate(
                images, (self.resize, self.resize), mode="bilinear", antialias=shrinks
            )
        with nullcontext() if self.fused_attention else differentiable_attention():
            return logits_of(self._ask(self.normalization(images), images))

    def _ask(self, prepared: Images, images: Images) -> Any:
        """Return the network's output; the caller's images stay, whatever it does in place."""
        if prepared is not images or self._changes_images.get(self.training) is False:
            return self.model(prepared)
        prepared = images.clone()
        before = changes_of(prepared)
        output = self.model(prepared)
        if before is not None and is_plain_eager():  # a transform's tensors count no changes
            has_changed = self._changes_images.get(self.training, False)
            self._changes_images[self.training] = has_changed or changes_of(prepared) != before
        return output

    def describe(self) -> str:
        """Return what lies in front of the network, in one sentence."""
        parts = []
        if isinstance(self.normalization, PixelNormalization):
            mean, std = (
                "/".join(f"{value:.4g}" for value in buffer.tolist())
                for buffer in (self.normalization.mean, self.normalization.std)
            )
            parts.append(f"mean {mean} and std {std}")
        if self.image_size is not None:
            parts.append(f"image size {self.image_size}")
        if self.class_names:
            parts.append(f"{len(self.class_names)} class names")
        if self.resize is not None:
            parts.append(f"images scaled to {self.resize} inside the model")
        source = f" (from {self.taken_from})" if self.taken_from and parts else ""
        told = (", ".join(parts) or "pixels in [0, 1] go in as they are") + source
        return "; ".join((told, *self.weight_notes))


@contextmanager
def differentiable_attention() -> Iterator[None]:
    """Let attention be computed by operations that have a second derivative.

    A ``Classifier`` does so in its forward. A network whose layers are computed anew in the
    backward pass (``torch.utils.checkpoint``) needs it there, too: in the penalty's own, and in
    ``backward()``.
    """
    if torch.compiler.is_compiling():
        yield
        return
    with sdpa_kernel(SDPBackend.MATH):
        yield


@torch.no_grad()
def grey_output(model: nn.Module, input_shape: tuple[int, int, int]) -> Any:
    """Return what a network in eval mode returns for one grey image.

    Its mode and buffers are left as they were.
    """
    return _grey_output(model, input_shape)


def _grey_output(model: nn.Module, input_shape: tuple[int, int, int]) -> Any:
    place = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    with evaluation_mode(model), held_statistics(model, in_eval=True):
        grey = torch.full((1, *input_shape), 0.5, device=place)
        # No leaf: a network may work in place on what it is given.
        return model(grey.requires_grad_() * 1 if torch.is_grad_enabled() else grey)


def has_fused_attention(model: nn.Module, input_shape: tuple[int, int, int]) -> bool:
    """Return whether a network uses attention kernels that have no second derivative.

    Its mode and buffers are left as they were.

    Args:
        model: returns a tensor for one grey image.
        input_shape: (channels, height, width) of the image.
    """
    try:
        with torch.enable_grad():
            output = _grey_output(model, input_shape)
    except Exception:  # what it does not do under autograd is told of in the first step
        return False
    pending, seen = [output.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is None or node in seen:
            continue
        if "Attention" in node.name():  # that of differentiable operations has no node of its own
            return True
        seen.add(node)
        pending.extend(parent for parent, _ in node.next_functions)
    return False


def check_fits(
    model: nn.Module, input_shape: tuple[int, int, int], num_classes: int | None, what: str
) -> int:
    """Run one grey image through a network, and return how many classes it tells apart.

    Args:
        model: any network; its mode and buffers are left as they were.
        input_shape: (channels, height, width) of the images that it will get.
        num_classes: of these images; None for any.
        what: the network's name for the sentence.

    Raises:
        ModelError: it cannot take such images, returns no logits, or has other classes.
    """
    refuse_without_numbers(model, what)
    size = "x".join(map(str, input_shape))
    try:
        logits = logits_of(grey_output(model, input_shape))
    except Exception as error:  # whatever someone's network raises
        raise ModelError(
            f"{what} cannot take images of {size}: {_cause(error, model, input_shape[0])}"
        ) from error
    if logits.ndim != 2 or len(logits) != 1:
        raise ModelError(
            f"expected logits of shape (1, classes) from {what}, got {tuple(logits.shape)}"
        )
    classes = logits.shape[1]
    if num_classes is not None and classes != num_classes:
        raise ModelError(
            f"{what} has {classes} classes, but the data has {num_classes}; head=new replaces "
            "its last layer by one for the data's classes"
        )
    return classes


def refuse_without_numbers(model: nn.Module, what: str) -> None:
    """Refuse a network on the meta device, which has shapes and no weights.

    Raises:
        ModelError: names it.
    """
    if any(tensor.is_meta for tensor in (*model.parameters(), *model.buffers())):
        raise ModelError(
            f"{what} has no weights: it lies on the meta device; build it on the CPU, or give a "
            "file of weights"
        )


def _cause(error: Exception, model: nn.Module, channels: int) -> str:
    """Return why a network did not take float32 images, as far as it can be told."""
    text = str(error)
    if isinstance(error, SteadygradError):
        return text
    kinds = {parameter.dtype for parameter in model.parameters() if parameter.is_floating_point()}
    others = ", ".join(sorted(str(kind).removeprefix("torch.") for kind in kinds - {torch.float32}))
    if others and "type" in text:
        return f"its weights are {others} and the images float32; convert it with model.float()"
    first = next((module for module in model.modules() if isinstance(module, _ConvNd)), None)
    if first is not None and first.in_channels != channels and "channels" in text:
        return (
            f"its first convolution takes {first.in_channels} channels, the images have {channels}"
        )
    hint = ""
    if _OF_SIZE.search(text):
        hint = (
            "; give an image_size that it was made for, or resize=SIDE to scale images inside the "
            "model"
        )
    return described(error) + hint
