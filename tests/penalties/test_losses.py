"""Losses of single images: against torch's, and what is refused."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, one_hot

from steadygrad.errors import HyperparameterError, LabelError, ModelError
from steadygrad.penalties import (
    LOSSES,
    BinaryCrossEntropy,
    CrossEntropy,
    NormPenalty,
    SquaredNormPenalty,
    example_losses,
)

LOGITS = torch.randn(5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
LABELS = torch.tensor([0, 1, 2, 3, 0])
IMAGES = torch.rand(5, 1, 3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def network(classes: int) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(12, 6), nn.Tanh(), nn.Linear(6, classes)).double()


def test_the_cross_entropy_is_torchs_with_smoothing_weights_and_soft_labels() -> None:
    weights = (1.0, 2.0, 0.5, 3.0)
    tensor = torch.tensor(weights, dtype=torch.float64)
    ours = CrossEntropy(smoothing=0.1, class_weights=weights)
    for labels in (LABELS, one_hot(LABELS, 4).double(), LOGITS.softmax(dim=1)):
        expected = cross_entropy(
            LOGITS, labels, weight=tensor, label_smoothing=0.1, reduction="none"
        )
        assert torch.equal(ours(LOGITS, labels), expected)
    assert torch.equal(
        CrossEntropy()(LOGITS, LABELS), cross_entropy(LOGITS, LABELS, reduction="none")
    )


def test_the_binary_cross_entropy_is_torchs() -> None:
    logits, labels = LOGITS[:, :1], LABELS % 2
    expected = binary_cross_entropy_with_logits(logits[:, 0], labels.double(), reduction="none")
    for same in (labels, labels.double(), labels.double()[:, None]):
        assert torch.equal(BinaryCrossEntropy()(logits, same), expected)


@pytest.mark.parametrize(
    ("loss", "labels"),
    [
        (CrossEntropy(smoothing=0.2), LABELS),
        (CrossEntropy(class_weights=(1.0, 2.0, 3.0, 4.0)), LOGITS.softmax(dim=1)),
    ],
)
def test_both_derivatives(loss: Any, labels: Tensor) -> None:
    logits = LOGITS.clone().requires_grad_()
    assert gradcheck(lambda z: loss(z, labels), (logits,))
    assert gradgradcheck(lambda z: loss(z, labels), (logits,))


@settings(max_examples=20, deadline=None)
@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_the_loss_of_mixed_labels_is_the_mixture_of_losses(share: float, seed: int) -> None:
    model = network(4)
    first = torch.randint(4, (5,), generator=torch.Generator().manual_seed(seed))
    mixed = share * one_hot(first, 4).double() + (1 - share) * one_hot(LABELS, 4).double()
    losses = [example_losses(model, IMAGES, labels)[0] for labels in (mixed, first, LABELS)]
    torch.testing.assert_close(losses[0], share * losses[1] + (1 - share) * losses[2])


@pytest.mark.parametrize("backend", ["double-backprop", "finite-difference"])
def test_penalties_take_soft_labels_and_one_logit(backend: str) -> None:
    soft = SquaredNormPenalty(strength=1.0, backend=backend)(
        network(4), IMAGES, one_hot(LABELS, 4).double()
    )
    hard = SquaredNormPenalty(strength=1.0, backend=backend)(network(4), IMAGES, LABELS)
    torch.testing.assert_close(soft.loss, hard.loss)
    # One logit z is two logits (0, z).
    one, labels = network(1), LABELS % 2
    binary = NormPenalty(eps=0.1, backend=backend)(one, IMAGES, labels, loss=BinaryCrossEntropy())
    two = NormPenalty(eps=0.1, backend=backend)(
        lambda x: nn.functional.pad(one(x), (1, 0)), IMAGES, labels
    )
    torch.testing.assert_close(binary.penalty, two.penalty)
    torch.testing.assert_close(binary.data_loss, two.data_loss)


def test_any_callable_of_single_images_is_a_loss() -> None:
    def margin(logits: Tensor, labels: Tensor) -> Tensor:
        own = logits.gather(1, labels[:, None]).squeeze(1)
        return nn.functional.softplus(logits.logsumexp(dim=1) - 2 * own)

    result = SquaredNormPenalty(strength=1.0)(network(4), IMAGES, LABELS, loss=margin)
    torch.testing.assert_close(result.data_loss, margin(network(4)(IMAGES), LABELS).mean())
    SquaredNormPenalty(strength=1.0)(
        network(4), IMAGES, LABELS, loss=nn.CrossEntropyLoss(reduction="none")
    )


@pytest.mark.parametrize(
    ("loss", "labels", "error", "message"),
    [
        (nn.CrossEntropyLoss(), LABELS, HyperparameterError, r'CrossEntropyLoss\(reduction="none"'),
        (lambda z, y: z.mean(), LABELS, ModelError, "a loss for each image"),
        (3, LABELS, HyperparameterError, "a callable from logits and labels"),
        (None, one_hot(LABELS, 4) * 2.0, LabelError, "no probabilities"),
        (None, one_hot(LABELS, 4) * 0.5, LabelError, "add up to 1"),
        (None, one_hot(LABELS, 5).double(), LabelError, r"shape \(5, 4\)"),
        (BinaryCrossEntropy(), LABELS, ModelError, "one logit an image .* got 4"),
        (CrossEntropy(class_weights=(1.0, 2.0)), LABELS, ModelError, "2 classes"),
    ],
)
def test_losses_and_labels_that_do_not_fit_are_refused(
    loss: Any, labels: Tensor, error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        SquaredNormPenalty(strength=1.0)(network(4), IMAGES, labels, loss=loss)


def test_one_logit_needs_the_binary_cross_entropy() -> None:
    # The cross-entropy of a single class is 0 whatever the network does.
    with pytest.raises(ModelError, match="BinaryCrossEntropy"):
        SquaredNormPenalty(strength=1.0)(network(1), IMAGES, torch.zeros(5, dtype=torch.int64))


@pytest.mark.parametrize("settings", [{"smoothing": 1.0}, {"class_weights": (1.0, 0.0)}])
def test_settings_outside_their_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(HyperparameterError):
        CrossEntropy(**settings)


def test_losses_are_parts() -> None:
    part = LOSSES.parse("cross-entropy:smoothing=0.1,class_weights=1+2+0.5")
    assert part == CrossEntropy(smoothing=0.1, class_weights=(1.0, 2.0, 0.5))
    assert LOSSES.parse(LOSSES.text(part)) == part
    assert LOSSES.build({"name": "binary-cross-entropy"}) == BinaryCrossEntropy()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_losses_of_half_logits_are_taken_in_float32(dtype: torch.dtype) -> None:
    logits = LOGITS.to(dtype)
    losses, _ = example_losses(lambda _: logits, IMAGES, LABELS)
    torch.testing.assert_close(losses, cross_entropy(logits.float(), LABELS, reduction="none"))
