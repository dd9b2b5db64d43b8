"""The same attacks in foolbox and torchattacks, on a network trained on real digits."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD

with warnings.catch_warnings():
    # foolbox imports from a scipy namespace that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox
    import torchattacks

EPS = [0.05, 0.1, 0.15]


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    with torch.no_grad():
        return (model(images).argmax(dim=1) == labels).double().mean().item()


def by_foolbox(
    model: nn.Module, attack: foolbox.Attack, images: Tensor, labels: Tensor, eps: float
) -> Tensor:
    wrapped = foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")
    adversarial: Tensor = attack(wrapped, images, labels, epsilons=eps)[1]
    model.zero_grad(set_to_none=True)
    return adversarial


@pytest.mark.parametrize("eps", EPS)
def test_fgsm_agrees_pixel_by_pixel(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], eps: float
) -> None:
    images, labels = held_out
    ours = FGSM(eps=eps)(trained, images, labels)
    theirs = torchattacks.FGSM(trained, eps=eps)(images, labels)
    torch.testing.assert_close(ours, theirs)
    attack = foolbox.attacks.LinfFastGradientAttack()
    torch.testing.assert_close(ours, by_foolbox(trained, attack, images, labels, eps))


@pytest.mark.parametrize("eps", EPS)
def test_pgd_without_start_agrees_but_for_ties_of_rounding(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], eps: float
) -> None:
    images, labels = held_out
    ours = PGD(eps=eps, random_start=False)(trained, images, labels)
    step = 1.85 * eps / 8
    theirs = torchattacks.PGD(trained, eps=eps, alpha=step, steps=8, random_start=False)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=step, steps=8, random_start=False)
    for other in (theirs(images, labels), by_foolbox(trained, attack, images, labels, eps)):
        # A gradient entry that differs in its last bit may change sign: a step for one pixel.
        assert ((ours - other).abs() > 1e-5).double().mean() < 1e-3


@pytest.mark.parametrize("eps", EPS)
def test_pgd_with_random_start_is_equally_strong(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], eps: float
) -> None:
    images, labels = held_out
    step = 1.85 * eps / 8
    ours = PGD(eps=eps)(trained, images, labels, generator=torch.Generator().manual_seed(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torchattacks_pgd = torchattacks.PGD(trained, eps=eps, alpha=step, steps=8)(images, labels)
        attack = foolbox.attacks.LinfPGD(abs_stepsize=step, steps=8)
        foolbox_pgd = by_foolbox(trained, attack, images, labels, eps)
    reached = accuracy(trained, ours, labels)
    assert reached < accuracy(trained, images, labels) - 0.05
    # The same images and network: only the starts differ, which moves a few borderline images.
    for other in (torchattacks_pgd, foolbox_pgd):
        assert abs(reached - accuracy(trained, other, labels)) <= 0.02
