"""Images under correlated noise: who gets which noise, and that it is the attack's."""

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import LongRangeCorrelated
from steadygrad.covariance import Exponential
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import correlated_samples, predictions
from steadygrad.seeds import derived_generator

HeldOut = tuple[Tensor, Tensor]


def test_each_part_of_the_images_has_its_decay_length(
    trained: nn.Module, held_out: HeldOut
) -> None:
    images, labels = (tensor[:6] for tensor in held_out)
    samples = correlated_samples(
        trained, images, labels, eps=0.2, decay_lengths=(4, 1, 2), samples=5, seed=7
    )
    assert samples.decay_lengths == (1, 1, 2, 2, 4, 4)
    for part, length in enumerate((1, 2, 4)):
        cut = slice(2 * part, 2 * part + 2)
        attack = LongRangeCorrelated(eps=0.2, covariance=Exponential(length), samples=5)
        generator = derived_generator(7, f"noise, decay length {length!r}")
        expected = attack(trained, images[cut], labels[cut], generator=generator)
        assert torch.equal(samples.noisy[cut], expected)
    assert torch.equal(samples.clean, images)
    assert torch.equal(samples.clean_predictions, predictions(trained, images))
    assert torch.equal(samples.noisy_predictions, predictions(trained, samples.noisy))
    assert (samples.eps, samples.samples) == (0.2, 5)


def test_images_that_cannot_be_shared_out_are_refused(
    trained: nn.Module, held_out: HeldOut
) -> None:
    images, labels = (tensor[:5] for tensor in held_out)
    with pytest.raises(HyperparameterError, match="each of 2 decay lengths, got 5 images"):
        correlated_samples(trained, images, labels, decay_lengths=(1, 2))
    with pytest.raises(HyperparameterError, match="each of 0 decay lengths"):
        correlated_samples(trained, images, labels, decay_lengths=())
    with pytest.raises(HyperparameterError, match="decay_length > 0 pixels, got -1"):
        correlated_samples(trained, images, labels, decay_lengths=(-1,))
