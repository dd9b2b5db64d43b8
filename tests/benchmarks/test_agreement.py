"""The bodies that a GPU is checked with: complete, right on the CPU, and able to fail."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from device_suite import agreement
from device_suite.agreement import LAYERS, agreement_checks, layer_agrees
from device_suite.waiting import refusing_to_wait
from torch import Tensor, nn

from steadygrad import layers

CPU = torch.device("cpu")
CHECKS = dict(agreement_checks(CPU))
WAITING = {name for name in CHECKS if name.startswith("no waiting/")}


@pytest.mark.parametrize("check", [CHECKS[n] for n in sorted(CHECKS)])
def test_every_body_runs_on_the_cpu(check: Callable[[], dict[str, Any]]) -> None:
    assert check().get("largest_difference", 0) == 0


def test_every_layer_is_among_the_checks() -> None:
    classes = {
        name
        for name in layers.__all__
        if isinstance(thing := getattr(layers, name), type) and issubclass(thing, nn.Module)
    }
    assert classes == {name.partition(",")[0] for name in LAYERS}


def test_a_wrong_second_derivative_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def forward(self: layers.GELU, x: Tensor) -> Tensor:
        calls.append(x)
        # The same value and first derivative at the second call, another second derivative.
        extra = (x - x.detach()).square() if len(calls) > 1 else 0
        return nn.functional.gelu(x) + extra

    monkeypatch.setattr(layers.GELU, "forward", forward)
    with pytest.raises(AssertionError, match="second by images differs by"):
        layer_agrees("GELU", torch.float64, CPU)


@pytest.mark.parametrize(
    "read",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).all()),
        lambda x: x[x > 0.5],
        lambda x: x.nonzero(),
    ],
)
def test_what_would_wait_is_refused(read: Callable[[Tensor], object]) -> None:
    with (
        refusing_to_wait(CPU),
        pytest.raises(RuntimeError, match="makes the host wait for the device"),
    ):
        read(torch.rand(3))


def test_an_attack_that_ends_elsewhere_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = iter(range(10))
    plain = torch.Generator.manual_seed

    class Restless(torch.Generator):
        def manual_seed(self, _: int) -> torch.Generator:
            return plain(self, next(seeds))

    monkeypatch.setattr(agreement.torch, "Generator", Restless)
    with pytest.raises(AssertionError, match=r"random-noise ends elsewhere in .*% of the pixels"):
        agreement.attack_agrees("random-noise", CPU)
