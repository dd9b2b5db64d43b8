"""ART's attacks as ours, ours as ART's."""

from typing import Any

import numpy as np
import pytest
import torch
from art.attacks import evasion
from art.attacks.attack import EvasionAttack
from art.defences.preprocessor import FeatureSqueezing
from art.defences.trainer import AdversarialTrainer
from art.estimators.classification import PyTorchClassifier
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD, DeepFool, with_eps
from steadygrad.attacks.adapters import TimesEps, from_art, to_art
from steadygrad.errors import HyperparameterError
from steadygrad.layers import PixelNormalization


def estimator_of(model: nn.Module, **settings: Any) -> PyTorchClassifier:
    known: dict[str, Any] = {"clip_values": (0.0, 1.0), "device_type": "cpu"}
    return PyTorchClassifier(
        model=model,
        loss=nn.CrossEntropyLoss(),
        input_shape=(1, 8, 8),
        nb_classes=10,
        **(known | settings),
    )


BY_HAND = [
    (evasion.FastGradientMethod, "linf", np.inf, 0.1, {}),
    (evasion.FastGradientMethod, "l2", 2, 0.6, {}),
    (evasion.ProjectedGradientDescent, "linf", np.inf, 0.1, {"eps_step": 0.02, "max_iter": 8}),
    (evasion.MomentumIterativeMethod, "linf", np.inf, 0.1, {"eps_step": 0.02, "max_iter": 8}),
    (evasion.AutoProjectedGradientDescent, "linf", np.inf, 0.1, {"max_iter": 5}),
]


@pytest.mark.parametrize(("attack_class", "norm", "order", "eps", "settings"), BY_HAND)
def test_finds_what_the_library_finds_when_called_by_hand(
    trained: nn.Module,
    few: tuple[Tensor, Tensor],
    attack_class: type[Any],
    norm: Any,
    order: float,
    eps: float,
    settings: dict[str, Any],
) -> None:
    images, labels = few
    ours = from_art(attack_class, eps=eps, norm=norm, **settings)
    found = ours(trained, images, labels, generator=torch.Generator().manual_seed(0))
    filled = {"verbose": False} if attack_class is not evasion.FastGradientMethod else {}
    theirs = attack_class(
        estimator_of(trained), norm=order, eps=eps, batch_size=len(images), **settings, **filled
    )
    np.random.seed(0)
    by_hand = torch.from_numpy(theirs.generate(images.numpy(), labels.numpy()))
    trained.zero_grad(set_to_none=True)
    if attack_class is evasion.AutoProjectedGradientDescent:  # starts at random
        broken = [(trained(x).argmax(dim=1) != labels).sum() for x in (found, by_hand)]
        assert broken[0] > 0 and abs(broken[0] - broken[1]) <= 2
    else:
        torch.testing.assert_close(found, by_hand)


def test_a_class_without_a_radius_minimizes_and_is_silent(
    trained: nn.Module, few: tuple[Tensor, Tensor], capsys: pytest.CaptureFixture[str]
) -> None:
    images, labels = few
    attack = from_art(evasion.DeepFool, eps=0.6, max_iter=20)
    assert attack.is_minimal and attack.norm == "l2"
    by_hand = torch.from_numpy(
        evasion.DeepFool(estimator_of(trained), max_iter=20, verbose=False, batch_size=16).generate(
            images.numpy()
        )
    )
    trained.zero_grad(set_to_none=True)
    lengths = (by_hand - images).flatten(1).norm(dim=1)
    is_near = (trained(by_hand).argmax(dim=1) != labels) & (lengths <= 0.6)
    assert is_near.any() and not is_near.all()
    found = attack(trained, images, labels)
    torch.testing.assert_close(found[is_near], by_hand[is_near])
    assert (found - images).flatten(1).norm(dim=1).max() <= 0.6 + 1e-6
    assert capsys.readouterr() == ("", "")


def test_the_norm_is_the_classs_own_unless_it_chooses() -> None:
    assert from_art(evasion.ProjectedGradientDescent, eps=0.1).norm == "linf"
    assert from_art(evasion.ProjectedGradientDescent, eps=2.0, norm="l2").norm == "l2"
    assert from_art(evasion.HopSkipJump, eps=2.0).norm == "l2"
    assert from_art(evasion.BasicIterativeMethod, eps=0.1).norm == "linf"
    assert from_art(evasion.CarliniLInfMethod, eps=0.1).norm == "linf"


def test_float64_images_that_are_not_changed_stay_to_the_bit(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    images, labels = few[0].double() / 3, few[1]
    attack = from_art(evasion.ProjectedGradientDescent, eps=0.05, eps_step=0.05, max_iter=1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10)).double()
    with torch.no_grad():
        model[1].weight[:, :32] = 0  # half of the pixels play no part
    found = attack(model, images, labels).flatten(1)
    assert torch.equal(found[:, :32], images.flatten(1)[:, :32])
    assert not torch.equal(found[:, 32:], images.flatten(1)[:, 32:])


