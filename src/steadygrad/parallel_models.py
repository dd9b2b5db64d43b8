"""Networks that DDP or FSDP2 wraps, under an input-gradient penalty."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.nn.parallel import DistributedDataParallel

from steadygrad._typing import Classifier
from steadygrad.errors import ModelError
from steadygrad.held_statistics import modules_of

__all__ = ["parameters_kept_gathered", "refuse_static_graph"]


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
    # Whoever shards a model has imported FSDP; importing it takes others a second for nothing.
    fsdp = sys.modules.get("torch.distributed.fsdp")
    sharded: list[Any] = []
    if fsdp is not None:
        sharded = [module for module in modules_of(model) if isinstance(module, fsdp.FSDPModule)]
    for module in sharded:
        module.set_reshard_after_backward(False, recurse=False)
    try:
        yield
    finally:
        for module in sharded:
            module.set_reshard_after_backward(True, recurse=False)
