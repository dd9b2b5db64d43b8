"""Penalties where autograd records nothing: they are their values."""

from typing import Any

import pytest
import torch
from torch import nn

from steadygrad.covariance import RunningCovariance
from steadygrad.penalties import (
    DoubleBackprop,
    FiniteDifference,
    NormPenalty,
    SquaredNormPenalty,
    StructuredPenalty,
)
from structured_setting import COVARIANCES, IMAGES, LABELS, smooth

X = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 3])
PENALTY = SquaredNormPenalty(strength=1.0)


def small(*middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), *middle, nn.GELU(), nn.Linear(6, 4))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize(
    "penalty",
    [
        PENALTY,
        NormPenalty(eps=0.1),
        SquaredNormPenalty(strength=1.0, fraction=0.5, backend=FiniteDifference()),
        StructuredPenalty(strength=1.0, covariance=COVARIANCES["identity"]),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
def test_without_autograd_a_penalty_is_its_value(mode: Any, penalty: Any) -> None:
    model = smooth()
    expected = penalty(model, IMAGES, LABELS)
    with mode():
        found = penalty(model, IMAGES.clone(), LABELS.clone())
    for name in ("loss", "data_loss", "penalty", "logits"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name).detach())
        assert not getattr(found, name).requires_grad


@pytest.mark.parametrize(
    "penalty",
    [
        SquaredNormPenalty(strength=1.0),
        SquaredNormPenalty(strength=1.0, fraction=0.4),
        SquaredNormPenalty(strength=1.0, backend=DoubleBackprop(statistics="running")),
        SquaredNormPenalty(
            strength=1.0, fraction=0.4, backend=DoubleBackprop(statistics="running")
        ),
        SquaredNormPenalty(strength=1.0, backend=FiniteDifference(statistics="running")),
    ],
    ids=repr,
)
def test_without_autograd_batch_norms_do_what_they_do_with_it(penalty: SquaredNormPenalty) -> None:
    models = [small(nn.BatchNorm1d(6)).double().train() for _ in range(2)]
    expected = penalty(models[0], X.double(), Y)
    with torch.no_grad():
        found = penalty(models[1], X.double(), Y)
    torch.testing.assert_close(found.penalty, expected.penalty.detach())
    torch.testing.assert_close(found.data_loss, expected.data_loss.detach())
    for ours, theirs in zip(models[1].buffers(), models[0].buffers(), strict=True):
        assert torch.equal(ours, theirs)


def test_images_and_labels_from_inference_mode_are_usable_in_training() -> None:
    with torch.inference_mode():
        images, labels = X.clone(), Y.clone()
    PENALTY(small(), images, labels).loss.backward()


def test_without_autograd_a_covariance_learns_nothing() -> None:
    running = RunningCovariance("dense")
    penalty = StructuredPenalty(strength=1.0, covariance=running, source="fgsm", every=2)
    model = small()
    penalty(model, X, Y)
    before = running.dense()
    with torch.no_grad():
        penalty(model, X.flip(0), Y)
    assert (running.updates, penalty.calls) == (1, 1)
    assert torch.equal(running.dense(), before)
