"""Networks inside the wrappers of torch.compile, DistributedDataParallel and DataParallel."""

import copy
import sys
from typing import Any

from torch import nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from steadygrad.errors import ModelError

__all__ = ["without_wrappers"]


def without_wrappers(network: nn.Module) -> nn.Module:
    """Return the network that torch.compile, DistributedDataParallel or DataParallel wrap.

    Its keys are then those of its own code. The network that is given is not changed: where a
    wrapped module lies inside, a copy is returned.

    Args:
        network: any network.

    Raises:
        ModelError: FSDP has divided its parameters among the processes.
    """
    if any(_is_sharded(module) for module in network.modules()):
        raise ModelError(
            "expected the network from before fully_shard (FSDP): its parameters are divided among "
            "the processes; put the penalty into a loop of your own to train it sharded"
        )
    network = _innermost(network)
    if any(_innermost(module) is not module for module in network.modules()):
        network = copy.deepcopy(network)
        _unwrap_children(network)
    return network


def _unwrap_children(module: nn.Module) -> None:
    for name, child in module._modules.items():
        if child is not None:
            inner = _innermost(child)
            setattr(module, name, inner)
            _unwrap_children(inner)


def _innermost(module: nn.Module) -> nn.Module:
    """Return what a module wraps, through all wrappers; any other module is returned itself."""
    while True:
        if isinstance(module, DataParallel | DistributedDataParallel):
            held: Any = module.module
        else:
            held = module._modules.get("_orig_mod")  # torch.compile
        if not isinstance(held, nn.Module):
            return module
        module = held


def _is_sharded(module: nn.Module) -> bool:
    # Whoever shards a model has imported FSDP; importing it takes others a second for nothing.
    fsdp = sys.modules.get("torch.distributed.fsdp")
    return fsdp is not None and isinstance(module, fsdp.FSDPModule | fsdp.FullyShardedDataParallel)
