"""Of several adversarial images for one example, the one worth keeping."""

import torch
from torch import Tensor

from steadygrad._typing import Images

__all__ = ["StrongestFound"]


class StrongestFound:
    """Per example, the first candidate that succeeded, else the one of highest value.

    images: what stands in until a candidate arrives; shape, dtype and device of the result.
    """

    def __init__(self, images: Images) -> None:
        self.images = images.detach().clone()
        self._values = torch.full((len(images),), -torch.inf, device=images.device)
        self._succeeded = torch.zeros(len(images), dtype=torch.bool, device=images.device)

    @property
    def unbroken(self) -> Tensor:
        """Indices of the examples on which nothing has succeeded yet, int64."""
        return (~self._succeeded).nonzero().squeeze(1)

    def unbroken_of(self, rows: Tensor) -> Tensor:
        """Return those of the examples at ``rows`` on which nothing has succeeded yet, int64."""
        return rows[~self._succeeded[rows]]

    def offer(self, rows: Tensor, candidates: Images, values: Tensor, succeeded: Tensor) -> None:
        """Weigh one new candidate for each example at ``rows``, none of which is broken yet."""
        values = values.to(self._values.dtype)
        is_better = succeeded | (values > self._values[rows])
        better = rows[is_better]
        self.images[better] = candidates[is_better]
        self._values[better] = values[is_better]
        self._succeeded[rows] = succeeded
