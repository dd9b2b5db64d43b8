"""The complex convolution composed of operations that autograd differentiates by itself."""

from torch import Tensor

from steadygrad.layers.convolution_settings import ConvolutionSettings
from steadygrad.layers.frozen_phase import frozen_cos_sin, frozen_modulus
from steadygrad.layers.modulus import modulus

__all__ = ["composed_convolution"]


def composed_convolution(
    x: Tensor,
    weight_real: Tensor,
    weight_imag: Tensor,
    bias_real: Tensor | None,
    bias_imag: Tensor | None,
    settings: ConvolutionSettings,
) -> Tensor:
    """Return ``|W * exp(ix) + b|``, summed over ``settings.sum_groups`` blocks of channels.

    Works wherever PyTorch does: any device, autocast, torch.func, torch.compile, any number of
    derivatives. ``chunked_convolution`` computes the same, faster.
    """
    frozen = settings.second_order == "frozen_phase"
    # Zeros are padded after the cosine and sine: the complex number 0, not the phase 0.
    cos, sin = frozen_cos_sin(x) if frozen else (x.cos(), x.sin())
    z_real = settings.convolve(cos, weight_real, bias_real) - settings.convolve(sin, weight_imag)
    z_imag = settings.convolve(sin, weight_real, bias_imag) + settings.convolve(cos, weight_imag)
    y = (frozen_modulus if frozen else modulus)(z_real, z_imag, settings.smoothing)
    if settings.sum_groups == 1:
        return y
    batch, channels, height, width = y.shape
    groups = settings.sum_groups
    return y.reshape(batch, groups, channels // groups, height, width).sum(dim=1)
