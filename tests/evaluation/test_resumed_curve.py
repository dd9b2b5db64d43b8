"""A killed measurement goes on at its last batch, to the same curve."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import PGD
from steadygrad.evaluation import AccuracyCurve, accuracy_curve
from steadygrad.store import Growing, Store

IMAGES = torch.rand(10, 1, 4, 4, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(10) % 3
EPS_VALUES = (0.0, 0.1, 0.2)


class KilledError(Exception):
    """What ends the first try."""


class Mortal(nn.Module):
    """Counts the images it was asked about, and fails when its time is up."""

    def __init__(self, lives: float = float("inf")) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(16, 3))
        self.lives, self.asked = lives, 0

    def forward(self, x: Tensor) -> Tensor:
        if self.asked >= self.lives:
            raise KilledError
        self.asked += len(x)
        return self.body(x)


def curve(model: nn.Module, outcomes: Growing | None, reuse_broken: bool) -> AccuracyCurve:
    return accuracy_curve(
        model,
        IMAGES,
        LABELS,
        PGD(eps=0.0, steps=3),
        EPS_VALUES,
        batch_size=4,
        reuse_broken=reuse_broken,
        outcomes=outcomes,
    )


@pytest.mark.parametrize("reuse_broken", [False, True])
def test_a_killed_curve_goes_on_to_the_same_points(tmp_path: Path, reuse_broken: bool) -> None:
    whole = Mortal()
    expected = curve(whole, None, reuse_broken)
    with pytest.raises(KilledError):
        curve(Mortal(whole.asked * 2 // 3), Store(tmp_path).growing({"a": 1}), reuse_broken)
    outcomes = Store(tmp_path).growing({"a": 1})
    assert 0 < len(outcomes) < 2 * 3
    again = Mortal()
    found = curve(again, outcomes, reuse_broken)
    assert found.points == expected.points
    assert torch.equal(found.broken_at, expected.broken_at)
    assert again.asked < whole.asked
    outcomes.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_batch_of_another_size_is_attacked_anew(tmp_path: Path) -> None:
    outcomes = Store(tmp_path).growing({})
    outcomes["eps 0.1, batch 0"] = torch.ones(3, dtype=torch.bool)
    assert curve(Mortal(), outcomes, False).points == curve(Mortal(), None, False).points
