"""Each image shifted and scaled to zero mean and unit variance, inside the model."""

from torch import Tensor, nn

from steadygrad.errors import HyperparameterError, ShapeError

__all__ = ["PerImageStandardization"]


class PerImageStandardization(nn.Module):
    """Return ``(x - mean) / max(std, minimum_std)``, mean and std over each image's own values.

    Shapes: x ``(N, C, H, W)``; returns the same shape.
    minimum_std: in pixel units, > 0 (HyperparameterError otherwise); by default one grey level.
    Raises: ShapeError, if x is not a batch of images.
    Source: Roth et al., arXiv:1805.08736, experimental setup.

    The variance is clamped before the root, so a constant image becomes all zeros and both
    derivatives stay finite there: below ``minimum_std`` the map is linear.
    """

    def __init__(self, minimum_std: float = 1 / 255) -> None:
        super().__init__()
        if not 0 < minimum_std < float("inf"):
            raise HyperparameterError(f"expected minimum_std > 0 and finite, got {minimum_std}")
        self.minimum_std = minimum_std

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim != 4:
            raise ShapeError(f"expected x of shape (N, C, H, W), got {tuple(x.shape)}")
        centred = x - x.mean(dim=(1, 2, 3), keepdim=True)
        variance = centred.square().mean(dim=(1, 2, 3), keepdim=True)
        return centred / variance.clamp_min(self.minimum_std**2).sqrt()

    def extra_repr(self) -> str:
        return f"minimum_std={self.minimum_std:g}"
