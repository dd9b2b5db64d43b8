"""One run of an attack that minimizes, against an attack a radius."""

import importlib.util

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import APGD, DDN, FMN, PGD
from steadygrad.attacks.ball import Norm
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation import accuracy_curve, distance_curve

Data = tuple[Tensor, Tensor]

needs_foolbox = pytest.mark.skipif(
    importlib.util.find_spec("foolbox") is None, reason="foolbox is not installed"
)


@needs_foolbox
@pytest.mark.parametrize(
    ("name", "norm", "radii"),
    [("fmn", "linf", (0.0, 0.05, 0.08, 0.12)), ("ddn", "l2", (0.0, 0.3, 0.5, 0.7))],
)
def test_one_run_of_a_minimizing_attack_gives_the_curve_of_apgd(
    trained: nn.Module, held_out: Data, name: str, norm: Norm, radii: tuple[float, ...]
) -> None:
    images, labels = (tensor[:60] for tensor in held_out)
    attack = FMN(eps=1.0) if name == "fmn" else DDN(eps=1.0)
    told: list[tuple[int, int]] = []
    curve = distance_curve(
        trained,
        images,
        labels,
        attack,
        radii,
        batch_size=25,
        progress=lambda done, total: told.append((done, total)),
    )
    strong = accuracy_curve(trained, images, labels, APGD(eps=1.0, norm=norm, loss="margin"), radii)
    assert curve.search == "distance" and told[-1] == (60, 60)
    assert curve.points[0] == strong.points[0]
    assert 5 < strong.points[2].correct < 55
    for found, expected in zip(curve.points, strong.points, strict=True):
        assert abs(found.correct - expected.correct) <= 3
    again = distance_curve(trained, images, labels, attack, [0.06], batch_size=25)
    assert torch.equal(again.broken_at, curve.broken_at)


def test_distances_need_an_attack_that_minimizes() -> None:
    images, labels = torch.full((2, 1, 4, 4), 0.5), torch.zeros(2, dtype=torch.int64)
    with pytest.raises(HyperparameterError, match=r"fmn, ddn, .* from distances, got pgd"):
        distance_curve(nn.Flatten(), images, labels, PGD(eps=0.1), [0.1])
