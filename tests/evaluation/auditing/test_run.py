"""The audit itself: the worst case of each example, exact counts, names and pictures."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from small_audits import ATTACKS, EPS, Data, Meddling, small_audit
from steadygrad.attacks import FGSM, PGD, RandomNoise
from steadygrad.evaluation import predictions
from steadygrad.evaluation.auditing import BatteryEntry, UnfitError


def test_the_worst_case_is_that_of_each_example(trained: nn.Module, few: Data) -> None:
    result = small_audit(trained, few)
    standing = result.clean_correct.clone()
    for outcome in result.outcomes:
        assert torch.equal(outcome.attacked, result.clean_correct)
        assert not (outcome.broken & ~outcome.attacked).any()
        point = outcome.accuracy(result.clean_correct)
        assert point is not None and result.worst_case.correct <= point.correct
        standing &= ~outcome.broken
    assert result.worst_case.correct == int(standing.sum()) < result.clean.correct
    assert result.clean.correct == int((predictions(trained, few[0]) == few[1]).sum())
    assert [outcome.family for outcome in result.outcomes] == [
        "query",
        "one-step",
        "white-box",
        "white-box",
    ]


def test_what_either_of_two_attacks_breaks_is_broken(trained: nn.Module, few: Data) -> None:
    def on_labels(rest: int) -> Callable[..., Tensor]:
        def attack(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
            found = PGD(eps=0.3, steps=20)(model, images, labels)
            return torch.where((labels % 2 == rest).view(-1, 1, 1, 1), found, images)

        return attack

    even, odd = (
        BatteryEntry(str(rest), None, Meddling(eps=0, what=on_labels(rest))) for rest in (0, 1)
    )
    result = small_audit(trained, few, eps=0.3, attacks=[even, odd])
    first, second = result.outcomes
    assert first.broken.any() and second.broken.any() and not (first.broken & second.broken).any()
    assert torch.equal(result.broken, first.broken | second.broken)
    assert result.broken_by_none_but(first) == int(first.broken.sum())
    assert result.worst_case.correct == int((result.clean_correct & ~result.broken).sum())


def test_counts_are_exact_and_the_look_at_the_result_is_not_among_them(
    trained: nn.Module, few: Data
) -> None:
    result = small_audit(trained, few, attacks=[FGSM(eps=EPS), PGD(eps=EPS, steps=5)])
    right = result.clean.correct
    assert [(o.queries, o.gradients) for o in result.outcomes] == [
        (right, right),
        (5 * right, 5 * right),
    ]


def test_survivors_are_those_that_every_attack_before_has_failed_on(
    trained: nn.Module, few: Data
) -> None:
    last = BatteryEntry("last", "white-box", PGD(eps=EPS, steps=20), scope="survivors")
    some = BatteryEntry("some", "query", RandomNoise(eps=EPS), scope="survivors", limit=4)
    result = small_audit(trained, few, attacks=[*ATTACKS, last, some])
    before = small_audit(trained, few)
    assert torch.equal(result.outcomes[-2].attacked, before.clean_correct & ~before.broken)
    assert result.outcomes[-2].accuracy(result.clean_correct) is None
    assert int(result.outcomes[-1].attacked.sum()) == 4
    assert any(sentence.startswith("some: run on 4 of ") for sentence in result.untested)


def test_transfer_asks_the_model_nothing(trained: nn.Module, few: Data) -> None:
    result = small_audit(trained, few, attacks=[FGSM(eps=EPS)], sources={"twin": trained})
    transfer = result.outcomes[0]
    assert (transfer.name, transfer.family) == ("transfer-twin-mim-10", "transfer")
    assert (transfer.queries, transfer.gradients) == (0, 0) and transfer.broken.any()
    assert transfer.attack["source"] == "twin" and transfer.attack["attack"]["name"] == "mim"


def test_a_source_of_the_same_weights_that_computes_otherwise_is_another(
    trained: nn.Module, few: Data, tmp_path: Path
) -> None:
    class Louder(nn.Sequential):
        factor = 1.0

        def forward(self, images: Tensor) -> Tensor:
            return self.factor * super().forward(images)

    digests = set()
    for factor in (1.0, 50.0):
        source = Louder(*trained).eval()
        source.factor = factor
        result = small_audit(
            trained, few, attacks=[FGSM(eps=EPS)], sources={"other": source}, out=tmp_path
        )
        digests.add(result.outcomes[0].attack["source_digest"])
    assert len(digests) == 2 and len(list((tmp_path / "attacks").glob("transfer-*"))) == 2


def test_names_of_attacks_of_ones_own_are_told_apart(trained: nn.Module, few: Data) -> None:
    attacks = [PGD(eps=0), PGD(eps=0, loss="margin"), PGD(eps=0, steps=3)]
    result = small_audit(trained, few, attacks=attacks)
    assert [outcome.name for outcome in result.outcomes] == ["pgd-8", "pgd-8-2", "pgd-3"]
    assert all(outcome.eps == EPS and outcome.broken.any() for outcome in result.outcomes)


def test_a_model_that_is_never_right_leaves_nothing_to_attack(few: Data) -> None:
    wrong = nn.Sequential(nn.Flatten(), nn.Linear(64, 11))
    nn.init.constant_(wrong[1].weight, 1e-9)
    wrong[1].bias.data = 5 * torch.eye(11)[10]
    with pytest.raises(UnfitError, match="below chance"):
        small_audit(wrong, few)
    one = (few[0][:1], few[1][:1])
    result = small_audit(wrong, one)
    assert result.outcomes == () and result.worst_case.correct == 0 and result.gallery is None
    assert "fgsm: no example remains to attack" in result.untested


def test_the_gallery_shows_what_broke_each_image(trained: nn.Module, few: Data) -> None:
    result = small_audit(trained, few)
    gallery, outcomes = result.gallery, {outcome.name: outcome for outcome in result.outcomes}
    assert gallery is not None
    assert (gallery.adversarial - gallery.clean).abs().max() <= EPS + 1e-6
    for row, attack, label, fooled in zip(
        gallery.rows, gallery.attacks, gallery.labels, gallery.adversarial_predictions, strict=True
    ):
        assert bool(outcomes[attack].broken[row]) == bool(fooled != label)
        assert bool(result.broken[row]) == bool(fooled != label)


def test_a_constant_classifier_is_not_masked(few: Data) -> None:
    class Constant(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return 3 * torch.eye(10)[few[1][0]] + 0 * images.sum(dim=(1, 2, 3)).unsqueeze(1)

    result = small_audit(Constant(), few, diagnostics=True)
    assert result.verdict.level == "no sign of masking"
    assert result.verdict.causes == ("constant model",)
    assert result.worst_case.correct == result.clean.correct > 0
