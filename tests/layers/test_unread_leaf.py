"""The gradient of a penalty's own images is left out: nobody reads it, at a convolution's cost."""

from typing import Any

import pytest
import torch

from steadygrad import unread_leaf
from steadygrad.layers.hand_written import complex_convolution, gradients
from steadygrad.models import build_model
from steadygrad.penalties import SquaredNormPenalty, backends


def parameter_gradients(monkeypatch: pytest.MonkeyPatch) -> tuple[list[bool], list[torch.Tensor]]:
    """Return what ``is_read`` said in a penalised step's last pass, and the step's gradients."""
    said: list[bool] = []

    def recorded(ctx: Any, index: int, x: torch.Tensor) -> bool:
        said.append(gradients.is_read(ctx, index, x))
        return said[-1]

    monkeypatch.setattr(complex_convolution, "is_read", recorded)
    torch.manual_seed(0)
    model = build_model("yeats2021-mnist-complex").train()
    images, labels = torch.rand(4, 1, 28, 28), torch.randint(10, (4,))
    SquaredNormPenalty(strength=0.1)(model, images, labels).loss.backward()
    return said, [parameter.grad for parameter in model.parameters()]  # type: ignore[misc]


def test_it_is_left_out_and_the_weights_get_the_same_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said, found = parameter_gradients(monkeypatch)
    assert said[-1] is False, "the first layer works out a gradient that nobody reads"
    assert all(said[:-1])
    monkeypatch.setattr(backends, "mark_unread", lambda leaf: None)
    said_without, expected = parameter_gradients(monkeypatch)
    assert all(said_without)
    for ours, theirs in zip(found, expected, strict=True):
        assert torch.equal(ours, theirs)


def test_a_mark_changes_nothing_else() -> None:
    leaf = torch.rand(3, requires_grad=True)
    assert not unread_leaf.is_unread(leaf)
    unread_leaf.mark_unread(leaf)
    assert unread_leaf.is_unread(leaf) and leaf.requires_grad
    leaf.sum().backward()
    assert leaf.grad is not None
