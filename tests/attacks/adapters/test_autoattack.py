"""AutoAttack through the authors' library."""

import logging
import sys

import pyautoattack
import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import ATTACKS, AutoAttack, with_eps
from steadygrad.errors import HyperparameterError, ModelError, UnknownNameError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def broken(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with torch.no_grad():
        return model(images).argmax(dim=1) != labels


class Counting(nn.Module):
    """Counts images, as anyone's wrapper would."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self.images = model, 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        return self.model(images)


@pytest.mark.parametrize(
    ("norm", "theirs", "eps"), [("linf", "Linf", 0.09), ("l2", "L2", 0.6)], ids=["linf", "l2"]
)
def test_breaks_what_the_library_breaks_when_called_by_hand(
    trained: nn.Module, few: tuple[Tensor, Tensor], norm: str, theirs: str, eps: float
) -> None:
    images, labels = few
    attacks = ("apgd-ce", "apgd-dlr")
    attack = AutoAttack(eps=eps, norm=norm, attacks=attacks)
    seed = int(torch.randint(2**31, (), generator=generator()))
    with torch.random.fork_rng():
        by_hand = pyautoattack.AutoAttack(trained, eps=eps, norm=theirs, seed=seed)
        by_hand.attacks_to_run = list(attacks)
        expected, _ = by_hand.run_standard_evaluation(images, labels)
    found = attack(trained, images, labels, generator=generator())
    torch.testing.assert_close(found, expected)
    success = broken(trained, found, labels)
    assert success.any() and not success.all()
    assert torch.equal(found[~success], images[~success])


@pytest.mark.slow
def test_the_standard_ensemble_is_the_librarys(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    images, labels = few[0][:4], few[1][:4]
    model = Counting(trained)
    seed = int(torch.randint(2**31, (), generator=generator()))
    with torch.random.fork_rng():
        by_hand = pyautoattack.AutoAttack(trained, eps=0.06, seed=seed)
        expected, _ = by_hand.run_standard_evaluation(images, labels)
    found = AutoAttack(eps=0.06)(model, images, labels, generator=generator())
    torch.testing.assert_close(found, expected)
    standing = int((~broken(trained, found, labels)).sum())
    assert 5000 * standing < model.images < 10_000 * 4


def test_a_second_attack_adds_to_the_first_and_spares_what_fell(
    trained: nn.Module, few: tuple[Tensor, Tensor]
) -> None:
    images, labels = few
    once, twice, model = AutoAttack(eps=0.09, attacks=("apgd-ce",)), None, Counting(trained)
    first = broken(trained, once(model, images, labels, generator=generator()), labels)
    asked = model.images
    twice = AutoAttack(eps=0.09, attacks=("apgd-ce", "apgd-dlr"))
    second = broken(trained, twice(model, images, labels, generator=generator()), labels)
    assert (second | ~first).all()
    assert model.images - asked - asked < 110 * len(labels)


def test_forward_passes_are_counted_by_a_wrapper_to_the_image() -> None:
    images, labels = torch.full((3, 1, 2, 2), 0.5), torch.zeros(3, dtype=torch.int64)
    weight = torch.eye(4)[:, :4]
    model = Counting(lambda x: x.flatten(1) @ weight + torch.tensor([9.0, 0, 0, 0]))
    AutoAttack(eps=0.1, attacks=("apgd-ce",))(model, images, labels)
    # 1 image to count the classes; then of all 3: five passes to look for randomness, one for
    # softmax outputs, one for dynamic models, one for the clean accuracy, the start of APGD's
    # perturb, its first gradient and 100 steps, and one to judge.
    assert model.images == 1 + 3 * (5 + 1 + 1 + 1 + 1 + 1 + 100 + 1)


def test_square_asks_as_often_as_it_may(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    images, labels = few
    standing = ~broken(trained, images, labels)
    images, labels = images[standing], labels[standing]
    asked = {}
    for queries in (20, 60):
        counting = Counting(trained)
        attack = AutoAttack(eps=1e-6, attacks=("square",), square_queries=queries)
        attack(counting, images, labels, generator=generator())
        asked[queries] = counting.images / len(images)
    assert asked[60] - asked[20] == 40
    assert attack.describe()["square_queries"] == 60
    assert AutoAttack(eps=0.1).describe()["square_queries"] == 5000


def test_nothing_is_printed_and_suspicions_go_to_the_logger(
    trained: nn.Module,
    few: tuple[Tensor, Tensor],
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    images, labels = few[0][:2], few[1][:2]
    attack = AutoAttack(eps=0.5, attacks=("apgd-ce",))
    attack(trained, images, labels)
    assert not caplog.records
    with caplog.at_level(logging.WARNING, logger="auto-attack"):
        attack(lambda x: trained(x) + 5 * torch.rand(len(x), 10), images, labels)
    assert "randomized defense" in caplog.text
    assert capsys.readouterr() == ("", "")
    assert not logging.getLogger("auto-attack").handlers


def test_suspicions_stay_off_the_terminal_where_nobody_listens(
    trained: nn.Module,
    few: tuple[Tensor, Tensor],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # Without pytest's own handlers: logging's last resort is the terminal.
    monkeypatch.setattr(logging.getLogger("auto-attack"), "propagate", False)
    AutoAttack(eps=0.5, attacks=("apgd-ce",))(
        lambda x: trained(x) + 5 * torch.rand(len(x), 10), few[0][:2], few[1][:2]
    )
    assert capsys.readouterr() == ("", "")


def test_a_debuggers_trace_is_kept(trained: nn.Module, few: tuple[Tensor, Tensor]) -> None:
    def trace(*_: object) -> None:
        return None

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        AutoAttack(eps=0.5, attacks=("apgd-ce",))(trained, few[0][:1], few[1][:1])
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)


@pytest.mark.parametrize(("classes", "attacks"), [(2, ("apgd-ce", "fab-t")), (5, ("apgd-t",))])
def test_few_classes_have_fewer_targets(classes: int, attacks: tuple[str, ...]) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, classes)).eval()
    images = torch.rand(2, 1, 4, 4)
    labels = model(images).argmax(dim=1)
    found = AutoAttack(eps=0.01, attacks=attacks)(model, images, labels, generator=generator())
    assert (found - images).abs().max() <= 0.01 + 1e-6


@pytest.mark.parametrize(("classes", "name", "fewest"), [(3, "apgd-t", 4), (2, "apgd-dlr", 3)])
def test_too_few_classes_for_a_loss_are_named(classes: int, name: str, fewest: int) -> None:
    images, labels = torch.rand(2, 1, 2, 2), torch.zeros(2, dtype=torch.int64)
    message = f"at least {fewest} classes for {name} of AutoAttack, got {classes}"
    with pytest.raises(ModelError, match=message):
        AutoAttack(eps=0.1, attacks=("apgd-ce", name))(
            lambda x: x.flatten(1)[:, :classes], images, labels
        )


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="one of standard, plus, rand, got 'fast'"):
        AutoAttack(eps=0.1, version="fast")
    with pytest.raises(UnknownNameError, match=r"among apgd-ce, apgd-dlr, .* got 'pgd'"):
        AutoAttack(eps=0.1, attacks=("apgd-ce", "pgd"))
    for wrong in ("square", (), ["square"]):
        with pytest.raises(HyperparameterError, match="attacks as a tuple of names, got"):
            AutoAttack(eps=0.1, attacks=wrong)
    with pytest.raises(UnknownNameError, match="norm one of linf, l2, got 'l1'"):
        AutoAttack(eps=0.1, norm="l1")
    with pytest.raises(HyperparameterError, match=r"eps in \[0, 1\], got 8"):
        AutoAttack(eps=8)


def test_square_needs_a_query() -> None:
    with pytest.raises(HyperparameterError, match="square_queries >= 1, got 0"):
        AutoAttack(eps=0.1, square_queries=0)


def test_by_name_and_at_another_radius() -> None:
    attack = ATTACKS.parse("autoattack:eps=0.1,version=plus")
    assert with_eps(attack, 0.2) == AutoAttack(eps=0.2, version="plus")
