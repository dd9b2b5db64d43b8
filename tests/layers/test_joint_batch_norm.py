"""Joint batch norms where there is nothing to join; several processes: training/test_processes."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from steadygrad.batch_share import BatchShare, share_of_batch
from steadygrad.distributed import Ranks
from steadygrad.layers import BatchNorm2d
from steadygrad.layers.joint_batch_norm import joint_batch_norm

IMAGES = torch.rand(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("layer", [nn.BatchNorm2d, BatchNorm2d])
def test_without_a_share_batch_norms_are_pytorchs(layer: type[nn.Module]) -> None:
    torchs, ours = layer(3), layer(3)
    expected = torchs(IMAGES)
    before = functional.batch_norm
    with joint_batch_norm():
        assert torch.equal(ours(IMAGES), expected)
    assert functional.batch_norm is before
    assert torch.equal(ours.running_var, torchs.running_var)


@pytest.mark.parametrize("layer", [nn.BatchNorm2d, BatchNorm2d])
def test_a_share_of_everything_is_normalised_as_pytorch_does(layer: type[nn.Module]) -> None:
    # No second process adds anything to the sums.
    torchs, ours = layer(3).double(), layer(3).double()
    images = IMAGES.double().requires_grad_()
    expected = torchs(images)
    with share_of_batch(BatchShare(Ranks(0, 2), 10)), joint_batch_norm():
        found = ours(images)
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(ours.running_mean, torchs.running_mean)
    torch.testing.assert_close(ours.running_var, torchs.running_var)
    weights = torch.rand_like(expected)
    gradients = [
        torch.autograd.grad((y * weights).sum(), images, create_graph=True)[0]
        for y in (expected, found)
    ]
    torch.testing.assert_close(gradients[1], gradients[0])
    second = [torch.autograd.grad(g.square().sum(), images)[0] for g in gradients]
    torch.testing.assert_close(second[1], second[0])


def test_a_part_of_one_process_is_normalised_by_hand() -> None:
    layer, images = BatchNorm2d(3), IMAGES.clone().requires_grad_()
    plain = layer(images)
    with share_of_batch(BatchShare(Ranks(0, 2), 10)):
        part = layer(images)
        with joint_batch_norm():
            joint = layer(images)
    assert torch.equal(part, plain)
    assert part.grad_fn.name() == plain.grad_fn.name() != joint.grad_fn.name()


def test_a_single_value_is_refused_in_pytorchs_words() -> None:
    with (
        share_of_batch(BatchShare(Ranks(0, 2), 1)),
        joint_batch_norm(),
        pytest.raises(ValueError, match="more than 1 value per channel"),
    ):
        nn.BatchNorm1d(3)(torch.rand(1, 3))
