"""torchattacks' attacks as ours, ours as torchattacks'."""

from pathlib import Path
from typing import Any

import pytest
import torch
import torchattacks
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from steadygrad.attacks import FGSM, PGD, DeepFool, describe_attack, with_eps
from steadygrad.attacks.adapters import TimesEps, from_torchattacks, to_torchattacks
from steadygrad.errors import HyperparameterError
from steadygrad.layers import PixelNormalization

BY_HAND = [
    (torchattacks.FGSM, "linf", 0.1, {}),
    (torchattacks.PGD, "linf", 0.1, {"alpha": 0.02, "steps": 8, "random_start": False}),
    (torchattacks.MIFGSM, "linf", 0.1, {"alpha": 0.02, "steps": 8}),
    (torchattacks.PGDL2, "l2", 0.6, {"alpha": 0.1, "steps": 8, "random_start": False}),
    (torchattacks.APGD, "linf", 0.1, {"steps": 5, "seed": 3}),
]


@pytest.mark.parametrize(("attack_class", "norm", "eps", "settings"), BY_HAND)
def test_finds_what_the_library_finds_when_called_by_hand(
    trained: nn.Module,
    few: tuple[Tensor, Tensor],
    attack_class: type[Any],
    norm: str,
    eps: float,
    settings: dict[str, Any],
) -> None:
    ours = from_torchattacks(attack_class, eps=eps, **settings)
    assert ours.norm == norm and not ours.is_minimal
    with torch.random.fork_rng():
        theirs = attack_class(trained, eps=eps, **settings)(*few)
    torch.testing.assert_close(ours(trained, *few), theirs)


def test_a_class_without_a_radius_minimizes(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    images, labels = few
    ours = from_torchattacks(torchattacks.CW, eps=0.6, steps=60, lr=0.05)
    theirs = torchattacks.CW(trained, steps=60, lr=0.05)(images, labels)
    is_broken = trained(theirs).argmax(dim=1) != labels
    lengths = (theirs - images).flatten(1).norm(dim=1)
    assert (is_broken & (lengths > 0.6)).any() and (is_broken & (lengths <= 0.6)).any()
    found = ours(trained, images, labels)
    torch.testing.assert_close(found[lengths <= 0.6], theirs[lengths <= 0.6])
    assert (found - images).flatten(1).norm(dim=1).max() <= 0.6 + 1e-6


def test_a_step_that_is_a_multiple_of_eps_moves_with_it(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    settings: dict[str, Any] = {"steps": 4, "random_start": False}
    attack = from_torchattacks(torchattacks.PGD, eps=0.5, alpha=TimesEps(0.25), **settings)
    moved = with_eps(attack, 0.08)
    theirs = torchattacks.PGD(trained, eps=0.08, alpha=0.02, **settings)
    torch.testing.assert_close(moved(trained, *few), theirs(*few))
    assert describe_attack(moved)["alpha"] == "0.25 * eps"
    with pytest.raises(HyperparameterError, match=r"factor > 0, got -1"):
        TimesEps(-1.0)


def test_the_number_of_classes_is_that_of_the_model() -> None:
    images, labels = torch.rand(4, 1, 4, 4), torch.tensor([0, 1, 2, 3])
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 5)).eval()
    labels = model(images).argmax(dim=1)
    # Ten, the library's default, would be five targets too many for images that stand.
    found = from_torchattacks(torchattacks.APGDT, eps=0.001, steps=3)(model, images, labels)
    assert (model(found).argmax(dim=1) == labels).any()
    assert (found - images).abs().max() <= 0.001 + 1e-6


