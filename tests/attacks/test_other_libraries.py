"""The same attacks in other libraries, on a network trained on real digits."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD, Attack, Goal, IterativeFGSM, MomentumIterative

with warnings.catch_warnings():
    # foolbox imports from a scipy namespace that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox
    import torchattacks

EPS = [0.05, 0.1, 0.15]
L2_EPS = [0.3, 0.6, 1.0]


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


def assert_equal_but_for_ties(ours: Tensor, theirs: Tensor) -> None:
    # A gradient entry that differs in its last bit may change sign: a step for one pixel.
    assert ((ours - theirs).abs() > 1e-5).double().mean() < 1e-3


@pytest.mark.parametrize("eps", L2_EPS)
def test_l2_fgsm_agrees_pixel_by_pixel(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], eps: float
) -> None:
    images, labels = held_out
    ours = FGSM(eps=eps, norm="l2")(trained, images, labels)
    attack = foolbox.attacks.L2FastGradientAttack()
    torch.testing.assert_close(ours, by_foolbox(trained, attack, images, labels, eps))


@pytest.mark.parametrize("eps", L2_EPS)
def test_l2_pgd_without_start_agrees_pixel_by_pixel(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], eps: float
) -> None:
    images, labels = held_out
    step = 1.85 * eps / 8
    ours = PGD(eps=eps, norm="l2", random_start=False)(trained, images, labels)
    # By default, theirs adds 1e-10 to the length of a gradient divided by the batch size, which
    # shortens its steps for images of which the network is certain.
    theirs = torchattacks.PGDL2(
        trained, eps=eps, alpha=step, steps=8, random_start=False, eps_for_division=1e-30
    )
    attack = foolbox.attacks.L2PGD(abs_stepsize=step, steps=8, random_start=False)
    for other in (theirs(images, labels), by_foolbox(trained, attack, images, labels, eps)):
        # No signs here: rounding stays rounding.
        torch.testing.assert_close(ours, other, rtol=0, atol=1e-5)


@pytest.mark.parametrize("eps", L2_EPS)
def test_l2_pgd_with_random_start_is_equally_strong(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], eps: float
) -> None:
    images, labels = held_out
    ours = PGD(eps=eps, norm="l2")(
        trained, images, labels, generator=torch.Generator().manual_seed(0)
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        attack = foolbox.attacks.L2PGD(abs_stepsize=1.85 * eps / 8, steps=8)
        theirs = by_foolbox(trained, attack, images, labels, eps)
    reached = accuracy(trained, ours, labels)
    assert reached < accuracy(trained, images, labels) - 0.05
    assert abs(reached - accuracy(trained, theirs, labels)) <= 0.02


@pytest.mark.parametrize("eps", EPS)
def test_iterative_fgsm_agrees_but_for_ties_of_rounding(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], eps: float
) -> None:
    images, labels = held_out
    ours = IterativeFGSM(eps=eps)(trained, images, labels)
    theirs = torchattacks.BIM(trained, eps=eps, alpha=eps / 10, steps=10)(images, labels)
    assert_equal_but_for_ties(ours, theirs)
    attack = foolbox.attacks.LinfBasicIterativeAttack(abs_stepsize=eps / 10, steps=10)
    assert_equal_but_for_ties(ours, by_foolbox(trained, attack, images, labels, eps))


@pytest.mark.parametrize("eps", EPS)
@pytest.mark.parametrize("decay", [1.0, 0.5])
def test_momentum_agrees_but_for_ties_of_rounding(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], eps: float, decay: float
) -> None:
    images, labels = held_out
    ours = MomentumIterative(eps=eps, decay=decay)(trained, images, labels)
    theirs = torchattacks.MIFGSM(trained, eps=eps, alpha=eps / 10, steps=10, decay=decay)
    # Theirs divides by the mean of the absolute entries, ours by their sum: the same signs.
    assert_equal_but_for_ties(ours, theirs(images, labels))
    # foolbox adds up the signs of the gradients, not the gradients: another attack, as strong.
    attack = foolbox.attacks.LinfMomentumIterativeFastGradientMethod(
        momentum=decay, abs_stepsize=eps / 10, steps=10
    )
    other = by_foolbox(trained, attack, images, labels, eps)
    assert abs(accuracy(trained, ours, labels) - accuracy(trained, other, labels)) <= 0.03


@pytest.mark.parametrize(
    ("attack", "setting"),
    [
        (PGD(eps=0.1, random_start=False, target="least-likely"), "least_likely"),
        (PGD(eps=0.1, random_start=False, target="given"), "by_label"),
    ],
    ids=["least-likely", "given"],
)
def test_targeted_pgd_agrees_but_for_ties_of_rounding(
    trained: nn.Module, held_out: tuple[Tensor, Tensor], attack: Attack, setting: str
) -> None:
    images, labels = held_out
    targets = (labels + 1) % 10
    theirs = torchattacks.PGD(trained, eps=0.1, alpha=1.85 * 0.1 / 8, steps=8, random_start=False)
    if setting == "by_label":
        theirs.set_mode_targeted_by_label(quiet=True)
        ours = attack(trained, images, labels, targets=targets)
        assert_equal_but_for_ties(ours, theirs(images, targets))
    else:
        theirs.set_mode_targeted_least_likely(quiet=True)
        ours = attack(trained, images, labels)
        # Theirs aims at the label where that is least likely; no such example is among these.
        assert_equal_but_for_ties(ours, theirs(images, labels))


def test_dlr_is_that_of_auto_pgd(trained: nn.Module, held_out: tuple[Tensor, Tensor]) -> None:
    images, labels = held_out
    targets = (labels + 1) % 10
    with torch.no_grad():
        logits = trained(images)
    away, _ = Goal(labels, loss="dlr").judge(trained, images)
    theirs = torchattacks.APGD(trained).dlr_loss(logits, labels)
    torch.testing.assert_close(away, theirs)
    towards, _ = Goal(labels, targets=targets, loss="dlr").judge(trained, images)
    theirs = torchattacks.APGDT(trained).dlr_loss_targeted(logits, labels, targets)
    torch.testing.assert_close(towards, theirs)
