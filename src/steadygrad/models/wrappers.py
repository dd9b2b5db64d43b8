"""Networks inside the wrappers of torch.compile, DistributedDataParallel and DataParallel."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DataParallel, DistributedDataParallel

from steadygrad.error_text import described
from steadygrad.errors import ModelError
from steadygrad.parallel_models import imported_fsdp

__all__ = ["copied", "without_wrappers"]


def without_wrappers(network: nn.Module) -> nn.Module:
    """Return the network that torch.compile, DistributedDataParallel or DataParallel wrap.

    Its keys are then those of its own code. The network that is given is not changed: where a
    wrapped module lies inside, a copy is returned.

    Args:
        network: any network.

    Raises:
        ModelError: it is no module, cannot be copied, or FSDP has divided its parameters among the
            processes.
    """
    if not isinstance(network, nn.Module):
        raise ModelError(
            f"expected a torch.nn.Module, got {type(network).__name__}; call it in the forward of "
            "a module that holds its layers"
        )
    if any(_is_sharded(module) for module in network.modules()):
        raise ModelError(
            "expected the network from before fully_shard (FSDP): its parameters are divided among "
            "the processes; train and harden divide it themselves with shard (--shard)"
        )
    network = _innermost(network)
    if any(_innermost(module) is not module for module in network.modules()):
        network = copied(network)
        _unwrap_children(network)
    return network


def copied(network: nn.Module) -> nn.Module:
    """Return a deep copy of a network.

    Tensors that hooks compute anew in every pass, such as those of ``torch.nn.utils.weight_norm``,
    are copied without their graph, with which PyTorch refuses to.

    Args:
        network: left as it is.

    Raises:
        ModelError: something that it holds cannot be copied.
    """
    computed = [
        (module, name, value)
        for module in network.modules()
        for name, value in vars(module).items()
        if isinstance(value, Tensor) and value.grad_fn is not None
    ]
    try:
        for module, name, value in computed:
            vars(module)[name] = value.detach()
        with torch.no_grad():  # TorchScript would record the copying
            made = copy.deepcopy(network)
        for parameter, original in zip(made.parameters(), network.parameters(), strict=True):
            if parameter.requires_grad != original.requires_grad:
                parameter.requires_grad_(original.requires_grad)
        return made
    except Exception as error:  # whatever the parts of someone's network raise
        raise ModelError(
            f"expected a network that copy.deepcopy can copy, got {type(network).__name__}, which "
            f"raises {described(error)}"
        ) from error
    finally:
        for module, name, value in computed:
            vars(module)[name] = value


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
            held = dict(module.named_children()).get("_orig_mod")  # torch.compile
        if not isinstance(held, nn.Module):
            return module
        module = held


def _is_sharded(module: nn.Module) -> bool:
    fsdp = imported_fsdp()
    return fsdp is not None and isinstance(module, fsdp.FSDPModule | fsdp.FullyShardedDataParallel)
