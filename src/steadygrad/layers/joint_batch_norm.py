"""Batch norms over the images of all processes, differentiable twice."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from steadygrad.batch_share import current_share
from steadygrad.distributed import sum_over_ranks

__all__ = ["joins_processes", "joint_batch_norm"]

_TORCHS = functional.batch_norm


@contextmanager
def joint_batch_norm() -> Iterator[None]:
    """Let batch norms in training mode normalise a declared share by the whole batch's statistics.

    ``torch.nn.SyncBatchNorm`` does that on GPUs and for one derivative alone; an input-gradient
    penalty needs the second. Inside the block ``torch.nn.functional.batch_norm``, which every batch
    norm of PyTorch and timm calls, is replaced: no module changes. Each costs two exchanges in a
    forward pass and two in a backward pass.
    """
    torchs = functional.batch_norm

    def batch_norm(input: Tensor, *settings: Any, **named: Any) -> Tensor:  # noqa: A002 # as PyTorch calls it
        return _batch_norm(torchs, input, *settings, **named)

    functional.batch_norm = batch_norm
    try:
        yield
    finally:
        functional.batch_norm = torchs


def joins_processes() -> bool:
    """Return whether a batch norm now normalises by statistics of more than its own images."""
    return functional.batch_norm is not _TORCHS and current_share() is not None


def _batch_norm(
    torchs: Any,
    input: Tensor,  # noqa: A002 # as PyTorch calls it
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """Return what ``torch.nn.functional.batch_norm`` returns for the whole batch."""
    share = current_share()
    if not training or share is None:
        plain: Tensor = torchs(
            input, running_mean, running_var, weight, bias, training, momentum, eps
        )
        return plain
    places = input.numel() // (len(input) * input.shape[1])
    if share.total * places == 1:
        raise ValueError(  # PyTorch's words
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    counts = share.size > 0
    x = input.float() if input.itemsize < 4 else input
    axes = [0, *range(2, x.ndim)]
    own = x.new_full((1,), float(x.numel() // x.shape[1] if counts else 0))
    totals = sum_over_ranks(torch.cat((_counted(x.sum(axes), counts), own)))
    values = totals[-1].detach()
    mean = _received(totals[:-1], counts) / values
    centred = x - _per_channel(mean, x)
    squares = sum_over_ranks(_counted(centred.square().sum(axes), counts))
    variance = _received(squares, counts) / values
    with torch.no_grad():
        if running_mean is not None:
            running_mean.lerp_(mean.to(running_mean), momentum)
        if running_var is not None:
            unbiased = variance * (values / (values - 1))
            running_var.lerp_(unbiased.to(running_var), momentum)
    y = centred * _per_channel((variance + eps).rsqrt(), x)
    if weight is not None:
        y = y * _per_channel(weight, x)
    if bias is not None:
        y = y + _per_channel(bias, x)
    return y.to(input.dtype)


def _counted(sums: Tensor, counts: bool) -> Tensor:
    """Return sums over one's own images, or zeros with the same graph where these do not count."""
    return sums if counts else sums * 0


def _received(sums: Tensor, counts: bool) -> Tensor:
    """Return the sums; an image that does not count must not move the others' derivatives."""
    return sums if counts else sums.detach() + sums * 0


def _per_channel(values: Tensor, like: Tensor) -> Tensor:
    return values.view(1, -1, *[1] * (like.ndim - 2))
