"""Adversarial examples that are planted are there, and are found unless gradients are hidden."""

import pytest
import torch
from torch import Tensor, nn

from evaluation.masking.conftest import MakeSample, Noisy, Quantised
from steadygrad.evaluation.masking import PlantedExamples
from steadygrad.evaluation.masking.planted import _discriminants


class Detached(nn.Module):
    """No gradient at all."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.model(images.detach())
        return logits


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_an_honest_network_gives_its_planted_examples_away(
    honest: dict[str, nn.Module], sample_of: MakeSample, norm: str
) -> None:
    eps = 0.1 if norm == "linf" else 0.6
    sample = sample_of(honest["plain"], eps=eps, norm=norm)
    finding = PlantedExamples()(sample)
    assert finding.status == "passed"
    assert finding.measured is not None and finding.measured <= 0.1
    assert finding.evidence["examples"] >= 8


def test_attacks_on_rounded_pixels_and_without_gradient_miss_them(
    honest: dict[str, nn.Module], sample_of: MakeSample
) -> None:
    for disguise in (Quantised, Detached):
        sample = sample_of(disguise(honest["plain"]))
        finding = PlantedExamples()(sample)
        assert finding.measured == 1.0
        assert finding.status == "suspicious"
        assert "unfit for this model" in finding.meaning


def test_a_planted_example_lies_beyond_its_boundary_and_the_image_does_not(
    honest: dict[str, nn.Module], sample_of: MakeSample
) -> None:
    sample = sample_of(honest["plain"])
    generator = torch.Generator().manual_seed(0)
    planted = PlantedExamples()._planted(sample, sample.images[:32], generator)
    assert (planted.score(sample.images[planted.rows]) < 0).all()
    assert planted(sample.images[planted.rows]).argmax(dim=1).eq(0).all()


def test_the_discriminant_is_fishers() -> None:
    generator = torch.Generator().manual_seed(0)
    clean = torch.randn(3, 50, 4, generator=generator, dtype=torch.float64)
    planted = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    found = _discriminants(clean, planted)
    for points, point, weights in zip(clean, planted, found, strict=True):
        covariance = torch.cov(points.T, correction=0)
        ridge = 1e-3 * covariance.diagonal().mean() * torch.eye(4, dtype=torch.float64)
        expected = torch.linalg.inv(covariance + ridge) @ (point - points.mean(dim=0))
        torch.testing.assert_close(weights, expected, rtol=1e-8, atol=1e-8)


def test_a_random_model_and_one_of_equal_logits_are_not_tested(
    honest: dict[str, nn.Module], sample_of: MakeSample
) -> None:
    noisy = sample_of(Noisy(honest["plain"]))
    assert PlantedExamples()(noisy).status == "not tested"
    steps = sample_of(Quantised(honest["plain"], levels=2), eps=0.001)
    finding = PlantedExamples()(steps)
    assert finding.status == "not tested"
    assert "could be told from the others" in finding.meaning
