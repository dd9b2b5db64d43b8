"""Cosine, sine and modulus with the exact first derivative and the paper's partial second one."""

from torch import Tensor

from steadygrad.layers.modulus import modulus

__all__ = ["frozen_cos_sin", "frozen_modulus"]


def frozen_cos_sin(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return cos x and sin x whose derivatives, -sin x and cos x, count as constants."""
    cos, sin = x.detach().cos(), x.detach().sin()
    shift = x - x.detach()
    return cos - sin * shift, sin + cos * shift


def frozen_modulus(z_real: Tensor, z_imag: Tensor, smoothing: float) -> Tensor:
    """Return the modulus whose derivative, the unit phase z / |z|, counts as a constant."""
    magnitude = modulus(z_real.detach(), z_imag.detach(), smoothing)
    shift_real = (z_real - z_real.detach()) * (z_real.detach() / magnitude)
    shift_imag = (z_imag - z_imag.detach()) * (z_imag.detach() / magnitude)
    return magnitude + shift_real + shift_imag
