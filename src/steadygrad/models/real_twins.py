"""Registering a real architecture twice: as published, and with a smooth activation."""

from typing import Protocol

from torch import nn

from steadygrad.layers import GELU
from steadygrad.models.entry import ImageShape, ModelEntry, SecondOrder
from steadygrad.models.real_blocks import Activation

__all__ = ["RealArchitecture", "real_twins"]


class RealArchitecture(Protocol):
    """Builds a real network around the given activation."""

    def __call__(self, shape: ImageShape, classes: int, activation: Activation, /) -> nn.Module: ...


def real_twins(
    prefix: str,
    *,
    description: str,
    source: str,
    input_shape: ImageShape,
    architecture: RealArchitecture,
    smallest: int = 4,
    relu_suffix: str = "real",
) -> tuple[ModelEntry, ModelEntry]:
    """Return the entries ``prefix-real`` (ReLU) and ``prefix-gelu``, equal in all but activation.

    The smooth twin costs the same parameters and MACs, so it tells whether an advantage of the
    complex network comes from its phases or from smoothness alone.
    """

    def entry(suffix: str, activation: Activation) -> ModelEntry:
        # second_order is ignored: both activations have one second derivative, the exact one.
        def build(shape: ImageShape, classes: int, _: SecondOrder) -> nn.Module:
            return architecture(shape, classes, activation)

        return ModelEntry(
            name=f"{prefix}-{suffix}",
            description=f"{description}, {activation.__name__}",
            source=source if activation is nn.ReLU else f"smooth twin of {prefix}-{relu_suffix}",
            input_shape=input_shape,
            num_classes=10,
            architecture=build,
            smallest=smallest,
        )

    return entry(relu_suffix, nn.ReLU), entry("gelu", GELU)
