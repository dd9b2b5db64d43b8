"""Networks that DDP or FSDP2 wraps, under an input-gradient penalty."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from torch.nn.parallel import DistributedDataParallel

from steadygrad._typing import Classifier
from steadygrad.errors import ModelError
from steadygrad.held_statistics import modules_of

__all__ = [
    "imported_fsdp",
    "parameters_gathered",
    "parameters_kept_gathered",
    "refuse_static_graph",
    "sharded_modules",
]

_ARE_GATHERED: ContextVar[bool] = ContextVar("are_gathered", default=False)
"""Whether an enclosing block holds all parameters."""


def refuse_static_graph(model: Classifier) -> None:
    """Refuse ``DistributedDataParallel(static_graph=True)`` under an input-gradient penalty.

    With a static graph DDP counts, in the first step, how often each parameter's gradient arrives,
    and starts to average at that count. The backward pass that takes the input gradient changes
    the count: gradients then stay unaveraged, without an error, and the replicas drift apart.

    Raises:
        ModelError: naming the remedy.
    """
    for module in modules_of(model):
        if isinstance(module, DistributedDataParallel) and module.static_graph:
            raise ModelError(
                "an input-gradient penalty needs DistributedDataParallel(static_graph=False): with "
                "a static graph the processes' gradients are not averaged"
            )


@contextmanager
def parameters_kept_gathered(model: Classifier) -> Iterator[None]:
    """Keep an FSDP2 model's parameters gathered after a backward pass inside the block.

    ``fully_shard`` frees a module's gathered parameters after its backward pass, and the second
    one of double backpropagation finds them gone ("data is not allocated yet"). Inside the block
    they stay; the pass after it frees them again. So a penalty is computed inside, and its
    ``backward()`` called outside: all parameters are gathered from the one to the other.

    Args:
        model: with ``torch.distributed.fsdp.fully_shard`` applied to it or to modules in it; any
            other one is left alone.
    """
    if _ARE_GATHERED.get():
        yield
        return
    sharded = sharded_modules(model)
    for module in sharded:
        module.set_reshard_after_backward(False, recurse=False)
    try:
        yield
    finally:
        for module in sharded:
            module.set_reshard_after_backward(True, recurse=False)


@contextmanager
def parameters_gathered(model: Classifier) -> Iterator[None]:
    """Gather an FSDP2 model's parameters, and keep them until the block ends.

    Passes through the model exchange nothing inside, however many a process makes; only
    ``backward()`` sums and divides gradients. Every process has to enter.

    Args:
        model: as for ``parameters_kept_gathered``, with ``reshard_after_forward=False``.
    """
    sharded = sharded_modules(model)
    for module in sharded:
        module.set_reshard_after_backward(False, recurse=False)
        module.unshard()
    token = _ARE_GATHERED.set(True)
    try:
        yield
    finally:
        _ARE_GATHERED.reset(token)
        for module in sharded:
            module.set_reshard_after_backward(True, recurse=False)
            module.reshard()


def sharded_modules(model: Classifier) -> list[Any]:
    """Return the modules in a model to which ``fully_shard`` was applied."""
    fsdp = imported_fsdp()
    if fsdp is None:
        return []
    return [module for module in modules_of(model) if isinstance(module, fsdp.FSDPModule)]


def imported_fsdp() -> Any:
    """Return ``torch.distributed.fsdp``; None where nobody has imported it.

    Whoever shards a model has; importing it takes others a second for nothing.
    """
    return sys.modules.get("torch.distributed.fsdp")
