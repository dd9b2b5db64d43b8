"""Default dtypes and devices of the user's decide nothing, and stay as they are."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from steadygrad.attacks import PGD, AutoAttack
from steadygrad.default_tensors import DefaultTensors
from steadygrad.evaluation import accuracy_curve, audit
from steadygrad.evaluation.auditing import check_fitness
from steadygrad.training import TrainingConfig, load_run_model, train

IMAGES = torch.rand(8, 1, 8, 8, generator=torch.Generator().manual_seed(0))


class ScalesByADefault(nn.Module):
    """A network that makes a tensor of the default dtype, which is the user's affair."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        self.seen: set[torch.dtype] = set()

    def forward(self, images: Tensor) -> Tensor:
        self.seen.add(torch.get_default_dtype())
        logits: Tensor = self.net(images)
        return logits


def _train(folder: Path) -> None:
    settings = TrainingConfig(data="digits", model="digits-gelu", epochs=1, limit_train=64)
    train(settings, folder / "run")
    load_run_model(folder / "run")


CALLS: dict[str, Callable[[nn.Module, Tensor, Path], object]] = {
    "accuracy_curve": lambda model, labels, _: accuracy_curve(
        model, IMAGES, labels, PGD(eps=0.1), eps_values=(0, 0.1)
    ),
    "check_fitness": lambda model, labels, _: check_fitness(model, IMAGES, labels),
    "audit": lambda model, labels, _: audit(
        model, IMAGES, labels, eps=0.1, budget=None, attacks=["pgd:steps=2"]
    ),
    "AutoAttack": lambda model, labels, _: AutoAttack(eps=0.1, attacks=("apgd-ce",))(
        model, IMAGES, labels
    ),
    "train": lambda model, labels, folder: _train(folder),
}


@pytest.fixture(params=["float64", "meta"])
def defaults(request: pytest.FixtureRequest) -> Iterator[DefaultTensors]:
    is_float64 = request.param == "float64"
    chosen = DefaultTensors(
        torch.float64 if is_float64 else torch.float32,
        torch.device("cpu" if is_float64 else "meta"),
    )
    yield chosen


@pytest.mark.parametrize("name", CALLS)
def test_every_call_works_whatever_the_defaults_are(
    name: str, defaults: DefaultTensors, tmp_path: Path
) -> None:
    model = ScalesByADefault().eval()
    labels = model(IMAGES).argmax(dim=1)
    model.seen.clear()
    with defaults.lent():
        CALLS[name](model, labels, tmp_path)
        assert DefaultTensors.now() == defaults
    assert model.seen <= {defaults.dtype}
