"""DeepFool where black and white pixels cannot follow: beyond the boundary, not on it."""

import torch
from torch import Tensor

from steadygrad.attacks import DeepFool

WEIGHT = torch.tensor([3.0, -2.0, 4.0, -1.0, 2.0, -3.0, 1.0, -4.0, 2.5])


def linear(images: Tensor) -> Tensor:
    """Two classes, ``w'x + 5`` and 0."""
    logit = images.flatten(1) @ WEIGHT.to(images.dtype) + 5
    return torch.stack((logit, torch.zeros_like(logit)), dim=1)


def test_a_clamp_that_blocks_half_of_every_step_does_not_leave_the_image_on_the_boundary() -> None:
    # The black pixels have large weights of their own, and cannot get darker to lower w'x.
    images = torch.tensor([0.0, 0.5, 0.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.0]).reshape(1, 1, 3, 3)
    adversarial = DeepFool()(linear, images, torch.tensor([0]))
    exact = linear(adversarial.double())
    margin = (exact[0, 1] - exact[0, 0]).item()
    assert 10 * torch.finfo(torch.float32).eps < margin < 3e-3