@pytest.mark.parametrize(
    ("attack_class", "settings", "message"),
    [
        (PGD, {}, "evasion attack class of ART, got <class"),
        (evasion.DeepFool, {"steps": 3}, "among max_iter, epsilon, .*got 'steps'"),
        (evasion.FastGradientMethod, {"targeted": True}, "untargeted, .* got targeted=True"),
        (evasion.BasicIterativeMethod, {"norm": "l2"}, "norm 'linf' for ART Basic.*got 'l2'"),
        (evasion.SaliencyMapMethod, {}, "norm='linf' or 'l2' for ART SaliencyMapMethod"),
        (evasion.CarliniL0Method, {}, "norm='linf' or 'l2' for ART CarliniL0Method"),
    ],
)
def test_what_does_not_fit_is_refused(attack_class: Any, settings: Any, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        from_art(attack_class, eps=0.1, **settings)


def test_a_value_that_the_library_refuses_is_named(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    attack = from_art(
        evasion.ProjectedGradientDescent, eps=0.1, eps_step=TimesEps(0.5), max_iter=-1
    )
    with pytest.raises(HyperparameterError, match=r"ART Proj.* refuses its settings: .*iterations"):
        attack(trained, *few)


def test_ours_are_evasion_attacks(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    images, labels = few
    estimator = estimator_of(trained)
    attack = to_art(FGSM(eps=0.1), estimator, batch_size=5)
    assert isinstance(attack, EvasionAttack) and attack.estimator is estimator
    expected = FGSM(eps=0.1)(trained, images, labels).numpy()
    indices, rows = labels.numpy(), np.eye(10, dtype=np.float32)[labels.numpy()]
    for y in (indices, rows, None):  # the network has these digits right: its own labels
        found = attack.generate(images.numpy(), y)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, atol=1e-6)
    attack.set_params(eps=0.02)
    np.testing.assert_allclose(
        attack.generate(x=images.numpy(), y=indices),
        with_eps(FGSM(eps=0.1), 0.02)(trained, images, labels).numpy(),
        atol=1e-6,
    )
    deepfool = to_art(DeepFool(), estimator).generate(images.numpy(), indices)
    np.testing.assert_allclose(deepfool, DeepFool()(trained, images, labels).numpy(), atol=1e-6)


def test_art_trains_on_ours(few: tuple[Tensor, Tensor]) -> None:
    images, labels = few
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    estimator = estimator_of(model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    before = model[1].weight.detach().clone()
    trainer = AdversarialTrainer(estimator, to_art(PGD(eps=0.1, steps=2), estimator), ratio=1.0)
    trainer.fit(images.numpy(), labels.numpy(), nb_epochs=1, batch_size=8)
    assert not torch.equal(model[1].weight, before)


def test_preprocessing_is_part_of_the_model(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    images, labels = few
    within = nn.Sequential(PixelNormalization(mean=(0.3,), std=(0.5,)), trained).eval()
    attack = to_art(FGSM(eps=0.1), estimator_of(trained, preprocessing=(0.3, 0.5)))
    found = attack.generate(images.numpy(), labels.numpy())
    np.testing.assert_allclose(found, FGSM(eps=0.1)(within, images, labels).numpy(), atol=1e-6)


def test_what_cannot_be_attacked_is_refused(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    with pytest.raises(HyperparameterError, match="PyTorchClassifier of ART, got Sequential"):
        to_art(FGSM(eps=0.1), trained)
    with pytest.raises(HyperparameterError, match=r"clip_values \(0, 1\), got None"):
        to_art(FGSM(eps=0.1), estimator_of(trained, clip_values=None))
    with pytest.raises(HyperparameterError, match="batch_size >= 1, got 0"):
        to_art(FGSM(eps=0.1), estimator_of(trained), batch_size=0)
    squeezed = estimator_of(
        trained, preprocessing_defences=FeatureSqueezing(clip_values=(0, 1), bit_depth=3)
    )
    with pytest.raises(HyperparameterError, match="differentiate, got FeatureSqueezing"):
        to_art(FGSM(eps=0.1), squeezed).generate(few[0].numpy(), few[1].numpy())


def test_the_mode_of_the_model_comes_back(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    model = nn.Sequential(trained, nn.Dropout(0.5)).train()
    estimator = estimator_of(model)
    x, y = few[0].numpy(), few[1].numpy()
    attack = to_art(FGSM(eps=0.1), estimator)
    first, second = attack.generate(x, y), attack.generate(x, y)
    assert model.training and np.array_equal(first, second)
    trained.eval()
