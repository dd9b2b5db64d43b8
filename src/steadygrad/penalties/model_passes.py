"""What surrounds a model's passes in a penalty: its statistics, its randomness, its refusals."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from steadygrad._typing import Classifier
from steadygrad.errors import ModelError
from steadygrad.held_statistics import modules_of

__all__ = [
    "RandomState",
    "couples_images",
    "explained",
    "is_compiled",
    "is_recording",
    "refuse_no_second_derivative",
    "running_statistics",
    "uses_running_statistics",
]


# Statistics.


def couples_images(model: Classifier) -> bool:
    """Return whether a batch norm in training mode makes an image's loss depend on the others."""
    return any(isinstance(module, _BatchNorm) and module.training for module in modules_of(model))


def uses_running_statistics(statistics: str, model: Classifier) -> bool:
    """Return whether ``statistics`` is "running" and the model has a batch norm that it concerns.

    Raises:
        ModelError: nobody can tell, since no layer is found in the model.
    """
    if statistics != "running":
        return False
    if not modules_of(model):
        raise ModelError(
            'expected a model whose layers are found for statistics "running", got '
            f"{model!r}; give the penalty an nn.Module, or a function that names one"
        )
    return couples_images(model)


@contextmanager
def running_statistics(model: Classifier) -> Iterator[None]:
    """Let batch norms that have running statistics normalise by these, as in eval mode."""
    switched = [
        module
        for module in modules_of(model)
        if isinstance(module, _BatchNorm) and module.training and module.running_mean is not None
    ]
    for module in switched:
        module.training = False
    try:
        yield
    finally:
        for module in switched:
            module.training = True


# Randomness.


def is_recording(device: torch.device) -> bool:
    """Return whether a CUDA graph is being recorded: nobody can read the generator meanwhile."""
    return device.type == "cuda" and torch.cuda.is_current_stream_capturing()


class RandomState:
    """The global generators of torch, NumPy and Python as they were, to draw the same again."""

    left_out: ClassVar[int] = 0
    """Replays, in all, that were left out since a CUDA graph was being recorded."""

    def __init__(self, device: torch.device) -> None:
        self._device = None if device.type in ("cpu", "meta") else device
        self._is_readable = not is_recording(device)
        self._states = self._read() if self._is_readable else ()

    @contextmanager
    def replayed(self) -> Iterator[None]:
        """Draw as from the moment of construction; afterwards go on as if nothing was drawn."""
        if not self._is_readable:
            RandomState.left_out += 1
            yield
            return
        now = self._read()
        self._write(self._states)
        try:
            yield
        finally:
            self._write(now)

    def has_moved(self) -> bool:
        """Return whether somebody has drawn from torch's generators since the construction."""
        pairs = zip(self._read()[2:], self._states[2:], strict=True)
        return any(not torch.equal(now, then) for now, then in pairs)

    def _read(self) -> tuple[Any, ...]:
        own = np.random.get_state(), random.getstate(), torch.get_rng_state()
        if self._device is None:
            return own
        with self._on_device():
            return (*own, self._of_device().get_rng_state())

    def _write(self, states: tuple[Any, ...]) -> None:
        np.random.set_state(states[0])
        random.setstate(states[1])
        torch.set_rng_state(states[2])
        if self._device is not None:
            with self._on_device():
                self._of_device().set_rng_state(states[3])

    def _of_device(self) -> Any:
        assert self._device is not None
        return torch.get_device_module(self._device)

    def _on_device(self) -> Any:
        # The states of these are of the current device; mps has only one.
        has_several = self._device is not None and hasattr(self._of_device(), "device")
        return self._of_device().device(self._device) if has_several else nullcontext()


# Refusals.

