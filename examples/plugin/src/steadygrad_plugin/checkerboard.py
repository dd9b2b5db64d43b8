"""An attack in one file: the worst of a checkerboard and its negative, without any gradient."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from steadygrad.attacks import attack


@attack("checkerboard", title="checkerboard", family="query")
@dataclass(frozen=True, kw_only=True)
class Checkerboard:
    """Add ``eps`` or ``-eps`` to every pixel in a checkerboard of squares, whichever hurts more.

    eps: largest change of any pixel, in [0, 1]. side: of a square, in pixels, at least 1.
    """

    eps: float
    side: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.eps <= 1:
            raise ValueError(f"expected eps in [0, 1], got {self.eps}")
        if self.side < 1:
            raise ValueError(f"expected side >= 1, got {self.side}")

    @torch.no_grad()
    def __call__(
        self,
        model,
        images: Tensor,
        labels: Tensor,
        *,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the images under the pattern of the higher cross-entropy."""
        height, width = images.shape[-2:]
        rows = torch.arange(height, device=images.device)[:, None] // self.side
        columns = torch.arange(width, device=images.device)[None, :] // self.side
        pattern = self.eps * (1 - 2 * ((rows + columns) % 2)).to(images.dtype)
        light, dark = (images + pattern).clamp(0, 1), (images - pattern).clamp(0, 1)
        losses = [cross_entropy(model(x), labels, reduction="none") for x in (light, dark)]
        return torch.where((losses[0] >= losses[1])[:, None, None, None], light, dark)
