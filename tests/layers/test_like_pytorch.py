"""Every fast layer can do whatever PyTorch's layer in its place can do, with the same results.

A matrix: layers down, abilities across. An ability is a function of a layer and an input that
returns tensors; it is asked of our layer and of PyTorch's, and the answers must agree. The complex
layers, which replace nothing, are held to their plain composition of PyTorch's operations.
"""

import copy
import io
import pickle
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.autograd.functional import hessian, hvp, jacobian
from torch.export import Dim, export
from torch.func import functional_call, grad, jacfwd, jacrev, jvp, vjp, vmap
from torch.fx import symbolic_trace
from torch.fx.experimental.proxy_tensor import make_fx
from torch.utils._pytree import tree_flatten
from torch.utils.checkpoint import checkpoint, create_selective_checkpoint_contexts
from torch.utils.flop_counter import FlopCounterMode

from steadygrad.layers import (
    GELU,
    AvgPool2x2,
    BatchNorm2d,
    ComplexConv2d,
    ComplexLinear,
    Conv2d,
    Linear,
    use_fast_layers,
    use_torch_layers,
)
from steadygrad.layers import linear as linear_module
from steadygrad.layers.complex_numbers import frozen_cos_sin, frozen_modulus, modulus
from steadygrad.layers.hand_written.packed_convolution import composed_convolution

pytestmark = [
    pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning"),
    # is_grads_batched with PyTorch's own layers says so.
    pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning"),
]

Ability = Callable[[nn.Module, Tensor], Any]


class ComposedConv2d(ComplexConv2d):
    def forward(self, x: Tensor) -> Tensor:
        parameters = self.weight_real, self.weight_imag, self.bias_real, self.bias_imag
        return composed_convolution(x, *parameters, self.settings)


class ComposedLinear(ComplexLinear):
    def forward(self, x: Tensor) -> Tensor:
        frozen = self.second_order == "frozen_phase"
        cos, sin = frozen_cos_sin(x) if frozen else (x.cos(), x.sin())
        linear = nn.functional.linear
        real = linear(cos, self.weight_real, self.bias_real) - linear(sin, self.weight_imag)
        imag = linear(sin, self.weight_real, self.bias_imag) + linear(cos, self.weight_imag)
        return (frozen_modulus if frozen else modulus)(real, imag, self.smoothing)


IMAGES, ROWS = (3, 2, 4, 6), (4, 5)
Pair = tuple[Callable[[], nn.Module], Callable[[], nn.Module], tuple[int, ...]]
LAYERS: dict[str, Pair] = {
    "Conv2d": (partial(Conv2d, 2, 4, 3), partial(nn.Conv2d, 2, 4, 3), IMAGES),
    "Conv2d by patches": (
        partial(Conv2d, 2, 20, 3, padding=1, bias=False),
        partial(nn.Conv2d, 2, 20, 3, padding=1, bias=False),
        IMAGES,
    ),
    "BatchNorm2d": (partial(BatchNorm2d, 2), partial(nn.BatchNorm2d, 2), IMAGES),
    "GELU": (GELU, nn.GELU, IMAGES),
    "AvgPool2x2": (AvgPool2x2, partial(nn.AvgPool2d, 2), IMAGES),
    "Linear": (partial(Linear, 5, 3), partial(nn.Linear, 5, 3), ROWS),
    "ComplexConv2d exact": (
        partial(ComplexConv2d, 2, 4, 3, sum_groups=2),
        partial(ComposedConv2d, 2, 4, 3, sum_groups=2),
        IMAGES,
    ),
    "ComplexConv2d frozen": (
        partial(ComplexConv2d, 2, 4, 3, second_order="frozen_phase"),
        partial(ComposedConv2d, 2, 4, 3, second_order="frozen_phase"),
        IMAGES,
    ),
    "ComplexLinear": (partial(ComplexLinear, 5, 3), partial(ComposedLinear, 5, 3), ROWS),
}


