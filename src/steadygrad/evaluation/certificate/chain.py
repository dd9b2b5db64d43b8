"""A feed-forward network as a chain of affine maps and ReLUs, read off the model by tracing."""

import operator
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.parametrize import type_before_parametrizations
from torch.nn.utils.prune import BasePruningMethod
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from steadygrad import layers
from steadygrad._typing import Classifier, Images
from steadygrad.layers import PixelNormalization
from steadygrad.models import Classifier as WrappedClassifier
from steadygrad.models.wrappers import copied

__all__ = ["Affine", "Chain", "Rectifier", "chain_of"]

TOLERANCE = 1e-5
"""How far, in parts of the logits' size, chain and model may be apart."""

KNOWN: frozenset[type[nn.Module]] = frozenset(
    {
        *(nn.Identity, nn.Dropout, nn.Dropout2d, nn.ReLU, nn.Flatten, PixelNormalization),
        *(nn.Linear, nn.Conv2d, nn.AvgPool2d, nn.BatchNorm1d, nn.BatchNorm2d),
        *(layers.Linear, layers.Conv2d, layers.AvgPool2x2, layers.BatchNorm2d),
    }
)
"""Layers that are bounded; a subclass of one may compute something else."""

REPARAMETRISATIONS = (BasePruningMethod, WeightNorm, SpectralNorm)
"""PyTorch's hooks that compute a layer's weight before each pass, and change nothing else."""


@dataclass(frozen=True, eq=False)
class Affine:
    """``x -> A x + b``.

    apply: of tensors (batch, ...) in float64; spread: ``r -> |A| r``, entry by entry.
    """

    apply: Callable[[Tensor], Tensor]
    spread: Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Rectifier:
    """``x -> max(x, 0)``."""


Step: TypeAlias = Affine | Rectifier


@dataclass(frozen=True, eq=False)
class Chain:
    """A network as steps, in float64; calling it returns the logits."""

    steps: tuple[Step, ...]

    def __call__(self, images: Images) -> Tensor:
        """Return the logits (batch, classes), float64."""
        value = images.double()
        for step in self.steps:
            value = step.apply(value) if isinstance(step, Affine) else value.clamp_min(0)
        return value


def chain_of(model: Classifier, images: Images) -> Chain | None:
    """Return the chain that a model is, or None if it is none that we know how to bound.

    Known are Linear, Conv2d, AvgPool2d, Flatten, ReLU, BatchNorm and Dropout in eval mode,
    Identity, PixelNormalization, and adding, subtracting, multiplying by and dividing by constants
    (standardisation), one after the other, alone or in ``steadygrad.models.Classifier``. Weights
    may be pruned or parametrized by PyTorch's own means; a layer with other hooks, or of a
    subclass, is not known. The chain is compared with the model on the images given.
    """
    if not isinstance(model, nn.Module) or len(images) == 0:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            precise = copied(_bare(model)).double().requires_grad_(False).eval()
            # Inside another module, so that hooks of the model itself are traced like the rest.
            traced = fx.symbolic_trace(nn.Sequential(precise))
            steps = _steps(traced)
            if steps is None:
                return None
            chain = Chain(tuple(steps))
            with torch.no_grad():
                expected, found = model(images).double(), chain(images)
    except Exception:  # whatever a stranger's model raises when traced, it has no proof here
        return None
    if expected.shape != found.shape:
        return None
    apart = (expected - found).abs().max()
    return chain if bool(apart <= TOLERANCE * (1 + expected.abs().max())) else None


def _bare(model: nn.Module) -> nn.Module:
    """Return what a wrapped network computes where it scales no image, as layers."""
    if type(model) is WrappedClassifier and not _hooks(model):
        return nn.Sequential(model.normalization, model.model)
    return model


def _steps(traced: fx.GraphModule) -> list[Step] | None:
    steps: list[Step] = []
    constants: dict[fx.Node, Any] = {}
    last: fx.Node | None = None
    for node in traced.graph.nodes:
        if node.op == "placeholder":
            if last is not None:
                return None
            last = node
        elif node.op == "get_attr":
            constants[node] = operator.attrgetter(str(node.target))(traced)
        elif node.op == "output":
            return steps if node.args == (last,) else None
        else:
            if [each for each in node.all_input_nodes if each not in constants] != [last]:
                return None
            step = _step(traced, node, constants)
            if step is None:
                return None
            steps += step
            last = node
    return None


