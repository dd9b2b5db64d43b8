"""How the processes of a run hold a network: each all of it, or each a part (FSDP2)."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad.distributed import Ranks, others_alive, sum_gradients
from steadygrad.errors import ModelError
from steadygrad.parallel_models import parameters_gathered, sharded_modules

__all__ = ["DividedWeights", "WholeWeights", "weights_of_run"]

_GROUP = 6_500_000
"""Least parameters that travel together; 26 MB in float32, about a bucket of DDP."""


class WholeWeights:
    """Each process holds the whole network; gradients are summed after the backward pass.

    model: the network that learns.
    """

    def __init__(self, model: nn.Module) -> None:
        self.model = model

    @contextmanager
    def gathered(self, network: nn.Module) -> Iterator[None]:  # noqa: ARG002 # it is whole
        """Let the block compute with ``network``, without an exchange of its weights."""
        yield

    @contextmanager
    def gradients_of_others_kept_out(self) -> Iterator[None]:
        """Around passes that may leave gradients which are not the step's."""
        before = self._taken([None] * sum(1 for _ in self.model.parameters()))
        try:
            yield
        finally:
            self._taken(before)

    def _taken(self, given: list[Tensor | None]) -> list[Tensor | None]:
        """Return the parameters' gradients, and put those given in their place."""
        parameters = list(self.model.parameters())
        taken = [parameter.grad for parameter in parameters]
        for parameter, gradient in zip(parameters, given, strict=True):
            parameter.grad = gradient
        return taken

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of this process's part of a loss to that of the step."""
        loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped

    def sum_gradients(self) -> None:
        """Make the gradient in the parameters that of all processes."""
        sum_gradients(self.model.parameters())

    def whole(self, state: Any) -> Any:
        """Return a state, a nest of dictionaries and lists, with the whole of every tensor."""
        return state

    def taken_out(self, network: nn.Module, build: Callable[[], nn.Module]) -> nn.Module:  # noqa: ARG002 # it is whole
        """Return a network as anyone can use it; ``build`` makes another one of its make."""
        return network

    def of_network(self, state: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:  # noqa: ARG002 # it is whole
        """Return this process's part of whole weights, as ``network.load_state_dict`` takes it."""
        return state

    def of_optimizer(
        self,
        state: dict[str, Any],
        optimizer: torch.optim.Optimizer,  # noqa: ARG002 # it is whole
    ) -> dict[str, Any]:
        """Return this process's part of an optimizer's whole state."""
        return state

    def are_finite(self) -> bool:
        """Return whether every parameter and buffer of the model is; waits for the device."""
        return _are_finite(self.model.state_dict().values())


class DividedWeights(WholeWeights):
    """Each process holds a part of every parameter, of its gradient and of the optimizer's state.

    The whole network is gathered for the passes of a step, on which an input-gradient penalty goes
    through it twice and an attack as often as it likes, and for measuring. Every process has to
    call the same methods.

    Args:
        model: the network that learns.
        others: networks of the same make, such as its average.
        ranks: the processes.
        group: least number of parameters that are gathered together.

    Raises:
        ModelError: a parameter has no dimension to be divided along.
    """

    def __init__(
        self, model: nn.Module, others: tuple[nn.Module, ...], ranks: Ranks, group: int
    ) -> None:
        super().__init__(model)
        self.ranks = ranks
        for network in (model, *others):
            _divide(network, ranks, group)

    @contextmanager
    def gathered(self, network: nn.Module) -> Iterator[None]:
        """Let the block compute with the whole network; nothing else is exchanged there."""
        with ExitStack() as stack:
            with others_alive():
                stack.enter_context(parameters_gathered(network))
            yield

    @contextmanager
    def gradients_of_others_kept_out(self) -> Iterator[None]:
        """Around passes that may leave gradients which are not the step's."""
        self._exchange(False)
        try:
            with super().gradients_of_others_kept_out():
                yield
        finally:
            self._exchange(True)

    def _exchange(self, happens: bool) -> None:
        for module in sharded_modules(self.model):
            module.set_requires_gradient_sync(happens, recurse=False)

    def backward(self, loss: Tensor) -> None:
        """Add the gradient of this process's part of a loss to that of the step."""
        with others_alive(computes=True):
            super().backward(loss * self.ranks.count)  # FSDP averages over the processes

    def sum_gradients(self) -> None:
        """Leave the gradients as they are: ``backward`` has summed and divided them."""

    def whole(self, state: Any) -> Any:
        """Return a state, a nest of dictionaries and lists, with the whole of every tensor."""
        if isinstance(state, Mapping):
            return {key: self.whole(value) for key, value in state.items()}
        if isinstance(state, list):
            return [self.whole(value) for value in state]
        with others_alive():
            return state.full_tensor() if hasattr(state, "full_tensor") else state

    def taken_out(self, network: nn.Module, build: Callable[[], nn.Module]) -> nn.Module:
        """Return a network as anyone can use it; ``build`` makes another one of its make."""
        made = build()
        made.load_state_dict(self.whole(network.state_dict()))
        return made

    def of_network(self, state: Mapping[str, Tensor], network: nn.Module) -> Mapping[str, Tensor]:
        """Return this process's part of whole weights, as ``network.load_state_dict`` takes it."""
        ours = network.state_dict()
        return {key: _part(value, ours.get(key)) for key, value in state.items()}

    def of_optimizer(
        self, state: dict[str, Any], optimizer: torch.optim.Optimizer
    ) -> dict[str, Any]:
        """Return this process's part of an optimizer's whole state."""
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        parts = {
            index: {key: _part(value, parameters[index]) for key, value in own.items()}
            for index, own in state["state"].items()
        }
        return state | {"state": parts}

    def are_finite(self) -> bool:
        """Return whether this process's part of the weights is; waits for the device."""
        tensors = self.model.state_dict().values()
        return _are_finite(t.to_local() if hasattr(t, "to_local") else t for t in tensors)


def weights_of_run(
    model: nn.Module, others: tuple[nn.Module, ...], ranks: Ranks, *, divided: bool
) -> WholeWeights:
    """Return how the processes of a run hold its network; divides its parameters if asked.

    Args:
        model: the network that learns, the same in every process.
        others: networks of the same make, such as its average.
        ranks: the processes; a single one holds the whole network in any case.
        divided: among them.

    Raises:
        ModelError: a parameter has no dimension to be divided along.
    """
    if divided and ranks.count > 1:
        return DividedWeights(model, others, ranks, _GROUP)
    return WholeWeights(model)


def _divide(network: nn.Module, ranks: Ranks, least: int) -> None:
    """Divide a network's parameters among the processes, group by group."""
    # Importing it takes everyone else a second for nothing.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for name, parameter in network.named_parameters():
        if parameter.ndim == 0:
            raise ModelError(
                f"expected parameters with a dimension to divide them along (shard), got {name}, "
                "a single number"
            )
    device = next(network.parameters()).device.type
    mesh = init_device_mesh(device, (ranks.count,))
    for module in _modules_to_divide(network, least):
        divided: Any = fully_shard(module, mesh=mesh, reshard_after_forward=False)
        # By itself it asks for an average, which gloo gives as a sum under torch 2.8.
        divided.set_force_sum_reduction_for_comms(True)


def _modules_to_divide(network: nn.Module, least: int) -> list[nn.Module]:
    """Return the smallest modules with so many parameters, and the network for what is left."""
    every = list(network.named_parameters(remove_duplicate=False))
    if len(every) > len({id(parameter) for _, parameter in every}):  # tied ones stay together
        return [network]
    found: list[nn.Module] = []

    def left(module: nn.Module) -> int:
        own = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        count = own + sum(left(child) for child in module.children())
        if count < least or module is network or not _has_forward(module):
            return count
        found.append(module)
        return 0

    left(network)
    return [*found, network]


def _has_forward(module: nn.Module) -> bool:
    return type(module).forward is not nn.Module.forward


def _part(value: Any, like: Any) -> Any:
    """Return this process's part of a whole tensor, divided like another of its shape."""
    if not (
        hasattr(like, "placements") and isinstance(value, Tensor) and value.shape == like.shape
    ):
        return value
    from torch.distributed.tensor import distribute_tensor

    whole = value.to(like.device)
    return distribute_tensor(whole, like.device_mesh, like.placements, src_data_rank=None)


def _are_finite(tensors: Iterable[Any]) -> bool:
    found = [tensor.isfinite().all() for tensor in tensors]
    return not found or bool(torch.stack(found).all())
