"""Accuracy under attack, batch by batch."""

import pytest
from torch import Tensor, nn

from steadygrad.attacks import FGSM, PGD
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import RobustAccuracy, accuracy_curve

Data = tuple[Tensor, Tensor]


def test_one_batch_of_one_attack_is_the_accuracy_under_it(
    trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out[0][:60], held_out[1][:60]
    metric = RobustAccuracy(trained, FGSM(eps=0.1))
    metric.update(images, labels)
    expected = accuracy_curve(trained, images, labels, FGSM(eps=0), (0.1,)).points[0]
    assert metric.compute().item() == expected.accuracy
    assert metric.point(0.1) == expected


def test_batches_add_up_and_a_second_attack_only_takes_away(
    trained: nn.Module, held_out: Data
) -> None:
    images, labels = held_out[0][:60], held_out[1][:60]
    both = RobustAccuracy(trained, [FGSM(eps=0.1), PGD(eps=0.1)])
    shares = [both(*batch) for batch in zip(images.split(25), labels.split(25), strict=True)]
    total = sum(share.item() * size for share, size in zip(shares, (25, 25, 10), strict=True))
    assert both.compute().item() == pytest.approx(total / 60)
    single = RobustAccuracy(trained, FGSM(eps=0.1))
    single.update(images, labels)
    assert both.compute() < single.compute()
    both.reset()
    assert both.compute().isnan() and both.total == 0


def test_modes_stay_and_no_attack_is_refused(trained: nn.Module, held_out: Data) -> None:
    model = nn.Sequential(nn.Dropout(0.5), trained)
    RobustAccuracy(model, PGD(eps=0.1)).update(held_out[0][:5], held_out[1][:5])
    assert model[0].training
    trained.eval()
    with pytest.raises(HyperparameterError, match="at least one attack"):
        RobustAccuracy(model, [])
