"""How a complex convolution slides, sums and differentiates: everything but its parameters."""

from dataclasses import dataclass

from steadygrad.layers.complex_parameters import SecondOrder
from steadygrad.layers.sliding_window import SlidingWindow

__all__ = ["ConvolutionSettings"]


@dataclass(frozen=True, kw_only=True)
class ConvolutionSettings(SlidingWindow):
    """The settings of one ``ComplexConv2d``, already checked; see there for their meaning."""

    sum_groups: int
    smoothing: float
    second_order: SecondOrder