@pytest.fixture(autouse=True)
def _small_products_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let oneDNN have the small products of these tests."""
    monkeypatch.setattr(linear_module, "_LEAST_WORK", 1)
    monkeypatch.setattr(linear_module, "_LEAST_ROWS", 1)


def pair(name: str) -> tuple[nn.Module, nn.Module, Tensor]:
    """Return our layer, the one that it stands for, with the same weights, and an input."""
    make_ours, make_theirs, shape = LAYERS[name]
    torch.manual_seed(0)
    # oneDNN multiplies float32 only; everything else is compared in float64.
    dtype = torch.float32 if "Linear" in name else torch.float64
    ours, theirs = make_ours().to(dtype), make_theirs().to(dtype)
    if isinstance(ours, nn.BatchNorm2d):
        nn.init.normal_(ours.weight)
        nn.init.normal_(ours.bias)
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs, torch.randn(shape, dtype=dtype)


def agree(mine: Any, other: Any) -> None:
    torch.testing.assert_close(mine, other, rtol=1e-5, atol=1e-5)


def curved(y: Tensor) -> Tensor:
    """Return a loss whose second derivative is not constant."""
    weights = torch.arange(1, y.numel() + 1, dtype=y.dtype, device=y.device).view(y.shape).sin()
    return (y.square().tanh() * weights + y.sin()).sum()


def leaf(x: Tensor) -> Tensor:
    return x.detach().clone().requires_grad_()


def all_gradients(layer: nn.Module, loss: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    return torch.autograd.grad(loss, (*inputs, *layer.parameters()))


def penalised_loss(layer: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    loss = curved(layer(images))
    (gradient,) = torch.autograd.grad(loss, images, create_graph=True)
    return loss + gradient.square().sum()


ABILITIES: dict[str, Ability] = {}


def ability(function: Ability) -> Ability:
    ABILITIES[function.__name__] = function
    return function


# Plain autograd


@ability
def a_step(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    y = layer(x)
    return y, all_gradients(layer, curved(y), x), dict(layer.named_buffers())


@ability
def a_penalised_step(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(layer, penalised_loss(layer, x), x), dict(layer.named_buffers())


@ability
def evaluation(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(layer, penalised_loss(layer.eval(), x), x)


@ability
def a_backward_pass_twice(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    loss = penalised_loss(layer, x)
    first = torch.autograd.grad(loss, x, retain_graph=True)
    return first, all_gradients(layer, loss, x)


@ability
def frozen_parameters(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    layer.requires_grad_(False)
    return torch.autograd.grad(penalised_loss(layer, x), x)


@ability
def keyword_argument(layer: nn.Module, x: Tensor) -> Any:
    return layer(x=x) if isinstance(layer, ComplexConv2d | ComplexLinear) else layer(input=x)


@ability
def no_grad_and_inference_mode(layer: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        first = layer(x)
    with torch.inference_mode():
        return first, layer(x).clone()


@ability
def other_dtypes(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x.bfloat16())
    y = layer.bfloat16()(x)
    return y.dtype, y.shape, [gradient.dtype for gradient in all_gradients(layer, curved(y), x)]


@ability
def mixed_precision(layer: nn.Module, x: Tensor) -> Any:
    layer, x = layer.float(), leaf(x.float())
    with torch.autocast("cpu", torch.bfloat16):
        y = layer(x)
    return y, all_gradients(layer, curved(y.float()), x)


@ability
def a_batch_of_none(layer: nn.Module, x: Tensor) -> Any:
    return layer.eval()(leaf(x[:0]))


@ability
def channels_last(layer: nn.Module, x: Tensor) -> Any:
    x = x.contiguous(memory_format=torch.channels_last) if x.ndim == 4 else x.t().contiguous().t()
    return a_penalised_step(layer, x)


@ability
def a_device_without_data(layer: nn.Module, x: Tensor) -> Any:
    return layer.to("meta")(x.to("meta")).shape


@ability
def anomaly_detection(layer: nn.Module, x: Tensor) -> Any:
    with torch.autograd.set_detect_anomaly(True, check_nan=True):
        return a_penalised_step(layer, x)


# Operations in place


@ability
def an_operation_in_place_on_the_output(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(layer, curved(layer(x * 1).sub_(0.1).relu_()), x)


@ability
def an_operation_in_place_on_a_view_of_the_output(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    y = layer(x * 1)
    y[0].mul_(2)
    return all_gradients(layer, curved(y), x)


@ability
def an_operation_in_place_on_the_gradient(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    loss = curved(layer(x))
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    return all_gradients(layer, loss + gradient.mul_(2).square().sum(), x)


# Vectorised derivatives


@ability
def batched_gradients(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    y = layer(x)
    directions = torch.linspace(-1, 1, 3 * y.numel(), dtype=y.dtype).view(3, *y.shape)
    inputs = (x, *layer.parameters())
    return torch.autograd.grad(y, inputs, directions, is_grads_batched=True)


@ability
def batched_gradients_of_a_penalty(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    loss = curved(layer(x))
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    some = gradient.flatten()[:4]
    inputs = (x, *layer.parameters())
    return torch.autograd.grad(
        some, inputs, torch.eye(4, dtype=x.dtype), is_grads_batched=True, allow_unused=True
    )


@ability
def vectorised_jacobian(layer: nn.Module, x: Tensor) -> Any:
    return jacobian(layer, x, vectorize=True)


@ability
def vectorised_forward_jacobian(layer: nn.Module, x: Tensor) -> Any:
    return jacobian(layer, x, vectorize=True, strategy="forward-mode")


@ability
def vectorised_hessian(layer: nn.Module, x: Tensor) -> Any:
    return hessian(lambda x: curved(layer(x)), x, vectorize=True)


@ability
def vectorised_hessian_forward_over_reverse(layer: nn.Module, x: Tensor) -> Any:
    return hessian(
        lambda x: curved(layer(x)), x, vectorize=True, outer_jacobian_strategy="forward-mode"
    )


@ability
def hessian_times_vector(layer: nn.Module, x: Tensor) -> Any:
    return hvp(lambda x: curved(layer(x)), x, torch.ones_like(x))


# torch.func and forward mode


@ability
def per_example_gradients(layer: nn.Module, x: Tensor) -> Any:
    parameters = {name: p.detach() for name, p in layer.eval().named_parameters()}
    buffers = {name: b.detach() for name, b in layer.named_buffers()}

    def loss(parameters: dict[str, Tensor], one: Tensor) -> Tensor:
        return curved(functional_call(layer, (parameters, buffers), one[None]))

    return vmap(grad(loss, argnums=(0, 1)), in_dims=(None, 0))(parameters, x)


@ability
def func_products(layer: nn.Module, x: Tensor) -> Any:
    layer = layer.eval()
    y, pull_back = vjp(layer, x)
    return jvp(layer, (x,), (x.cos(),)), pull_back(y)


@ability
def func_hessian(layer: nn.Module, x: Tensor) -> Any:
    return jacfwd(jacrev(lambda x: curved(layer.eval()(x))))(x)


@ability
def forward_mode(layer: nn.Module, x: Tensor) -> Any:
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(layer(forward_ad.make_dual(x, x.cos()))).tangent


@ability
def forward_mode_over_the_backward_pass(layer: nn.Module, x: Tensor) -> Any:
    """Push a tangent through a graph that was recorded before forward mode began."""
    x = leaf(x)
    y = layer(x)
    with forward_ad.dual_level():
        direction = forward_ad.make_dual(torch.ones_like(y), y.detach().cos())
        (gradient,) = torch.autograd.grad(y, x, direction)
        return forward_ad.unpack_dual(gradient).tangent


# Saved tensors


@ability
def checkpointing(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(layer, curved(checkpoint(layer, x * 1, use_reentrant=False)), x)


@ability
def checkpointing_under_a_penalty(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    return all_gradients(
        layer, penalised_loss(lambda x: checkpoint(layer, x * 1, use_reentrant=False), x), x
    )


@ability
def reentrant_checkpointing(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    layer.zero_grad()
    curved(checkpoint(layer, x * 1, use_reentrant=True)).backward()
    return x.grad, [parameter.grad for parameter in layer.parameters()]


@ability
def selective_checkpointing(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    saved = [torch.ops.aten.convolution.default, torch.ops.aten.addmm.default]
    contexts = partial(create_selective_checkpoint_contexts, saved)
    y = checkpoint(layer, x * 1, use_reentrant=False, context_fn=contexts)
    return all_gradients(layer, curved(y), x)


@ability
def saved_tensors_elsewhere(layer: nn.Module, x: Tensor) -> Any:
    x = leaf(x)
    with torch.autograd.graph.save_on_cpu():
        loss = penalised_loss(layer, x)
    return all_gradients(layer, loss, x)


# Hooks and hidden activations


def penalty_on_hidden(
    layer: nn.Module, x: Tensor, watch: Callable[[Tensor, Tensor], None]
) -> tuple[Tensor, Tensor]:
    """Return the penalised loss of images that no longer require a gradient, and an activation.

    As double backpropagation leaves it: gradients before the layer are read by hooks alone.
    """
    images = leaf(x)
    hidden = images * 2
    watch(images, hidden)
    y = layer(hidden)
    loss = curved(y)
    (gradient,) = torch.autograd.grad(loss, images, create_graph=True)
    images.requires_grad_(False)
    return loss + gradient.square().sum(), hidden


def nothing(images: Tensor, hidden: Tensor) -> None:
    pass


@ability
def hooks_before_the_first_parameter(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    loss, _ = penalty_on_hidden(layer, x, lambda _, hidden: hidden.register_hook(seen.append))
    loss.backward()
    return seen


@ability
def hooks_on_the_images(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    loss, _ = penalty_on_hidden(layer, x, lambda images, _: images.register_hook(seen.append))
    loss.backward()
    return seen


@ability
def late_hooks_and_retained_gradients(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    loss, hidden = penalty_on_hidden(layer, x, nothing)
    hidden.register_hook(seen.append)
    hidden.retain_grad()
    loss.backward()
    return seen, hidden.grad


@ability
def a_hidden_activation_asked_for_by_name(layer: nn.Module, x: Tensor) -> Any:
    loss, hidden = penalty_on_hidden(layer, x, nothing)
    return torch.autograd.grad(loss, [hidden, *layer.parameters()])


@ability
def a_hidden_activation_far_from_the_layer(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    inner = nn.Sequential(nn.Tanh(), nn.Softplus(), layer)
    loss, _ = penalty_on_hidden(inner, x, lambda _, hidden: hidden.register_hook(seen.append))
    loss.backward()
    return seen


@ability
def checkpointed_hidden_activations(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Tensor] = []
    loss, _ = penalty_on_hidden(
        lambda h: checkpoint(layer, h, use_reentrant=False),  # type: ignore[arg-type] # called only
        x,
        lambda _, hidden: hidden.register_hook(seen.append),
    )
    loss.backward()
    return seen


@ability
def module_hooks(layer: nn.Module, x: Tensor) -> Any:
    seen: list[Any] = []
    handles = [
        layer.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0])),
        layer.register_forward_hook(lambda _, __, y: seen.append(y)),
        layer.register_full_backward_pre_hook(lambda _, g: seen.append(g)),
        layer.register_full_backward_hook(lambda _, gx, g: seen.append((gx, g))),
    ]
    loss, _ = penalty_on_hidden(layer, x, nothing)
    loss.backward()
    for handle in handles:
        handle.remove()
    return seen


# Modes and subclasses


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


# Copies


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


# Programs made of the layer


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


NOT_OF_COMPLEX = {
    # Checks of shapes and settings in classes that never were TorchScript.
    "torchscript",
    # What a mode is shown depends on how the composition is written.
    "function_modes",
    # They compute in full precision under autocast, see test_complex_layers.py.
    "mixed_precision",
}
NOT_OF_COMPLEX_LINEAR = {
    # PyTorch's square root keeps its result, and refuses that somebody overwrites it.
    "an_operation_in_place_on_the_output",
    "an_operation_in_place_on_a_view_of_the_output",
}


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


def cases() -> Iterator[Any]:
    for name in LAYERS:
        for title in ABILITIES:
            if name.startswith("Complex") and title in NOT_OF_COMPLEX:
                continue
            if name == "ComplexLinear" and title in NOT_OF_COMPLEX_LINEAR:
                continue
            yield pytest.param(name, title, id=f"{name}: {title}")


@pytest.mark.parametrize(("name", "title"), list(cases()))
def test_our_layer_does_it_as_pytorchs_does(name: str, title: str) -> None:
    ours, theirs, x = pair(name)
    expected = ABILITIES[title](theirs, x)
    found = ABILITIES[title](ours, x)
    (mine, my_rest), (other, rest) = (tree_flatten(answer) for answer in (found, expected))
    assert my_rest == rest
    for one, wanted in zip(mine, other, strict=True):
        if isinstance(wanted, Tensor):
            agree(one, wanted)
        else:
            assert one == wanted


@pytest.mark.parametrize("name", [name for name in LAYERS if not name.startswith("Complex")])
def test_the_way_there_and_back(name: str) -> None:
    ours, theirs, x = pair(name)
    model = nn.Sequential(theirs)
    before = copy.deepcopy(model)
    assert use_fast_layers(model) == 1
    assert type(model[0]) is type(ours)
    assert model.state_dict().keys() == before.state_dict().keys()
    before.load_state_dict(model.state_dict())
    model.load_state_dict(before.state_dict())
    assert use_torch_layers(model) == 1
    assert type(model[0]) is type(before[0])
    assert vars(model[0]).keys() == vars(before[0]).keys()
    assert repr(model) == repr(before)
    agree(a_penalised_step(model, x), a_penalised_step(before, x))
    assert use_torch_layers(model) == 0
