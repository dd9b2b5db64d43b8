"""Laws of steadygrad.attacks.mixture."""

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import ATTACKS, FGSM, PGD, LongRangeCorrelated, Mixture
from steadygrad.covariance import DataFacts
from steadygrad.errors import HyperparameterError

SHAPE = (1, 8, 8)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)


class Asked(nn.Module):
    """A network that counts how many images it was asked about."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.linear = nn.Linear(64, 10)

    def forward(self, images: Tensor) -> Tensor:
        self.count += len(images)
        logits: Tensor = self.linear(images.flatten(start_dim=1))
        return logits


@pytest.mark.parametrize(
    ("fraction", "batch", "attacked"),
    [(1.0, 5, 5), (0.5, 4, 2), (0.5, 5, 3), (0.2, 5, 1), (0.05, 5, 0), (0.9, 1, 1)],
)
def test_the_given_share_of_the_batch_is_attacked(
    fraction: float, batch: int, attacked: int
) -> None:
    images, labels = torch.rand(batch, *SHAPE, generator=seeded()), torch.arange(batch)
    model = Asked()
    copy = images.clone()
    mixed = Mixture(attack=FGSM(eps=0.1), fraction=fraction)(model, images, labels)
    assert torch.equal(mixed[attacked:], images[attacked:])
    assert torch.equal(mixed[:attacked], FGSM(eps=0.1)(Asked(), images, labels)[:attacked])
    assert (mixed[:attacked] != images[:attacked]).flatten(1).any(dim=1).all()
    assert model.count == attacked
    assert torch.equal(images, copy)
    assert mixed.untyped_storage().data_ptr() != images.untyped_storage().data_ptr()


@pytest.mark.parametrize("attack", [FGSM, PGD], ids=["fgsm", "pgd"])
def test_the_attack_may_start_from_the_models_own_label(attack: type[FGSM | PGD]) -> None:
    images, model = 0.2 + 0.6 * torch.rand(20, *SHAPE, generator=seeded()), Asked()
    predicted = model(images).argmax(dim=1)
    labels = (predicted + 1) % 10
    found = Mixture(attack=attack(eps=0.1, start_from_prediction=True))(
        model, images, labels, generator=seeded()
    )
    expected = attack(eps=0.1)(model, images[:10], predicted[:10], generator=seeded())
    assert torch.equal(found[:10], expected)
    assert torch.equal(found[10:], images[10:])


@pytest.mark.parametrize("noise", ["lrc", "white-noise"])
def test_noise_asks_the_model_nothing_and_is_correlated_as_set(noise: str) -> None:
    images, labels = torch.full((4000, *SHAPE), 0.5), torch.zeros(4000, dtype=torch.int64)
    inner = ATTACKS.parse(noise, eps=0.05, samples=1)
    model = Asked()
    seen = Mixture(attack=inner)(model, images, labels, generator=seeded())
    assert model.count == 0
    assert torch.equal(seen[2000:], images[2000:])
    drawn = (seen[:2000] - 0.5) / 0.05
    # A product of two correlated unit Gaussians has standard deviation sqrt(1 + rho^2).
    expected = torch.exp(torch.tensor(-1 / 8)) if noise == "lrc" else torch.tensor(0.0)
    neighbours = (drawn[..., 1:] * drawn[..., :-1]).mean(dim=(0, 1))
    standard_error = ((1 + expected**2) / 2000).sqrt()
    assert ((neighbours - expected).abs() < 5 * standard_error).all()
    variances = drawn.square().mean(dim=(0, 1))
    assert ((variances - 1).abs() < 5 * (2 / 2000) ** 0.5).all()


def test_text_nests_any_attack_and_preparing_reaches_it() -> None:
    part = ATTACKS.parse("mixture:attack=lrc,attack.eps=0.1,attack.covariance=exponential:4")
    assert isinstance(part, Mixture) and isinstance(part.attack, LongRangeCorrelated)
    ready = part.prepared(DataFacts(SHAPE))
    assert ready.attack.covariance.image_shape == SHAPE
    plain = Mixture(attack="fgsm:eps=0.1", fraction=0.25)
    assert plain == Mixture(attack=FGSM(eps=0.1), fraction=0.25)
    assert plain.prepared(DataFacts(SHAPE)) == plain


@pytest.mark.parametrize("fraction", [0, -0.1, 1.01, float("nan")])
def test_fractions_without_meaning_are_refused(fraction: float) -> None:
    with pytest.raises(HyperparameterError, match=r"a fraction in \(0, 1\], got"):
        Mixture(attack=FGSM(eps=0.1), fraction=fraction)


def test_what_is_no_attack_is_refused() -> None:
    for wrong in (None, 3, ["pgd"]):
        with pytest.raises(HyperparameterError, match="expected an attack, got"):
            Mixture(attack=wrong)
