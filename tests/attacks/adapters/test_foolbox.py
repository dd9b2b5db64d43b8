"""foolbox's attacks as ours, ours as foolbox's."""

import warnings

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD, DeepFool, IterativeFGSM, NoisyFGSM, SparseL1, WhiteNoise
from steadygrad.attacks.adapters import FoolboxAttack, from_foolbox, to_foolbox
from steadygrad.errors import HyperparameterError

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox
    from foolbox import attacks

BOUNDED = [
    (attacks.LinfFastGradientAttack(), 0.1),
    (attacks.LinfPGD(steps=10, random_start=False), 0.1),
    (attacks.L2PGD(steps=10, random_start=False), 0.6),
]
MINIMAL = [
    (attacks.L2DeepFoolAttack(), 0.5),
    (attacks.LinfDeepFoolAttack(), 0.08),
    (attacks.LInfFMNAttack(steps=30), 0.08),
]


def wrapped(model: nn.Module) -> foolbox.PyTorchModel:
    return foolbox.PyTorchModel(model, bounds=(0, 1), device="cpu")


def misclassified(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(dim=1) != labels


@pytest.mark.parametrize(("attack", "eps"), [*BOUNDED, *MINIMAL], ids=repr)
def test_breaks_what_the_library_breaks_when_called_by_hand(
    trained: nn.Module, few: tuple[Tensor, Tensor], attack: attacks.Attack, eps: float
) -> None:
    images, labels = few
    _, theirs, success = attack(wrapped(trained), images, labels, epsilons=eps)
    trained.zero_grad(set_to_none=True)
    found = from_foolbox(attack, eps=eps)(trained, images, labels)
    assert 0 < success.sum() < len(labels)
    assert torch.equal(misclassified(trained, found, labels), success)
    torch.testing.assert_close(found[success], theirs[success])


def test_the_norm_is_the_attacks_own() -> None:
    assert from_foolbox(attacks.LinfPGD(), eps=0.1).norm == "linf"
    assert from_foolbox(attacks.L2PGD(), eps=2.5).norm == "l2"
    assert from_foolbox(attacks.GaussianBlurAttack(distance=foolbox.distances.l2), eps=1).norm == (
        "l2"
    )


def test_a_repeated_attack_keeps_its_kind(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    bounded = from_foolbox(attacks.LinfPGD(steps=2).repeat(3), eps=0.1)
    minimal = from_foolbox(attacks.L2DeepFoolAttack(steps=10).repeat(2), eps=1.0)
    assert not bounded.is_minimal and minimal.is_minimal
    _, lengths = minimal.closest(trained, *few)
    assert lengths.isfinite().all()
    assert (bounded(trained, *few) - few[0]).abs().max() <= 0.1 + 1e-6


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (PGD(eps=0.1), "attack object of foolbox, got PGD"),
        (attacks.LinfPGD, "attack object of foolbox, got ABCMeta"),
        (attacks.L1PGD(), "distance of Linf or L2, got foolbox L1P.* with L1"),
        (attacks.SpatialAttack(), "distance of Linf or L2, got foolbox SpatialAttack with none"),
        (attacks.GaussianBlurAttack(), "got foolbox GaussianBlurAttack with none"),
    ],
)
def test_what_is_no_attack_in_a_ball_is_refused(attack: object, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        from_foolbox(attack, eps=0.1)


def test_a_radius_in_other_units_is_refused() -> None:
    with pytest.raises(HyperparameterError, match=r"eps in \[0, 1\], got 8; did you mean 8/255"):
        from_foolbox(attacks.LinfPGD(), eps=8)


def test_leaving_the_pixel_range_is_an_error_that_names_the_attack(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    class Brighten(attacks.base.FixedEpsilonAttack):
        distance = foolbox.distances.linf

        def run(self, model, inputs, criterion, *, epsilon, **kwargs):
            return inputs + epsilon

    with pytest.raises(HyperparameterError, match=r"foolbox Brighten to keep .* from .* to 1\.5"):
        from_foolbox(Brighten(), eps=0.5)(trained, *few)


@pytest.mark.parametrize(
    "attack", [FGSM(eps=0.3), IterativeFGSM(eps=0.0), PGD(eps=0.3, norm="l2")], ids=repr
)
def test_ours_run_at_foolboxs_radii(
    trained: nn.Module, few: tuple[Tensor, Tensor], attack: FGSM
) -> None:
    images, labels = few
    theirs = to_foolbox(attack)
    assert isinstance(theirs, attacks.base.FixedEpsilonAttack)
    radii = [0.05, 0.15]
    torch.manual_seed(0)
    raw, clipped, success = theirs(wrapped(trained), images, labels, epsilons=radii)
    assert success.shape == (2, len(images))
    torch.manual_seed(0)
    for i, eps in enumerate(radii):
        ours = type(attack)(**{**vars(attack), "eps": eps})(trained, images, labels)
        torch.testing.assert_close(raw[i], ours)
        torch.testing.assert_close(clipped[i], ours)
        assert torch.equal(success[i], misclassified(trained, ours, labels))
    assert repr(attack) in repr(theirs)


def test_deepfool_minimizes_there_too(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    images, labels = few
    theirs = to_foolbox(DeepFool())
    raw, clipped, success = theirs(wrapped(trained), images, labels, epsilons=[None, 0.5])
    assert success[0].all() and not success[1].all()
    lengths = (raw[0] - images).flatten(1).norm(dim=1)
    assert torch.equal(success[1], lengths <= 0.5)
    assert (clipped[1] - images).flatten(1).norm(dim=1).max() <= 0.5 + 1e-5
    # What is misclassified already needs no change.
    raw, _, success = theirs(wrapped(trained), images, (labels + 1) % 10, epsilons=None)
    assert success.all() and torch.equal(raw, images)


def test_repeating_and_there_and_back_again(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    repeated = to_foolbox(PGD(eps=0.1, steps=2)).repeat(2)
    _, _, success = repeated(wrapped(trained), *few, epsilons=0.1)
    assert success.shape == (len(few[0]),)
    back = from_foolbox(to_foolbox(FGSM(eps=0.1)), eps=0.1)
    assert isinstance(back, FoolboxAttack)
    torch.testing.assert_close(back(trained, *few), FGSM(eps=0.1)(trained, *few))


def test_what_foolbox_could_not_mean_is_refused(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    images, labels = few
    theirs = to_foolbox(FGSM(eps=0.1))
    criterion = foolbox.criteria.TargetedMisclassification((labels + 1) % 10)
    with pytest.raises(HyperparameterError, match="got TargetedMisclassification"):
        theirs(wrapped(trained), images, criterion, epsilons=0.1)
    wide = foolbox.PyTorchModel(trained, bounds=(0, 255), device="cpu")
    with pytest.raises(HyperparameterError, match=r"bounds \(0, 1\), got \(0, 255\)"):
        theirs(wide, images, labels, epsilons=0.1)
    with pytest.raises(HyperparameterError, match="WhiteNoise, whose eps is a standard deviation"):
        to_foolbox(WhiteNoise(eps=0.1))
    with pytest.raises(HyperparameterError, match="NoisyFGSM, whose results may lie further away"):
        to_foolbox(NoisyFGSM(eps=0.1))


def test_an_attack_within_an_l1_ball_is_one_there_too(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    images, labels = few
    theirs = to_foolbox(SparseL1(eps=1.0, steps=5))
    assert theirs.distance == foolbox.distances.l1
    _, clipped, success = theirs(wrapped(trained), images, labels, epsilons=3.0)
    found = SparseL1(eps=3.0, steps=5)(trained, images, labels)
    torch.testing.assert_close(clipped, found)
    assert torch.equal(success, misclassified(trained, found, labels))
