"""The set of images an L1 attack may choose from: a cross-polytope cut off at black and white."""

import torch
from torch import Tensor

from steadygrad._typing import Images

__all__ = ["L1Ball"]


class L1Ball:
    """All x with ``sum |x - images| <= eps`` for each image and x in [0, 1].

    images: the centres, (batch, channels, height, width), pixels in [0, 1].
    eps: radius, at least 0, in units of the pixel range: 1 turns one pixel from black to white.
    """

    def __init__(self, images: Images, eps: float) -> None:
        self.images, self.eps = images.detach(), eps

    def project(self, images: Images) -> Images:
        """Return the nearest point of the ball within the pixel range, in L2.

        With ``d`` the change and ``u`` the room that a pixel has in the direction of its change,
        the nearest change is ``sign(d) clamp(|d| - t, 0, u)`` for the ``t >= 0`` at which its
        length is ``eps``, or 0. As a function of ``t`` that length is a polygon; ``t`` is found by
        sorting its corners. Lengths are computed in float32 or wider.
        """
        wide = torch.promote_types(images.dtype, torch.float32)
        centres = self.images.to(wide)
        change = images.to(wide) - centres
        room = torch.where(change > 0, 1 - centres, centres).flatten(start_dim=1)
        size = change.abs().flatten(start_dim=1)
        threshold = _threshold(size, room, self.eps)
        kept = torch.minimum((size - threshold).clamp_(min=0), room).view_as(change)
        return (centres + change.sign() * kept).clamp_(0, 1).to(images.dtype)

    def steepest(self, gradient: Tensor, images: Images, pixels: int) -> Tensor:
        """Return a change of length 1, spread over the pixels whose gradient is largest.

        The steepest change alone moves a single pixel. A pixel that is black and would have to
        become darker, or white and brighter, is left out.

        Args:
            gradient: of what is to rise, shaped like the images.
            images: where the change begins.
            pixels: over how many values it is spread, at least 1.
        """
        can_move = ((gradient > 0) & (images < 1)) | ((gradient < 0) & (images > 0))
        slopes = torch.where(can_move, gradient, 0.0).flatten(start_dim=1)
        chosen = slopes.abs().topk(pixels, dim=1).indices
        signs = slopes.gather(1, chosen).sign()
        return torch.zeros_like(slopes).scatter_(1, chosen, signs / pixels).view_as(gradient)


def _threshold(size: Tensor, room: Tensor, eps: float) -> Tensor:
    """Return the ``t`` of each row at which ``sum clamp(size - t, 0, room)`` is eps; at least 0."""
    corners, order = torch.cat((size, size - room), dim=1).sort(dim=1, descending=True)
    turns = torch.cat((torch.ones_like(size), -torch.ones_like(size)), dim=1).gather(1, order)
    slopes = turns.cumsum(dim=1)[:, :-1]  # how many values move between two corners
    lengths = (slopes * -corners.diff(dim=1)).cumsum(dim=1)
    lengths = torch.cat((torch.zeros_like(lengths[:, :1]), lengths), dim=1)
    is_short = lengths < eps
    last = is_short.sum(dim=1, keepdim=True).clamp_(1, corners.shape[1] - 1) - 1
    rest = eps - lengths.gather(1, last)
    found = corners.gather(1, last) - rest / slopes.gather(1, last).clamp_(min=1)
    fits = torch.minimum(size, room).sum(dim=1, keepdim=True) <= eps
    return torch.where(fits, 0.0, found).clamp_(min=0)
