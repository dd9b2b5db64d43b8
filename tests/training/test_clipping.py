"""Laws of steadygrad.training.clipping."""

import pytest
import torch
from torch import nn

from part_examples import examples
from steadygrad.training import CLIPPINGS, ClipNorm, ClipValue
from steadygrad.training.clipping import Clipping


def parameters(scale: float) -> list[nn.Parameter]:
    made = [
        nn.Parameter(torch.zeros(3)),
        nn.Parameter(torch.zeros(2, 2)),
        nn.Parameter(torch.ones(1)),
    ]
    made[0].grad = scale * torch.tensor([3.0, 0.0, -1.0])
    made[1].grad = scale * torch.tensor([[0.0, 1.0], [-5.0, 0.0]])
    return made  # the last one has no gradient


def gradient(of: list[nn.Parameter]) -> torch.Tensor:
    return torch.cat([p.grad.flatten() for p in of if p.grad is not None])


def test_norm_scales_the_whole_gradient_and_keeps_its_direction() -> None:
    made = parameters(1.0)
    before = gradient(made)
    assert before.norm().item() == pytest.approx(6.0)
    ClipNorm(length=3.0).clip(made)
    torch.testing.assert_close(gradient(made), before / 2, rtol=1e-5, atol=0)
    assert made[2].grad is None


def test_value_cuts_entry_by_entry() -> None:
    made = parameters(1.0)
    before = gradient(made)
    ClipValue(largest=2.0).clip(made)
    assert torch.equal(gradient(made), before.clamp(-2, 2))


def test_value_cuts_both_parts_of_a_complex_gradient() -> None:
    parameter = nn.Parameter(torch.zeros(2, dtype=torch.complex64))
    parameter.grad = torch.tensor([3 - 1j, 0.5 + 4j]).conj()
    ClipValue(largest=2.0).clip([parameter])
    assert torch.equal(parameter.grad, torch.tensor([2 + 1j, 0.5 - 2j]))


@pytest.mark.parametrize("part", examples(CLIPPINGS), ids=CLIPPINGS.text)
def test_no_clipping_lengthens_a_gradient_and_a_short_one_stays(part: Clipping) -> None:
    for scale in (1.0, 1e-3, 0.0):
        made = parameters(scale)
        before = gradient(made)
        part.clip(made)
        assert gradient(made).norm() <= before.norm() * (1 + 1e-6)
        if scale < 1:
            assert torch.equal(gradient(made), before)