def _step(
    traced: fx.GraphModule, node: fx.Node, constants: dict[fx.Node, Any]
) -> list[Step] | None:
    """Return the steps of a node, none for the identity, or None for one that is not known."""
    if node.op == "call_module":
        return _of_module(traced.get_submodule(str(node.target)))
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    rest = node.args[1:]
    if name in ("relu", "relu_"):
        return [Rectifier()]
    if name == "flatten":
        start = rest[0] if rest else node.kwargs.get("start_dim", 0)
        return [_flattening()] if start == 1 and len(rest) < 2 else None
    if name in ("add", "sub", "mul", "truediv", "div") and len(node.args) == 2:
        first, second = (constants.get(a, a) if isinstance(a, fx.Node) else a for a in node.args)
        is_constant = isinstance(second, int | float | Tensor) and not node.kwargs
        if isinstance(first, fx.Node) and is_constant:
            return _with_constant(name, torch.as_tensor(second, dtype=torch.float64))
    return None


def _of_module(module: nn.Module) -> list[Step] | None:
    kind, hooks = type_before_parametrizations(module), _hooks(module)
    if kind not in KNOWN or not all(isinstance(hook, REPARAMETRISATIONS) for hook in hooks):
        return None
    for recompute in hooks:  # the weight that stands there is that of the last pass
        recompute(module, ())
    match module:
        case nn.Identity() | nn.Dropout() | nn.Dropout2d():
            return []
        case nn.ReLU():
            return [Rectifier()]
        case nn.Flatten():
            return [_flattening()] if module.start_dim == 1 and module.end_dim == -1 else None
        case nn.Linear():
            return [_linear(module)]
        case nn.Conv2d():
            return [_convolution(module)] if module.padding_mode == "zeros" else None
        case nn.AvgPool2d():
            return [Affine(module, module)]
        case nn.BatchNorm1d() | nn.BatchNorm2d():
            return _normalisation(module)
        case PixelNormalization():
            first = _with_constant("sub", module.mean[:, None, None])
            return first + _with_constant("div", module.std[:, None, None])
    return None


def _hooks(module: nn.Module) -> list[Any]:
    """Return what is called along with a module's forward method, or instead of it."""
    hooks: list[Any] = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    return [*hooks, module.forward] if "forward" in vars(module) else hooks


def _flattening() -> Affine:
    return Affine(lambda x: x.flatten(start_dim=1), lambda r: r.flatten(start_dim=1))


# Weights are read once: a pruned or parametrized layer would compute its own anew at every call.


def _fixed(value: Tensor) -> Tensor:
    return value.detach().double().clone()


def _linear(module: nn.Linear) -> Affine:
    weight = _fixed(module.weight)
    bias = None if module.bias is None else _fixed(module.bias)
    size = weight.abs()
    return Affine(
        lambda x: functional.linear(x, weight, bias), lambda r: functional.linear(r, size)
    )


def _convolution(module: nn.Conv2d) -> Affine:
    weight = _fixed(module.weight)
    bias = None if module.bias is None else _fixed(module.bias)
    size = weight.abs()

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return functional.conv2d(
            x, weight, bias, module.stride, module.padding, module.dilation, module.groups
        )

    return Affine(lambda x: convolve(x, weight, bias), lambda r: convolve(r, size, None))


def _normalisation(module: nn.BatchNorm1d | nn.BatchNorm2d) -> list[Step] | None:
    if module.running_mean is None or module.running_var is None:
        return None
    scale = (_fixed(module.running_var) + module.eps).rsqrt()
    if module.weight is not None:
        scale = scale * _fixed(module.weight)
    shift = -_fixed(module.running_mean) * scale
    if module.bias is not None:
        shift = shift + _fixed(module.bias)

    def across(values: Tensor, x: Tensor) -> Tensor:
        return values.view(1, -1, *(1,) * (x.ndim - 2))

    return [
        Affine(
            lambda x: x * across(scale, x) + across(shift, x), lambda r: r * across(scale.abs(), r)
        )
    ]


def _with_constant(name: str, value: Tensor) -> list[Step]:
    if name == "add":
        return [Affine(lambda x: x + value, lambda r: r + 0 * value)]
    if name == "sub":
        return [Affine(lambda x: x - value, lambda r: r + 0 * value)]
    factor = value if name == "mul" else 1 / value
    return [Affine(lambda x: x * factor, lambda r: r * factor.abs())]
