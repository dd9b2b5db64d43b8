"""Proofs where the answer is known: at the edge of rounding, of the pixel range and of patience."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad.evaluation.certificate import certify, chain_of, proof
from steadygrad.evaluation.certificate.proof import margin_lower_bound


def bound_of(model: nn.Module, image: Tensor, norm: Any = "linf") -> float:
    chain, label = chain_of(model, image), torch.tensor([0])
    assert chain is not None
    return margin_lower_bound(chain, image, label, eps=0.1, norm=norm, is_refined=False).item()


@pytest.mark.parametrize(("lead", "is_proven"), [(1e-5, False), (1e-4, True)])
def test_a_margin_that_rounding_could_turn_is_no_proof(lead: float, is_proven: bool) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2)).eval()
    model[1].weight.data.zero_()
    model[1].bias.data = torch.tensor([1 + lead, 1.0])  # logits of size 1: a lead of 2e-5 is asked
    found = certify(model, torch.rand(1, 1, 1, 1), torch.tensor([0]), eps=0.1)
    assert found is not None
    assert found.proven.tolist() == [is_proven]


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_the_ball_ends_at_black_in_both_norms(norm: str) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2, bias=False))
    model[1].weight.data = torch.tensor([[1.0], [-1.0]])
    assert bound_of(model, torch.tensor([[[[0.05]]]]), norm) == pytest.approx(0.0)


@pytest.mark.parametrize(("pixel", "expected"), [(0.55, 0.0), (0.45, -0.05)])
def test_the_line_below_a_rectifier_is_the_one_that_leaves_less(
    pixel: float, expected: float
) -> None:
    # The margin is relu(z) - z + 0 with z = x - 1/2, through two units of which one is always on.
    model = nn.Sequential(nn.Flatten(), nn.Linear(1, 2), nn.ReLU(), nn.Linear(2, 2)).double()
    first, second = model[1], model[3]
    first.weight.data = torch.ones(2, 1, dtype=torch.float64)
    first.bias.data = torch.tensor([-0.5, 9.5], dtype=torch.float64)
    second.weight.data = torch.tensor([[1.0, -1.0], [0.0, 0.0]], dtype=torch.float64)
    second.bias.data = torch.tensor([10.0, 0.0], dtype=torch.float64)
    image = torch.full((1, 1, 1, 1), pixel, dtype=torch.float64)
    assert bound_of(model, image) == pytest.approx(expected)


def test_patience_counts_failures_in_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    succeeds = iter([False, True, False, True, False, False, True])

    def spare(_chain: Any, images: Tensor, *_: Any, is_refined: bool) -> Tensor:
        if is_refined:
            return torch.tensor([1.0 if next(succeeds) else -1.0], dtype=torch.float64)
        return -torch.arange(1.0, 1 + len(images), dtype=torch.float64)

    monkeypatch.setattr(proof, "_spare", spare)
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 2))
    labels = torch.zeros(7, dtype=torch.int64)
    found = certify(model, torch.rand(7, 1, 2, 2), labels, eps=0.1, patience=2)
    assert found is not None
    assert found.proven.tolist() == [False, True, False, True, False, False, False]
    assert found.left_out.tolist() == [False] * 6 + [True]
