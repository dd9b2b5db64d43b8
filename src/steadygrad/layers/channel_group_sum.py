"""Sum of feature maps over groups of channels."""

from torch import Tensor, nn

from steadygrad.errors import HyperparameterError, ShapeError

__all__ = ["ChannelGroupSum"]


class ChannelGroupSum(nn.Module):
    """Sum ``groups`` contiguous blocks of channels: ``y[:, c] = sum_g x[:, g * C / groups + c]``.

    Shapes: x ``(N, C, ...)``; returns ``(N, C / groups, ...)``.
    Raises: HyperparameterError, if ``groups`` is not a positive integer; ShapeError, if ``groups``
        does not divide C.
    Source: Yeats, Chen & Li, ICML 2021, "feature summing"; the layout is that of the public code.
    """

    def __init__(self, groups: int) -> None:
        super().__init__()
        if not isinstance(groups, int) or groups < 1:
            raise HyperparameterError(f"expected groups to be an integer >= 1, got {groups!r}")
        self.groups = groups

    def forward(self, x: Tensor) -> Tensor:
        if x.ndim < 2 or x.shape[1] % self.groups:
            raise ShapeError(
                f"expected x of shape (N, C, ...) with C a multiple of {self.groups}, "
                f"got {tuple(x.shape)}"
            )
        batch, channels, *rest = x.shape
        return x.reshape(batch, self.groups, channels // self.groups, *rest).sum(dim=1)

    def extra_repr(self) -> str:
        return f"groups={self.groups}"
