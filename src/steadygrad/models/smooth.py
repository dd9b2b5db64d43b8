"""Smooth activations in place of ReLU, whose second derivative is zero."""

from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, TypeAlias

from torch import nn

from steadygrad.errors import ModelError
from steadygrad.models.entry import ImageShape
from steadygrad.models.registry import MODELS, ModelSource, bare, model, own_network
from steadygrad.parts import read_nested

__all__ = ["Smooth", "SmoothActivation", "piecewise_linear", "smooth_activations"]

SmoothActivation: TypeAlias = Literal["gelu", "silu", "softplus"]

_SMOOTH: dict[str, type[nn.Module]] = {"gelu": nn.GELU, "silu": nn.SiLU, "softplus": nn.Softplus}
_PIECEWISE = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh)
_REPLACED = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.Hardswish)


def piecewise_linear(network: nn.Module) -> list[str]:
    """Return the names of the modules whose second derivative is zero or missing.

    A module that stands in several places has a name for each.
    """
    modules = network.named_modules(remove_duplicate=False)
    return [name for name, module in modules if isinstance(module, _PIECEWISE)]


def smooth_activations(network: nn.Module, activation: SmoothActivation = "gelu") -> int:
    """Replace ReLU, ReLU6, leaky ReLU and hard swish by a smooth activation; return how many.

    In place; parameters and the keys of ``state_dict`` stay. Functions called in ``forward``
    (``torch.relu``) cannot be found. The network computes something else afterwards: fine-tune it.

    Args:
        network: anyone's.
        activation: "gelu", "silu" or "softplus".

    Raises:
        ModelError: there is nothing to replace.
    """
    replaced = 0
    for module in list(network.modules()):
        # named_children() leaves out a module that it has met: one ReLU may stand in many places.
        for name, child in module._modules.items():
            if isinstance(child, _REPLACED):
                setattr(module, name, _SMOOTH[activation]())
                replaced += 1
    if replaced == 0:
        raise ModelError(
            f"expected ReLU modules to replace by {activation}, found none in "
            f"{type(network).__name__}"
        )
    return replaced


@model("smooth")
@dataclass(frozen=True, kw_only=True)
class Smooth:
    """Another model with smooth activations: ``smooth:model=timm:resnet18,activation=gelu``.

    A smooth network is what an input-gradient penalty can bend; a ReLU network's gradient is
    piecewise constant. The weights that fit the other model fit this one, but compute something
    else: fine-tune first without a penalty (``ramp:3,after=1``).

    Args:
        model: the other model, a part of ``MODELS``.
        activation: "gelu", "silu" or "softplus".

    Raises:
        ModelError: when built, if there is nothing to replace.
    """

    builds_anew: ClassVar[bool] = True

    model: Annotated[ModelSource, MODELS]
    activation: SmoothActivation = "gelu"

    def __post_init__(self) -> None:
        read_nested(self)

    def build(
        self, *, input_shape: ImageShape | None = None, num_classes: int | None = None
    ) -> nn.Module:
        """Return the other model's network with its activations replaced.

        A network that a program gave stays as it is.
        """
        network = own_network(self.model, input_shape=input_shape, num_classes=num_classes)
        smooth_activations(network, self.activation)
        return network

    def bare(self) -> "Smooth":
        """Return the part without weights."""
        return replace(self, model=bare(self.model))
