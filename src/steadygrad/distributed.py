"""One process or many: who this process is, which images are its own, and sums over all of them.

Built on ``torch.distributed`` as ``torchrun`` and ``accelerate launch`` start it; nothing is
started here (``process_group`` does). In a single process every function does the obvious thing,
without communication. Where another process has ended, they raise a ProcessError.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, distributed, nn

from steadygrad.errors import HyperparameterError, ProcessError

__all__ = [
    "Ranks",
    "agree_on",
    "alone",
    "any_rank",
    "average_over_ranks",
    "current_ranks",
    "from_furthest_rank",
    "gather_rows",
    "gather_values",
    "is_alone",
    "main_rank_first",
    "mean_of_shares",
    "others_alive",
    "same_as_main_rank",
    "sum_gradients",
    "sum_over_ranks",
]

Value = TypeVar("Value")


@dataclass(frozen=True)
class Ranks:
    """The processes of a run.

    rank: of this one, from 0; count: how many there are.
    """

    rank: int
    count: int

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes files and prints."""
        return self.rank == 0

    def share(self, size: int) -> slice:
        """Return this process's part of ``size`` things in a row, as a slice.

        The parts follow one another, cover everything, and differ in size by at most one: of a
        batch that all processes know, each takes these rows.

        Raises:
            HyperparameterError: if size is negative.
        """
        if size < 0:
            raise HyperparameterError(f"expected a size of at least 0, got {size}")
        return slice(size * self.rank // self.count, size * (self.rank + 1) // self.count)


_ALONE: ContextVar[bool] = ContextVar("alone", default=False)


def current_ranks() -> Ranks:
    """Return the processes of this run; one, where ``torch.distributed`` was not started."""
    if is_alone() or not _is_distributed():
        return Ranks(0, 1)
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def is_alone() -> bool:
    """Return whether this process does work of its own at present, see ``alone``."""
    return _ALONE.get()


@contextmanager
def alone() -> Iterator[None]:
    """Let this process work inside the block as if there were no other: it exchanges nothing."""
    token = _ALONE.set(True)
    try:
        yield
    finally:
        _ALONE.reset(token)


def mean_of_shares(local_sum: Tensor, total: int) -> Tensor:
    """Return what each process backpropagates so that DDP's average is the mean over all images.

    DDP averages the gradients of the processes, each as if it had equally many images. With a sum
    over this process's images, scaled to ``count * sum / total``, the average over processes is
    the mean over the whole batch, however it was split.

    Args:
        local_sum: scalar with a graph, summed over this process's images; of no image, 0 * anything
            that reaches the parameters.
        total: images of all processes together, at least 1.

    Raises:
        HyperparameterError: if total is below 1.
    """
    if total < 1:
        raise HyperparameterError(f"expected a total of at least 1 image, got {total}")
    return local_sum * (current_ranks().count / total)


def average_over_ranks(tensor: Tensor, weight: float = 1.0) -> Tensor:
    """Return the weighted mean of the processes' tensors, the same in all of them.

    Every process has to call this; nothing waits for a device.

    Args:
        tensor: of the same shape and dtype in every process; a floating one.
        weight: of this process, such as its number of images, at least 0; with 0 the tensor may
            hold anything. Where all are 0, the mean is NaN.
    """
    if current_ranks().count == 1:
        return tensor.detach().clone()
    total = torch.tensor(float(weight), dtype=torch.float64, device=tensor.device)
    summed = tensor.detach() * weight if weight > 0 else torch.zeros_like(tensor)
    with others_alive():
        distributed.all_reduce(total)
        distributed.all_reduce(summed)
    return summed / total.to(tensor.dtype)


def sum_over_ranks(tensor: Tensor) -> Tensor:
    """Return the sum of the processes' tensors, the same in all of them, with its derivatives.

    What is differentiated is the sum of what the processes differentiate, each of its own; also a
    second time. Every process has to run the same forward and backward passes.

    Args:
        tensor: of the same shape and dtype in every process; a floating one.
    """
    if current_ranks().count == 1:
        return tensor
    summed: Tensor = _Sum.apply(tensor)  # type: ignore[no-untyped-call] # torch leaves it untyped
    return summed


def sum_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every ``parameter.grad`` by its sum over the processes.

    Gradients are exchanged as one vector for each dtype, after the backward pass: so any graph will
    do, that of double backpropagation too. A parameter that has a gradient in any process has the
    sum in all of them, or their weights would drift apart; one without any keeps none.

    Args:
        parameters: the same in every process, and with the same ``requires_grad``.
    """
    if current_ranks().count == 1:
        return
    trainable: dict[tuple[torch.dtype, torch.device], list[nn.Parameter]] = {}
    for parameter in parameters:
        if parameter.requires_grad:
            trainable.setdefault((parameter.dtype, parameter.device), []).append(parameter)
    for alike in trainable.values():
        gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in alike]
        has_own = [parameter.grad is not None for parameter in alike]
        # Made where they are used: numbers sent to an accelerator would make it wait.
        flags = gradients[0].new_ones(len(alike))
        if not all(has_own):
            flags = flags.new_tensor(has_own)
        flat = torch.cat([*(gradient.flatten() for gradient in gradients), flags])
        with others_alive():
            distributed.all_reduce(torch.view_as_real(flat) if flat.is_complex() else flat)
        *pieces, counts = torch.split(flat, [*(g.numel() for g in gradients), len(alike)])
        # Reading them makes an accelerator wait: only where a gradient is missing.
        has_any = has_own if all(has_own) else [count != 0 for count in counts.tolist()]
        for parameter, piece, is_there in zip(alike, pieces, has_any, strict=True):
            if is_there:
                parameter.grad = piece.view_as(parameter)


def same_as_main_rank(tensors: Iterable[Tensor]) -> None:
    """Overwrite tensors by those of the main process."""
    if current_ranks().count == 1:
        return
    with others_alive(), torch.no_grad():
        for tensor in tensors:
            # As bytes: not every backend exchanges every dtype.
            values = tensor.flatten().contiguous().view(torch.uint8)
            distributed.broadcast(values, src=0)
            tensor.copy_(values.view(tensor.dtype).view_as(tensor))


def any_rank(*flags: bool) -> tuple[bool, ...]:
    """Return, for each flag, whether it holds in any process; does not wait for an accelerator."""
    if current_ranks().count == 1:
        return flags
    votes = torch.tensor(flags, dtype=torch.int32, device="cpu")
    with others_alive():
        distributed.all_reduce(votes, op=distributed.ReduceOp.MAX, group=_host_group())
    return tuple(bool(vote) for vote in votes.tolist())


def from_furthest_rank(state: Tensor, steps: int) -> Tensor | None:
    """Return the state of the process that has made most steps; None where all made as many.

    Args:
        state: in host memory, of the same shape and dtype in every process.
        steps: that this process has made, at least 0.
    """
    ranks = current_ranks()
    if ranks.count == 1:
        return None
    made = [torch.zeros((), dtype=torch.int64, device="cpu") for _ in range(ranks.count)]
    own = torch.tensor(steps, dtype=torch.int64, device="cpu")
    with others_alive():
        distributed.all_gather(made, own, group=_host_group())
        counts = [int(count) for count in made]
        if min(counts) == max(counts):
            return None
        furthest = state.clone()
        distributed.broadcast(furthest, counts.index(max(counts)), group=_host_group())
    return furthest


def gather_rows(rows: Tensor, size: int) -> Tensor:
    """Return the rows of all processes in order, (size, ...), in every process.

    Args:
        rows: this process's ``Ranks.share(size)`` of them.
        size: of all together.

    Raises:
        HyperparameterError: if this process has another number of rows than its share.
    """
    ranks = current_ranks()
    own = ranks.share(size)
    if len(rows) != own.stop - own.start:
        raise HyperparameterError(
            f"expected {own.stop - own.start} of {size} rows in process {ranks.rank}, "
            f"got {len(rows)}"
        )
    if ranks.count == 1:
        return rows.detach().clone()
    longest = -(-size // ranks.count)
    # gloo and NCCL exchange neither bool nor tensors of unequal size.
    as_bytes = rows.detach().to(torch.uint8) if rows.dtype == torch.bool else rows.detach()
    padded = as_bytes.new_zeros(longest, *rows.shape[1:])
    padded[: len(rows)] = as_bytes
    parts = [torch.empty_like(padded) for _ in range(ranks.count)]
    with others_alive():
        distributed.all_gather(parts, padded)
    lengths = [Ranks(rank, ranks.count).share(size) for rank in range(ranks.count)]
    joined = torch.cat(
        [part[: one.stop - one.start] for part, one in zip(parts, lengths, strict=True)]
    )
    return joined.to(rows.dtype)


def agree_on(value: Value) -> Value:
    """Return the main process's value in every process; it must be picklable."""
    if current_ranks().count == 1:
        return value
    values: list[Any] = [value]
    with others_alive():
        distributed.broadcast_object_list(values, src=0)
    agreed: Value = values[0]
    return agreed


def gather_values(value: Value) -> list[Value]:
    """Return the values of all processes in order, in every process; they must be picklable."""
    count = current_ranks().count
    if count == 1:
        return [value]
    values: list[Any] = [None] * count
    with others_alive():
        distributed.all_gather_object(values, value)
    return values


@contextmanager
def main_rank_first() -> Iterator[None]:
    """Let the main process go through the block before the others: it fills caches and folders.

    If it fails there, the others raise as well, with its sentence, instead of waiting for ever.

    Raises:
        ProcessError: in the other processes, if the main one failed.
    """
    ranks = current_ranks()
    if ranks.count == 1:
        yield
        return
    if not ranks.is_main:
        if failure := agree_on(None):
            raise ProcessError(f"the main process failed: {failure}")
        yield
        return
    try:
        yield
    except BaseException as error:
        agree_on(str(error) or type(error).__name__)
        raise
    agree_on(None)


@contextmanager
def others_alive(*, computes: bool = False) -> Iterator[None]:
    """Around an exchange, say in one sentence that another process is gone.

    Args:
        computes: the block does something else, too, whose own errors stay as they are.

    Raises:
        ProcessError: in place of torch's error, which is its cause.
    """
    try:
        yield
    except RuntimeError as error:
        # Those of gloo have no class of their own.
        if computes and not (isinstance(error, distributed.DistError) or "gloo" in str(error)):
            raise
        raise ProcessError("a process of the run has ended before the others") from error


class _Sum(torch.autograd.Function):
    """Sum over the processes; so is its derivative, that of the sum of all processes' losses."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:  # noqa: ARG004 # nothing is kept
        summed = tensor.detach().clone(memory_format=torch.contiguous_format)
        with others_alive():
            distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        summed: Tensor = _Sum.apply(gradient)  # type: ignore[no-untyped-call] # torch leaves it untyped
        return summed


_host_groups: WeakKeyDictionary[Any, Any] = WeakKeyDictionary()


def _host_group() -> Any:
    """Return a group that exchanges tensors in host memory: the default one, or one of gloo."""
    if "gloo" in str(distributed.get_backend_config()):
        return None
    default = distributed.group.WORLD
    if default not in _host_groups:
        _host_groups[default] = distributed.new_group(backend="gloo")
    return _host_groups[default]


def _is_distributed() -> bool:
    return distributed.is_available() and distributed.is_initialized()