def test_a_class_with_a_seed_of_its_own_takes_it_from_the_generator(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    def found(draw: int, **settings: int) -> Tensor:
        attack = from_torchattacks(torchattacks.Square, eps=0.3, n_queries=5, **settings)
        return attack(trained, *few, generator=torch.Generator().manual_seed(draw))

    assert torch.equal(found(0), found(0))
    assert not torch.equal(found(0), found(1))
    assert torch.equal(found(0, seed=7), found(1, seed=7))


def test_a_class_that_chooses_its_norm_is_given_ours(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    attack = from_torchattacks(torchattacks.APGD, eps=1.0, norm="l2", steps=3)
    change = attack(trained, *few) - few[0]
    lengths = change.flatten(1).norm(dim=1)
    assert lengths.max() <= 1.0 + 1e-6 and change.abs().max() < 0.9


@pytest.mark.parametrize(
    ("attack_class", "settings", "message"),
    [
        (PGD, {}, "attack class of torchattacks, got <class"),
        (torchattacks, {}, "attack class of torchattacks, got <module"),
        (torchattacks.PGD, {"stepz": 3}, "among eps, alpha, steps, random_start, got 'stepz'"),
        (torchattacks.PGD, {"norm": "l2"}, "norm 'linf' for torchattacks PGD, got 'l2'"),
        (torchattacks.PGDL2, {"norm": "linf"}, "norm 'l2' for torchattacks PGDL2, got 'linf'"),
        (torchattacks.JSMA, {}, "norm='linf' or 'l2' for torchattacks JSMA"),
        (torchattacks.PIFGSM, {"max_epsilon": 1}, "other than .* radius, got 'max_epsilon'"),
    ],
)
def test_what_does_not_fit_is_refused(attack_class: Any, settings: Any, message: str) -> None:
    with pytest.raises(HyperparameterError, match=message):
        from_torchattacks(attack_class, eps=0.1, **settings)


def test_a_value_that_the_library_refuses_is_named(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    attack = from_torchattacks(torchattacks.MultiAttack, eps=0.1, norm="linf")
    with pytest.raises(HyperparameterError, match="MultiAttack refuses its settings"):
        attack(trained, *few)
    step = from_torchattacks(torchattacks.DeepFool, eps=1.0, overshoot=TimesEps(0.1))
    with pytest.raises(HyperparameterError, match=r"radius for overshoot, which is 0\.1 \* eps"):
        step.closest(trained, *few)


def test_an_attack_in_other_units_is_caught(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    class InGreyLevels(torchattacks.FGSM):
        def forward(self, images: Tensor, labels: Tensor) -> Tensor:
            return (images + 255 * self.eps).clamp(0, 1)

    with pytest.raises(HyperparameterError, match=r"InGreyLevels to stay within eps 0\.1 in linf"):
        from_torchattacks(InGreyLevels, eps=0.1)(trained, *few)


def test_ours_are_attacks_of_torchattacks(
    trained: nn.Module, few: tuple[Tensor, Tensor], tmp_path: Path, capsys: Any
) -> None:
    images, labels = few
    attack = to_torchattacks(FGSM(eps=0.1), trained)
    assert isinstance(attack, torchattacks.attack.Attack)
    expected = FGSM(eps=0.1)(trained, images, labels)
    torch.testing.assert_close(attack(images, labels), expected)
    assert "eps=0.1" in repr(attack)
    loader = DataLoader(TensorDataset(images, labels), batch_size=8)
    accuracy, _, _ = attack.save(
        loader, save_path=str(tmp_path / "saved.pt"), verbose=False, return_verbose=True
    )
    right = (trained(expected).argmax(dim=1) == labels).double().mean().item()
    assert accuracy == pytest.approx(100 * right)
    torch.testing.assert_close(torch.load(tmp_path / "saved.pt")["adv_inputs"], expected)
    attack.eps = 0.02
    torch.testing.assert_close(attack(images, labels), FGSM(eps=0.02)(trained, images, labels))
    both = torchattacks.MultiAttack([attack, to_torchattacks(PGD(eps=0.1), trained)])
    assert both(images, labels).shape == images.shape
    deepfool = to_torchattacks(DeepFool(), trained)(images, labels)
    torch.testing.assert_close(deepfool, DeepFool()(trained, images, labels))


def test_its_normalization_is_honoured(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    images, labels = few
    within = nn.Sequential(PixelNormalization(mean=(0.3,), std=(0.5,)), trained).eval()
    attack = to_torchattacks(FGSM(eps=0.1), trained)
    attack.set_normalization_used(mean=[0.3], std=[0.5])
    found = attack((images - 0.3) / 0.5, labels)
    torch.testing.assert_close(0.5 * found + 0.3, FGSM(eps=0.1)(within, images, labels))


def test_the_mode_of_the_model_comes_back(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    model = nn.Sequential(trained, nn.Dropout(0.5)).train()
    attack = to_torchattacks(FGSM(eps=0.1), model)
    first, second = attack(*few), attack(*few)
    assert model.training and torch.equal(first, second)
    trained.eval()
