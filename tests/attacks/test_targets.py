"""PGD towards classes: drawn, least likely, given, and all of them in turn."""

import copy
import math

import pytest
import torch
from torch import Tensor

from steadygrad.attacks import PGD
from steadygrad.attacks.ball import Norm
from steadygrad.attacks.losses import Loss
from steadygrad.errors import HyperparameterError, LabelError, ModelError, UnknownNameError


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def pixels(images: Tensor) -> Tensor:
    """Pixel k is the logit of class k: a step towards a class raises its pixel alone."""
    return images.flatten(1)


ONE_STEP = {"eps": 0.1, "steps": 1, "step_size": 0.1, "random_start": False}


def test_targets_are_drawn_from_the_other_classes_evenly() -> None:
    images = torch.full((3000, 3, 1, 1), 0.5, dtype=torch.float64)
    labels = torch.ones(3000, dtype=torch.int64)
    adversarial = PGD(**ONE_STEP, target="random")(pixels, images, labels, generator=generator())
    seen = (adversarial > 0.5).flatten(1).sum(dim=0)
    assert seen[1] == 0 and seen.sum() == 3000
    assert abs(seen[0].item() - 1500) < 5 * math.sqrt(750)


def test_the_least_likely_class_is_the_smallest_of_the_wrong_logits() -> None:
    images = torch.tensor(
        [[0.2, 0.3, 0.4, 0.5], [0.2, 0.3, 0.4, 0.5], [0.8, 0.3, 0.5, 0.4]], dtype=torch.float64
    ).view(3, 4, 1, 1)
    labels = torch.tensor([3, 0, 0])  # the second example's own label has the smallest logit
    adversarial = PGD(**ONE_STEP, target="least-likely")(pixels, images, labels)
    raised = (adversarial - images).flatten(1).argmax(dim=1)
    assert raised.tolist() == [0, 1, 1]


def test_from_the_prediction_the_least_likely_class_is_the_smallest_logit() -> None:
    images = torch.tensor([[0.2, 0.3, 0.4, 0.5]], dtype=torch.float64).view(1, 4, 1, 1)
    attack = PGD(**ONE_STEP, target="least-likely", start_from_prediction=True)
    adversarial = attack(pixels, images, torch.tensor([0]))
    assert (adversarial - images).flatten().argmax().item() == 0


@pytest.mark.parametrize("norm", ["linf", "l2"])
def test_targeted_success_reaches_the_target(
    trained: torch.nn.Module, held_out: tuple[Tensor, Tensor], norm: Norm
) -> None:
    images, labels = (tensor[:50] for tensor in held_out)
    targets = (labels + 1) % 10
    eps = 0.6 if norm == "linf" else 3.0
    adversarial = PGD(eps=eps, steps=30, target="given", norm=norm)(
        trained, images, labels, targets=targets, generator=generator()
    )
    with torch.no_grad():
        assert (trained(adversarial).argmax(dim=1) == targets).double().mean() > 0.9


@pytest.mark.parametrize("loss", ["cross-entropy", "margin", "dlr"])
def test_all_targets_keep_the_best_of_the_single_ones(
    trained: torch.nn.Module, held_out: tuple[Tensor, Tensor], loss: Loss
) -> None:
    images, labels = held_out[0][:120].double(), held_out[1][:120]
    model = copy.deepcopy(trained).double()
    settings = {"eps": 0.1, "steps": 4, "random_start": False, "loss": loss}
    adversarial = PGD(**settings, target="all")(model, images, labels)
    with torch.no_grad():
        logits = model(images).scatter(1, labels.unsqueeze(1), torch.inf)
    ranked = logits.argsort(dim=1, descending=True)[:, 1:]
    single = [
        PGD(**settings, target="given")(model, images, labels, targets=targets)
        for targets in ranked.unbind(dim=1)
    ]
    with torch.no_grad():
        outcomes = torch.stack([model(candidates) for candidates in single])
    own = outcomes.gather(2, labels.expand(9, -1).unsqueeze(2)).squeeze(2)
    others = outcomes.scatter(2, labels.expand(9, -1).unsqueeze(2), -torch.inf).amax(dim=2)
    margins, broken, kept_later = others - own, others > own, 0
    for row in range(len(images)):
        first = broken[:, row].nonzero().flatten().tolist()
        kept = first[0] if first else int(margins[:, row].argmax())
        kept_later += kept > 0
        torch.testing.assert_close(adversarial[row], single[kept][row], rtol=0, atol=1e-12)
    assert 0 < broken.any(dim=0).sum() < len(images) and kept_later > 0


