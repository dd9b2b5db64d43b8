"""Modes that watch a layer, copies of it, and programs made of it."""

import copy
import io
import pickle
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.export import Dim, export
from torch.fx import symbolic_trace
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils.flop_counter import FlopCounterMode

from layer_abilities.losses import all_gradients, curved, leaf, penalised_loss
from layer_abilities.pairs import ComposedConv2d, ComposedLinear
from layer_abilities.passes import a_penalised_step
from layer_abilities.registry import ability
from steadygrad.layers import (
    ComplexConv2d,
    ComplexLinear,
)


@ability
def counted_operations(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    with FlopCounterMode(display=False) as forwards:
        y = layer(x * 1)
    with FlopCounterMode(display=False) as backwards:
        curved(y).backward()
    with FlopCounterMode(display=False) as both:
        penalised_loss(lambda x: layer(x * 1), leaf(x)).backward()
    is_ours_to_count = isinstance(layer, ComplexConv2d | ComplexLinear)  # by other products
    rest = [] if is_ours_to_count else [backwards.get_total_flops()]
    return forwards.get_total_flops(), both.get_total_flops(), rest


@ability
def fake_tensors(layer: nn.Module, x: Tensor) -> Any:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    with mode:
        return layer(mode.from_tensor(leaf(x))).shape


@ability
def function_modes(layer: nn.Module, x: Tensor) -> Any:
    class Names(torch.overrides.TorchFunctionMode):
        def __init__(self) -> None:
            super().__init__()
            self.names: list[str] = []

        def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None):
            self.names.append(getattr(function, "__name__", ""))
            return function(*args, **(kwargs or {}))

    with Names() as mode:
        layer(leaf(x))
    wanted = {"conv2d", "linear", "gelu", "avg_pool2d", "batch_norm"}
    return [name for name in mode.names if name in wanted]


class Marked(Tensor):
    """A tensor of one's own."""


@ability
def tensor_subclasses(layer: nn.Module, x: Tensor) -> Any:
    y = layer(x.as_subclass(Marked).requires_grad_())
    return type(y).__name__, y.as_subclass(Tensor)


@ability
def copies(layer: nn.Module, x: Tensor) -> Any:
    return [
        a_penalised_step(made, x)
        for made in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer)))
    ]


@ability
def saved_weights(layer: nn.Module, x: Tensor) -> Any:
    stream = io.BytesIO()
    torch.save(layer.state_dict(), stream)
    stream.seek(0)
    return torch.load(stream), x


@ability
def weight_norm(layer: nn.Module, x: Tensor) -> Any:
    if isinstance(layer, nn.Conv2d | nn.Linear):
        layer = nn.utils.parametrizations.weight_norm(layer)
    return a_penalised_step(layer, x)


@ability
def functional_graph(layer: nn.Module, x: Tensor) -> Any:
    return make_fx(layer.eval(), tracing_mode="symbolic", _allow_non_fake_inputs=True)(x)(x[:2])


@ability
def compiled_whole(layer: nn.Module, x: Tensor) -> Any:
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager", dynamic=True)
    x = leaf(x)
    found = []
    for batch in (x, x[:2]):
        y = compiled(batch)
        found.append((y, all_gradients(layer, curved(y), x)))
    return found


@ability
def exported_for_any_batch(layer: nn.Module, x: Tensor) -> Any:
    program = export(layer.eval(), (x,), dynamic_shapes=({0: Dim("batch")},))
    return [program.module()(batch) for batch in (x, x[:2], torch.cat((x, x)))]


@ability
def torchscript(layer: nn.Module, x: Tensor) -> Any:
    scripted = torch.jit.script(layer)
    x = leaf(x)
    y = scripted(x)
    return y, all_gradients(layer, curved(y), x)


@ability
def traced_by_example(layer: nn.Module, x: Tensor) -> Any:
    traced = torch.jit.trace(nn.Sequential(layer, nn.Tanh(), layer_like(layer)).eval(), x)
    return traced(x), traced(x[:2])


def layer_like(layer: nn.Module) -> nn.Module:
    """Return a second one behind it, if its output fits; two convolutions once differed."""
    fits = isinstance(layer, nn.GELU | nn.BatchNorm2d)
    return copy.deepcopy(layer) if fits else nn.Identity()


@ability
def traced_symbolically(layer: nn.Module, x: Tensor) -> Any:
    network = nn.Sequential(layer, nn.Tanh())
    if isinstance(layer, ComposedConv2d | ComposedLinear):  # a composition is no single node
        return 4, network(x), network(x[:2])
    traced = symbolic_trace(network)
    return len(traced.graph.nodes), traced(x), traced(x[:2])
