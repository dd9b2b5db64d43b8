"""Laws of steadygrad.attacks.noisy_fgsm."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cross_entropy

from conv_network import conv_network
from steadygrad.attacks import FGSM, NoisyFGSM, about_attack
from steadygrad.errors import HyperparameterError


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Module:
    return conv_network((1, 8, 8), classes=10).eval().double()


IMAGES = torch.rand(5, 1, 8, 8, generator=seeded(1), dtype=torch.float64)
LABELS = torch.arange(5)


@settings(max_examples=25, deadline=None)
@given(eps=st.floats(1e-6, 1), noise=st.floats(0, 3), seed=st.integers(0, 2**32))
def test_equals_its_formula(eps: float, noise: float, seed: int) -> None:
    model = network()
    found = NoisyFGSM(eps=eps, noise=noise)(model, IMAGES, LABELS, generator=seeded(seed))
    draws = torch.rand(IMAGES.shape, generator=seeded(seed), dtype=torch.float64)
    noisy = (IMAGES + noise * eps * (2 * draws - 1)).requires_grad_()
    (gradient,) = torch.autograd.grad(cross_entropy(model(noisy), LABELS), noisy)
    expected = (noisy.detach() + eps * gradient.sign()).clamp(0, 1)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    # Out of the ball of eps, but no further than noise and step together.
    assert (found - IMAGES).abs().max() <= (1 + noise) * eps + 1e-12


def test_without_noise_it_is_fgsm() -> None:
    found = NoisyFGSM(eps=0.1, noise=0.0)(network(), IMAGES, LABELS, generator=seeded())
    expected = FGSM(eps=0.1)(network(), IMAGES, LABELS)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_noise_fills_its_interval_evenly() -> None:
    # Where the loss is flat nothing but the noise is left.
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(model[1].weight)
    images = torch.full((500, 1, 8, 8), 0.5)
    labels = torch.zeros(500, dtype=torch.int64)
    moved = NoisyFGSM(eps=0.1, noise=2.0)(model, images, labels, generator=seeded()) - 0.5
    assert moved.abs().max() <= 0.2
    assert moved.mean().abs() < 5 * 0.2 / 3**0.5 / 32_000**0.5
    assert moved.var().item() == pytest.approx(0.2**2 / 3, rel=0.05)


def test_it_says_that_no_ball_holds_it() -> None:
    about = about_attack("n-fgsm")
    assert not about.stays_in_ball and about.has_eps
    assert (
        NoisyFGSM(eps=0.1)(network(), IMAGES, LABELS, generator=seeded()) - IMAGES
    ).abs().max() > 0.1


@pytest.mark.parametrize("noise", [-1.0, float("inf"), float("nan")])
def test_noise_without_meaning_is_refused(noise: float) -> None:
    with pytest.raises(HyperparameterError, match="expected noise >= 0 in units of eps"):
        NoisyFGSM(eps=0.1, noise=noise)