def test_without_success_the_target_of_the_largest_margin_is_kept() -> None:
    def model(images: Tensor) -> Tensor:
        """Classes 2 to 4 share a pixel: towards them the cross-entropy rises more, at once."""
        return images.flatten(1)[:, [0, 1, 2, 2, 2]]

    images = torch.tensor([0.9, 0.62, 0.6], dtype=torch.float64).view(1, 3, 1, 1)
    attack = PGD(**ONE_STEP, target="all", loss="margin")
    adversarial = attack(model, images, torch.tensor([0]))
    expected = torch.tensor([0.8, 0.72, 0.6], dtype=torch.float64)
    torch.testing.assert_close(adversarial.flatten(), expected)


def test_all_targets_go_on_with_what_still_stands_and_nothing_else(
    trained: torch.nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    sizes: list[int] = []

    def counting(images: Tensor) -> Tensor:
        sizes.append(len(images))
        return trained(images)

    images, labels = (tensor[:40] for tensor in held_out)
    PGD(eps=0.15, steps=2, target="all", restarts=2)(
        counting, images, labels, generator=generator()
    )
    assert sizes[:4] == [40, 40, 40, 40]  # to rank the classes, two steps, and to judge them
    assert sizes == sorted(sizes, reverse=True) and 0 < sizes[-1] < 40
    assert len(sizes) == 1 + 9 * 2 * 3


def test_all_targets_break_no_less_than_leaving_the_label(
    trained: torch.nn.Module, held_out: tuple[Tensor, Tensor]
) -> None:
    images, labels = held_out
    broken = {}
    for target in (None, "random", "least-likely", "all"):
        attack = PGD(eps=0.12, steps=10, loss="margin", target=target)
        adversarial = attack(trained, images, labels, generator=generator())
        with torch.no_grad():
            broken[target] = int((trained(adversarial).argmax(dim=1) != labels).sum())
    assert broken["all"] >= broken[None] - 2
    assert broken["all"] > broken["random"] > broken["least-likely"]


def test_targets_and_their_setting_come_together() -> None:
    images, labels = torch.full((2, 3, 1, 1), 0.5), torch.tensor([0, 1])
    with pytest.raises(HyperparameterError, match="only then, got targets along with 'random'"):
        PGD(eps=0.1, target="random")(pixels, images, labels, targets=labels)
    with pytest.raises(HyperparameterError, match="target='given', and only then, got none"):
        PGD(eps=0.1, target="given")(pixels, images, labels)


def test_unknown_targets_are_refused_by_name() -> None:
    with pytest.raises(UnknownNameError, match="random, least-likely, all, given or None, got 'l"):
        PGD(eps=0.1, target="likely")


@pytest.mark.parametrize("target", ["random", "least-likely", "all"])
def test_a_single_class_leaves_nothing_to_aim_at(target: str) -> None:
    images, labels = torch.full((2, 1, 1, 1), 0.5), torch.tensor([0, 0])
    with pytest.raises(ModelError, match="at least 2 classes to aim at, got 1"):
        PGD(eps=0.1, target=target)(pixels, images, labels)


def test_given_targets_must_be_classes() -> None:
    images, labels = torch.full((2, 3, 1, 1), 0.5), torch.tensor([0, 1])
    with pytest.raises(LabelError, match="labels from 0 to 2, got 3"):
        PGD(eps=0.1, target="given")(pixels, images, labels, targets=labels + 2)
