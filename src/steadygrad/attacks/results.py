"""What an attack returns, judged: images like those it was given, inside the ball that it names."""

import torch
from torch import Tensor

from steadygrad._typing import Images
from steadygrad.attacks.ball import AnyNorm
from steadygrad.attacks.base import Attack, norm_of
from steadygrad.attacks.part import ATTACKS, about_attack
from steadygrad.checks import check_kind
from steadygrad.errors import ImageError

__all__ = ["are_inside", "check_result"]

_SLACK = 1e-6
"""By how much a pixel may be further away than it should, through rounding."""
_HALF_STEP = 0.25
"""Of a type's eps, half the step between its numbers below 1: how far rounding moves a pixel."""


def are_inside(
    adversarial: Images, images: Images, *, eps: float | None, norm: AnyNorm = "linf"
) -> Tensor:
    """Return which results lie in the ball and in the pixel range, bool (batch,); NaN does not.

    Args:
        adversarial: (batch, channels, height, width).
        images: the centres.
        eps: radius; None for the pixel range alone.
        norm: of the ball.
    """
    slack = max(_SLACK, torch.finfo(images.dtype).eps)
    pixels = adversarial.detach().flatten(start_dim=1)
    inside: Tensor = (pixels.amin(dim=1) >= -slack) & (pixels.amax(dim=1) <= 1 + slack)
    if eps is None:
        return inside
    size, allowed = _size_and_limit(adversarial.detach() - images, eps, norm, slack)
    return inside & (size <= allowed)


def check_result(attack: Attack, adversarial: object, images: Images) -> None:
    """Refuse what cannot be the result of an attack on these images; waits for the device.

    Args:
        attack: that returned it. A registered one has to stay in its ball, unless it says
            otherwise there; nothing is known of others.
        adversarial: what it returned.
        images: that it was given.

    Raises:
        ImageError: of another kind, NaN, outside the pixel range, or further away than ``eps``.
    """
    about = about_attack(attack)
    who = f"the attack {about.title}"
    check_kind(who, adversarial, images)
    assert isinstance(adversarial, Tensor)
    promises = ATTACKS.name_of(attack) is not None and about.stays_in_ball and about.has_eps
    eps, norm = attack.eps if promises else None, norm_of(attack)
    if are_inside(adversarial, images, eps=eps, norm=norm).all():
        return
    if eps is None or not are_inside(adversarial, images, eps=None).all():
        raise ImageError(f"{who} returned images with pixels that are NaN or outside [0, 1]")
    size, _ = _size_and_limit(adversarial.detach() - images, eps, norm, 0.0)
    raise ImageError(
        f"{who} returned an image {size.max().item():.4g} away in {norm}, beyond its eps of "
        f"{eps:.4g}; an attack that may leave its ball says so where it is registered, by "
        "stays_in_ball=False"
    )


def _size_and_limit(
    change: Tensor, eps: float, norm: AnyNorm, slack: float
) -> tuple[Tensor, float]:
    """Return the size of each change, (batch,), and how large it may be."""
    pixels = change.flatten(start_dim=1).double()
    if norm == "linf":
        return pixels.abs().amax(dim=1), eps + 4 * slack
    if norm == "l2":
        # Every pixel is rounded: in half precision that makes the change of a large image longer.
        rounded = _HALF_STEP * torch.finfo(change.dtype).eps * pixels.shape[1] ** 0.5
        return pixels.norm(dim=1), eps * (1 + 1e-4) + slack + rounded
    return pixels.abs().sum(dim=1), eps * (1 + 1e-4) + slack * pixels.shape[1]
