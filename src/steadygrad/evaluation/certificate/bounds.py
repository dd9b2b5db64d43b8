"""Bounds of a chain over a ball: intervals forwards, linear functions backwards."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from steadygrad.attacks.ball import Norm
from steadygrad.evaluation.certificate.chain import Affine, Chain, Rectifier

__all__ = ["Bounds", "Region", "interval_bounds", "linear_lower_bound", "refined_bounds"]

Bounds = list[tuple[Tensor, Tensor]]
"""Lower and upper bound of the input of each step, and of the output at the end."""

ROWS = 2048
"""Linear functions that go backwards together."""


@dataclass(frozen=True, eq=False)
class Region:
    """Where inputs may lie: a box, and in L2 the ball of ``eps`` around the centres too.

    centre, lower, upper: (batch, channels, height, width), float64.
    """

    centre: Tensor
    lower: Tensor
    upper: Tensor
    eps: float
    norm: Norm

    @classmethod
    def around(cls, images: Tensor, eps: float, norm: Norm) -> "Region":
        """Return all images of the pixel range within eps; a change has no pixel above eps."""
        centre = images.double()
        lower, upper = (centre - eps).clamp_min(0), (centre + eps).clamp_max(1)
        return cls(centre, lower, upper, eps, norm)

    def at(self, rows: Tensor) -> "Region":
        """Return the region of the examples at ``rows``, int64."""
        centre, lower, upper = (each[rows] for each in (self.centre, self.lower, self.upper))
        return Region(centre, lower, upper, self.eps, self.norm)

    def least(self, slopes: Tensor) -> Tensor:
        """Return the least value of ``slopes . x``, (batch, m) for slopes (batch, m, ...)."""
        slopes = slopes.flatten(start_dim=2)
        centre, lower, upper = (
            each.flatten(start_dim=1).unsqueeze(1) for each in (self.centre, self.lower, self.upper)
        )
        in_box = torch.where(slopes > 0, slopes * lower, slopes * upper).sum(dim=2)
        if self.norm == "linf":
            return in_box
        in_ball = (slopes * centre).sum(dim=2) - self.eps * slopes.norm(dim=2)
        return torch.maximum(in_box, in_ball)


def interval_bounds(chain: Chain, region: Region) -> Bounds:
    """Return bounds by interval arithmetic, step by step.

    Source: Gowal et al. 2018 (arXiv:1810.12715), Eqs. (6) and (7).
    """
    bounds = [(region.lower, region.upper)]
    for step in chain.steps:
        bounds.append(_interval(step, *bounds[-1]))
    return bounds


def _interval(step: Affine | Rectifier, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    if isinstance(step, Rectifier):
        return lower.clamp_min(0), upper.clamp_min(0)
    centre, radius = step.apply((lower + upper) / 2), step.spread((upper - lower) / 2)
    return centre - radius, centre + radius


def linear_lower_bound(
    steps: Sequence[Affine | Rectifier], bounds: Bounds, region: Region, slopes: Tensor
) -> Tensor:
    """Return a lower bound of ``slopes . f(x)`` over the region, (batch, m).

    ``f`` are the steps; a ReLU that may switch is bounded from above by the chord of its interval
    and from below by 0 or the identity, whichever leaves less between them.

    bounds: of the input of every step at least.
    slopes: (batch, m, ...), of f's output.
    Source: CROWN, Zhang et al., NeurIPS 2018 (arXiv:1811.00866), section 3.3, with its adaptive
        lower line; Fast-Lin, Weng et al., ICML 2018 (arXiv:1804.09699).
    """
    batch, m = slopes.shape[:2]
    offset = torch.zeros((batch, m), dtype=slopes.dtype, device=slopes.device)
    for step, (lower, upper) in zip(reversed(steps), reversed(bounds[: len(steps)]), strict=True):
        if isinstance(step, Affine):
            slopes, moved = _through_affine(step, slopes, lower.shape[1:])
        else:
            slopes, moved = _through_rectifier(slopes, lower.unsqueeze(1), upper.unsqueeze(1))
        offset = offset + moved
    return region.least(slopes) + offset


def _through_affine(step: Affine, slopes: Tensor, shape: torch.Size) -> tuple[Tensor, Tensor]:
    batch, m = slopes.shape[:2]
    with torch.enable_grad():
        point = torch.zeros((batch * m, *shape), dtype=slopes.dtype, device=slopes.device)
        value = step.apply(point.requires_grad_())
        (adjoint,) = torch.autograd.grad(value, point, slopes.reshape(value.shape))
    # At zero an affine map is its offset, the same for every row.
    moved = (slopes.flatten(start_dim=2) * value.detach()[:1].flatten(start_dim=1)).sum(dim=2)
    return adjoint.view(batch, m, *shape), moved


def _through_rectifier(slopes: Tensor, lower: Tensor, upper: Tensor) -> tuple[Tensor, Tensor]:
    may_switch = (lower < 0) & (upper > 0)
    is_on = (lower >= 0).to(slopes.dtype)
    width = torch.where(may_switch, upper - lower, 1.0)
    chord = torch.where(may_switch, upper / width, is_on)
    below = torch.where(may_switch, (upper > -lower).to(slopes.dtype), is_on)
    falling = slopes.clamp_max(0)
    rise = torch.where(may_switch, -upper * lower / width, 0.0)
    moved = (falling * rise).flatten(start_dim=2).sum(dim=2)
    return slopes.clamp_min(0) * below + falling * chord, moved


def refined_bounds(chain: Chain, region: Region, bounds: Bounds) -> Bounds:
    """Return bounds of one example in which ReLUs that may switch are bounded backwards too."""
    refined = list(bounds)
    for place, step in enumerate(chain.steps):
        if isinstance(step, Rectifier):
            refined[place] = _refined(chain, region, refined, place)
            # What follows from the better bounds, as far as the next ReLU and beyond.
            for later in range(place, len(chain.steps)):
                low, high = _interval(chain.steps[later], *refined[later])
                old_low, old_high = refined[later + 1]
                refined[later + 1] = torch.maximum(low, old_low), torch.minimum(high, old_high)
    return refined


def _refined(chain: Chain, region: Region, bounds: Bounds, place: int) -> tuple[Tensor, Tensor]:
    lower, upper = (each.clone() for each in bounds[place])
    flat_lower, flat_upper = lower.view(-1), upper.view(-1)
    open_units = ((flat_lower < 0) & (flat_upper > 0)).nonzero().squeeze(1)
    for units in torch.split(open_units, ROWS):
        slopes = lower.new_zeros((len(units), flat_lower.numel()))
        slopes[torch.arange(len(units), device=lower.device), units] = 1.0
        slopes = slopes.view(1, len(units), *lower.shape[1:])
        steps = chain.steps[:place]
        low = linear_lower_bound(steps, bounds, region, slopes)[0]
        high = -linear_lower_bound(steps, bounds, region, -slopes)[0]
        flat_lower[units] = torch.maximum(flat_lower[units], low)
        flat_upper[units] = torch.minimum(flat_upper[units], high)
    return lower, upper