_ATTENTION = (
    'give it attention without a fused kernel: attn_implementation="eager" (transformers), or '
    "call penalty and backward() inside torch.nn.attention.sdpa_kernel(SDPBackend.MATH), or "
    "choose backend finite-difference"
)
_COMPILED = (
    "a compiled model has no second derivative: give the penalty the model from before "
    "torch.compile, or choose backend finite-difference"
)
_DONATED = (
    "the compiled model frees what its backward pass would be needed for again: give the penalty "
    "the model from before torch.compile, or choose backend finite-difference and set "
    "torch._functorch.config.donated_buffer = False before the model is compiled"
)
_TRANSFORMED = (
    "a penalty takes gradients by itself and cannot run inside torch.func's grad or vmap: call it "
    "on the whole batch and backward() on its loss"
)
_NO_DERIVATIVE = (
    "replace the layer (hardsigmoid by sigmoid, hardswish by silu), or choose backend "
    "finite-difference"
)


def is_compiled(model: Classifier) -> bool:
    """Return whether torch.compile made the model, or one of its modules."""
    if hasattr(model, "_torchdynamo_orig_callable"):
        return True
    return any(
        hasattr(module, "_torchdynamo_orig_callable")
        or getattr(module, "_compiled_call_impl", None) is not None
        for module in modules_of(model)
    )


@contextmanager
def explained() -> Iterator[None]:
    """Turn torch's errors about derivatives into one sentence with the remedy.

    Raises:
        ModelError: in place of torch's error, which is its cause.
    """
    try:
        yield
    except RuntimeError as error:
        sentence = _sentence(str(error))
        if sentence is None:
            raise
        raise ModelError(sentence) from error


def refuse_no_second_derivative(gradient: Tensor) -> None:
    """Refuse an input gradient whose graph ``backward()`` would not come through.

    Raises:
        ModelError: names what to do.
    """
    names = set(_node_names(gradient))
    if any(name.startswith("CompiledFunction") for name in names):
        raise ModelError(_COMPILED)
    if "torch::autograd::NotImplemented" in names:
        kernels = sorted(name for name in names if "Attention" in name)
        if kernels:
            raise ModelError(
                "the model's attention kernel has no second derivative "
                f"({kernels[0].rstrip('0123456789')}): {_ATTENTION}"
            )
        raise ModelError(
            f"a layer of the model, or the loss, has no second derivative: {_NO_DERIVATIVE}"
        )


def _node_names(tensor: Tensor) -> Iterator[str]:
    pending, seen = [tensor.grad_fn], set()
    while pending:
        node = pending.pop()
        if node is not None and node not in seen:
            seen.add(node)
            yield node.name()
            pending.extend(parent for parent, _ in node.next_functions)


_RULES: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("does not currently support double backward", lambda _: _COMPILED),
    ("donated buffers", lambda _: _DONATED),
    (
        "is not implemented",
        lambda text: (
            "the model's attention kernel has no second derivative: " + _ATTENTION
            if "attention" in text
            else f"a layer of the model has no second derivative ({text}): {_NO_DERIVATIVE}"
        ),
    ),
    (
        "use_reentrant=True",
        lambda _: (
            "reentrant checkpointing cannot differentiate with respect to the images: write "
            "checkpoint(..., use_reentrant=False), in transformers "
            'gradient_checkpointing_kwargs={"use_reentrant": False}'
        ),
    ),
    (
        "Recomputed values for the following tensors have different metadata",
        lambda _: (
            "a part of the model that torch.utils.checkpoint computes anew took another way than "
            "at first; where it holds attention, call penalty and backward() inside "
            "torch.nn.attention.sdpa_kernel(SDPBackend.MATH), or switch checkpointing off"
        ),
    ),
    ("inside of a function being transformed", lambda _: _TRANSFORMED),
    ("vmap: ", lambda _: _TRANSFORMED),
)
_INDEPENDENT = (
    "expected logits that depend on the images, got some without a gradient to them; look for "
    "detach(), no_grad(), argmax or rounding in the model"
)


def _sentence(text: str) -> str | None:
    first_line = text.splitlines()[0] if text else ""
    if "derivative for" not in first_line and "is not implemented" in first_line:
        return None
    for mark, sentence in _RULES:
        if mark in first_line:
            return sentence(first_line)
    is_independent = (
        "does not require grad and does not have a grad_fn" in first_line
        or "appears to not have been used in the graph" in first_line
    )
    return _INDEPENDENT if is_independent else None
