"""What users hear of losses that no training survives."""

import warnings
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from steadygrad import checks
from steadygrad.errors import NonFiniteLossError
from steadygrad.penalties import (
    NormPenalty,
    PenalizedLoss,
    SquaredNormPenalty,
    loss_watch,
    plain_loss,
)
from structured_setting import IMAGES, LABELS, smooth


def test_a_penalty_many_times_the_data_loss_warns_once() -> None:
    model, penalty = smooth(), SquaredNormPenalty(strength=1e5)
    with pytest.warns(UserWarning, match=r"times its data loss .*suggest_strength"):
        penalty(model, IMAGES, LABELS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        penalty(model, IMAGES, LABELS)


def test_a_loss_that_is_not_finite_is_refused_before_gradients_change() -> None:
    model = smooth()
    SquaredNormPenalty(strength=1.0)(model, IMAGES, LABELS).loss.backward()
    before = [parameter.grad.clone() for parameter in model.parameters()]
    nn.init.constant_(model[1].weight, float("nan"))
    result = SquaredNormPenalty(strength=1.0)(model, IMAGES, LABELS)
    with pytest.raises(NonFiniteLossError, match=r"data loss of nan .* lower the penal"):
        result.loss.backward()
    for parameter, gradient in zip(model.parameters(), before, strict=True):
        assert torch.equal(parameter.grad, gradient)


PENALTY = SquaredNormPenalty(strength=1.0)


@pytest.mark.parametrize(
    "penalised",
    [
        lambda model: PENALTY(model, IMAGES, LABELS).loss,
        lambda model: ramped(PENALTY(model, IMAGES, LABELS)),
        lambda model: PENALTY(model, IMAGES, LABELS).data_loss,
        lambda model: PENALTY(model, IMAGES, LABELS).penalty,
        lambda model: NormPenalty(eps=0.0)(model, IMAGES, LABELS).loss,
        lambda model: SquaredNormPenalty(strength=0.0)(model, IMAGES, LABELS).loss,
        lambda model: plain_loss(model, IMAGES, LABELS).loss,
    ],
)
def test_whatever_is_made_of_a_loss_that_is_not_finite_is_refused(penalised: Any) -> None:
    model = smooth()
    nn.init.constant_(model[1].weight, float("nan"))
    with pytest.raises(NonFiniteLossError, match="expected a finite loss"):
        penalised(model).backward()
    assert all(parameter.grad is None for parameter in model.parameters())


def ramped(result: PenalizedLoss) -> Tensor:
    return result.data_loss + 0.5 * result.penalty


def test_a_data_loss_without_its_infinite_penalty_is_taken() -> None:
    model = smooth()
    model[3].weight.data.mul_(1e3)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = SquaredNormPenalty(strength=1e308)(model, IMAGES, LABELS)
    assert not result.penalty.isfinite()
    result.data_loss.backward(retain_graph=True)
    for combined in (result.loss, ramped(result), result.penalty + result.data_loss):
        before = [parameter.grad.clone() for parameter in model.parameters()]
        with pytest.raises(NonFiniteLossError, match="penalty of inf"):
            combined.backward(retain_graph=True)
        for parameter, gradient in zip(model.parameters(), before, strict=True):
            assert torch.equal(parameter.grad, gradient)


def test_a_loop_that_skips_such_losses_goes_on() -> None:
    model = smooth()
    penalty = SquaredNormPenalty(strength=1.0)
    weight = model[1].weight.detach().clone()
    nn.init.constant_(model[1].weight, float("inf"))
    assert not penalty(model, IMAGES, LABELS).loss.isfinite()
    with torch.no_grad():
        model[1].weight.copy_(weight)
    penalty(model, IMAGES, LABELS).loss.backward()


def test_on_an_accelerator_every_hundredth_backward_pass_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for module in (checks, loss_watch):
        monkeypatch.setattr(module, "reading_waits", lambda tensor: True)
    monkeypatch.setattr(loss_watch, "LOOK_EVERY", 3)
    model, penalty = smooth(), SquaredNormPenalty(strength=1.0)
    penalty(model, IMAGES, LABELS).loss.backward()
    nn.init.constant_(model[1].weight, float("nan"))
    ramped(penalty(model, IMAGES, LABELS)).backward()
    with pytest.raises(NonFiniteLossError):
        penalty(model, IMAGES, LABELS).loss.backward()
