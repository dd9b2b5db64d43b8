"""Laws of steadygrad.training.mixing."""

import pytest
import torch
from torch import Tensor

from steadygrad.errors import HyperparameterError
from steadygrad.training.mixing import CutMix, Mixup


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 8.0, 32.0, 1e4])
def test_weights_of_mixup_are_drawn_from_beta(alpha: float) -> None:
    generator = seeded()
    images, labels = torch.rand(9, 1, 1, 1), torch.arange(9)
    weights = []
    for _ in range(1000):
        mixed, soft = Mixup(alpha=alpha).mix(images, labels, 9, generator)
        assert torch.allclose(mixed.flatten(), soft @ images.flatten())
        weights.append(soft.diagonal().min().item())  # of an image that is mixed with another
    drawn = torch.tensor(weights, dtype=torch.float64)
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(drawn.mean() - 0.5) < 5 * (variance / 1000) ** 0.5
    assert drawn.var().item() == pytest.approx(variance, rel=0.2)


@pytest.mark.parametrize("mixing", [Mixup(), CutMix()])
def test_labels_are_shares_of_pixels(mixing: Mixup | CutMix) -> None:
    labels = torch.arange(6) % 3
    images = labels.float().view(6, 1, 1, 1).expand(6, 1, 8, 8) / 2

    def mixed(seed: int) -> tuple[Tensor, Tensor]:
        return mixing.mix(images, labels, 3, seeded(seed))

    found, soft = mixed(1)
    assert torch.allclose(soft.sum(dim=1), torch.ones(6))
    values = torch.tensor([0.0, 0.5, 1.0])
    assert torch.allclose(found.mean(dim=(1, 2, 3)), soft @ values, atol=1e-6)
    assert torch.equal(mixed(1)[0], found) and not torch.equal(mixed(2)[0], found)


@pytest.mark.parametrize("alpha", [0.0, -1.0, float("inf"), float("nan")])
def test_alpha_is_positive(alpha: float) -> None:
    for mixing in (Mixup, CutMix):
        with pytest.raises(HyperparameterError, match="alpha > 0"):
            mixing(alpha=alpha)
