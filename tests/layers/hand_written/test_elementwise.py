"""The elementwise derivatives are autograd's, in pieces or at once."""

import pytest
import torch

from steadygrad.layers import ComplexConv2d, modulus
from steadygrad.layers.hand_written import elementwise
from steadygrad.layers.hand_written.elementwise import (
    gelu_curvature,
    modulus_curvature,
    modulus_gradient,
    modulus_gradient_pair,
    modulus_motion,
    summed_modulus,
)


def test_a_compiled_network_traces_through_the_layers() -> None:
    torch.manual_seed(0)
    layer = ComplexConv2d(1, 4, 3, padding=1, sum_groups=2)
    compiled = torch.compile(layer, backend="eager", fullgraph=True)
    x = torch.rand(2, 1, 4, 4)
    torch.testing.assert_close(compiled(x), layer(x))


def test_hand_written_derivatives_are_autograds() -> None:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    z, a = draw(2, 2, 3, 4, 5).requires_grad_(), draw(2, 2, 3, 4, 5)
    g, h = draw(2, 4, 5), draw(2, 4, 5).requires_grad_()
    y = modulus(z[:, 0], z[:, 1], 0.1).sum(dim=1)
    torch.testing.assert_close(summed_modulus(z.detach(), 0.1), y.detach())
    (first,) = torch.autograd.grad(y, z, h, create_graph=True)
    torch.testing.assert_close(modulus_gradient(z.detach(), h.detach(), 0.1), first.detach())
    pair = modulus_gradient_pair(z.detach(), h.detach(), g, 0.1)
    torch.testing.assert_close(pair[0], first.detach())
    in_place = modulus_gradient(z.detach().clone(), h.detach(), 0.1, in_place=True)
    torch.testing.assert_close(in_place, first.detach())
    moved, curved = torch.autograd.grad((first * a).sum(), (h, z), retain_graph=True)
    torch.testing.assert_close(modulus_motion(z.detach(), a.clone(), 0.1), moved)
    (second,) = torch.autograd.grad(y, z, g)
    torch.testing.assert_close(pair[1], second)
    expected = first.detach(), second + curved
    found = modulus_curvature(z.detach(), a, h.detach(), g, 0.1)
    torch.testing.assert_close(found, expected)


def test_the_curvature_of_gelu_is_the_same_in_pieces_and_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x, g, gg = torch.randn(3, 2 * elementwise.GELU_PIECE + 5, dtype=torch.float64)
    with torch.no_grad():
        in_pieces = gelu_curvature(x, g, gg)
        monkeypatch.setattr(elementwise, "DEVICES_IN_PIECES", ())
        torch.testing.assert_close(gelu_curvature(x, g, gg), in_pieces)
    torch.testing.assert_close(gelu_curvature(x, g, gg), in_pieces)
