"""Two laws of every public call: the caller's things stay as they were, text stays text."""

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from made_up_audit import made_up_audit
from steadygrad.attacks import FGSM, PGD, AutoAttack, DeepFool
from steadygrad.default_tensors import DefaultTensors
from steadygrad.evaluation import (
    RobustAccuracy,
    accuracy,
    accuracy_curve,
    audit,
    bisected_curve,
    craft_adversarial_examples,
    deepfool_margins,
    predictions,
    transfer_matrix,
)
from steadygrad.evaluation.auditing import check_fitness
from steadygrad.evaluation.masking import Subject, diagnose

N = 12
Call = Callable[[nn.Module, Tensor, Tensor, Path], object]


class Network(nn.Module):
    """Batch norm and dropout, one part frozen, another asleep, a gradient and hooks left by."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.5), nn.Linear(144, 10))
        self.features[0].bias.requires_grad_(False)
        self.features[1].eval()
        self.head[2].bias.grad = torch.ones(10)
        self.calls = 0
        self.head[2].register_forward_hook(self._count)

    def _count(self, *_: Any) -> None:
        self.calls += 1

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.head(self.features(images))
        return logits


def _diagnose(model: nn.Module, images: Tensor, labels: Tensor, _: Path) -> object:
    right = torch.ones(len(images), dtype=torch.bool)
    subject = Subject(
        model=model, images=images, labels=labels, clean_correct=right, eps=0.1, examples=4
    )
    return diagnose(subject)


CALLS: dict[str, Call] = {
    "accuracy": lambda m, x, y, _: accuracy(m, x, y),
    "predictions": lambda m, x, y, _: predictions(m, x),
    "accuracy_curve": lambda m, x, y, _: accuracy_curve(m, x, y, PGD(eps=0, steps=2), (0, 0.1)),
    "bisected_curve": lambda m, x, y, _: bisected_curve(m, x, y, FGSM(eps=0), (0, 0.1)),
    "check_fitness": lambda m, x, y, _: check_fitness(m, x, y),
    "audit": lambda m, x, y, out: audit(
        m,
        x,
        y,
        eps=0.1,
        budget=None,
        attacks=[
            "random-noise",
            PGD(eps=0.1, steps=2),
            AutoAttack(eps=0.1, attacks=("apgd-ce",)),
        ],
        sources=[m],
        diagnostics=False,
        out=out,
    ),
    "diagnose": _diagnose,
    "RobustAccuracy": lambda m, x, y, _: RobustAccuracy(m, FGSM(eps=0.1)).update(x, y),
    "transfer_matrix": lambda m, x, y, _: transfer_matrix({"a": m}, x, y, FGSM(eps=0.1)),
    "deepfool_margins": lambda m, x, y, _: deepfool_margins(m, x, DeepFool(steps=2)),
    "craft_adversarial_examples": lambda m, x, y, _: craft_adversarial_examples(
        m, x, y, FGSM(eps=0.1), source="net"
    ),
}


def state_of(model: Network, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return everything that a call could change, as values that compare."""
    return {
        "images": (images.tolist(), images.requires_grad, images.grad, images._version),
        "labels": (labels.tolist(), labels._version),
        "weights": {name: value.tolist() for name, value in model.state_dict().items()},
        "modes": {name: module.training for name, module in model.named_modules()},
        "requires": {name: p.requires_grad for name, p in model.named_parameters()},
        "gradients": {
            name: None if p.grad is None else p.grad.tolist()
            for name, p in model.named_parameters()
        },
        "hooks": {
            name: (
                len(each._forward_hooks),
                len(each._forward_pre_hooks),
                len(each._backward_hooks),
            )
            for name, each in model.named_modules()
        },
        "torch": torch.get_rng_state().tolist(),
        "numpy": str(np.random.get_state()),
        "python": random.getstate(),
        "defaults": DefaultTensors.now(),
        "grad mode": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "determinism": torch.are_deterministic_algorithms_enabled(),
    }


@pytest.mark.parametrize("name", CALLS)
def test_a_call_leaves_the_callers_things_as_they_were(name: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = Network()
    images = torch.rand(N, 1, 8, 8)
    labels = torch.arange(N) % 10
    with torch.no_grad():
        model.eval()
        labels = model(images).argmax(dim=1)
        model.train()
        model.features[1].eval()
    torch.manual_seed(5)
    before = state_of(model, images, labels)
    CALLS[name](model, images, labels, tmp_path / "out")
    after = state_of(model, images, labels)
    for what, value in before.items():
        assert after[what] == value, what


HOSTILE = "[bold]a[/] [/red] <b>&amp;</b> \\[x] {y} %s"


def test_text_that_a_user_supplies_is_printed_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    result = made_up_audit(model={"name": HOSTILE})
    outcome = replace(result.outcomes[0], name=HOSTILE)
    result = made_up_audit(model={"name": HOSTILE}, outcomes=(outcome, *result.outcomes[1:]))
    result.show()
    assert HOSTILE in capsys.readouterr().out
    html = result._repr_html_()
    assert "<b>" not in html and "[bold]a[/] [/red] &lt;b&gt;&amp;amp;&lt;/b&gt;" in html
    assert result.plot() is not None
