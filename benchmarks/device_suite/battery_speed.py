"""Images a second of the audit's standard battery, attack by attack."""

import time
from collections.abc import Iterator
from functools import partial

import torch
from torch import Tensor, nn

from device_suite.record import Measurement, Values, sentence
from device_suite.timing import synchronise
from steadygrad.attacks import FGSM
from steadygrad.evaluation.auditing.battery import Budget, build_battery
from steadygrad.models import build_model

__all__ = ["battery_measurements"]

EPS = {
    "yeats2021-mnist-real": 0.2,
    "yeats2021-mnist-complex": 0.2,
    "roth2018-cifar10-gelu": 8 / 255,
}


class _Unbreakable(nn.Module):
    """A network that always answers class 0, with gradients of its own.

    An attack stops with an image that it has broken, so that a weak network would look fast: here
    every image survives, the dearest case.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.network(images).tanh()
        return torch.cat((logits[:, :1] + 10, logits[:, 1:]), dim=1)


def battery_measurements(device: torch.device, *, is_tiny: bool) -> Iterator[Measurement]:
    """Yield the battery on one network each."""
    for name in EPS:
        yield Measurement(
            f"battery/{name}",
            5.0 if is_tiny else 45.0,
            partial(measure_battery, name, device, is_tiny),
        )


def measure_battery(name: str, device: torch.device, is_tiny: bool) -> Values:
    """Run every attack of the standard battery that is installed; all images survive all of them.

    Attacks that the audit runs on few images alone count with that many. ``images_per_second`` is
    of the whole battery.
    """
    torch.manual_seed(0)
    network = build_model(name)
    model = _Unbreakable(network).to(device).eval()
    shape = (3, 32, 32) if "cifar10" in name else (1, 28, 28)
    count = 2 if is_tiny else 500
    images = torch.rand(count, *shape, device=device)
    labels = torch.zeros(count, dtype=torch.int64, device=device)
    budget: Budget = "quick" if is_tiny else "standard"
    battery = build_battery(budget, eps=EPS[name], norm="linf", classes=10, sources={})
    FGSM(eps=EPS[name])(model, images, labels)  # libraries load and choose their kernels
    attacks: dict[str, Values] = {}
    seconds = 0.0
    for entry in battery.entries:
        share = min(count, entry.limit or count)
        if is_tiny and entry.family == "query":
            continue
        synchronise(device)
        began = time.perf_counter()
        try:
            entry.attack(
                model,
                images[:share],
                labels[:share],
                generator=torch.Generator().manual_seed(0),
            )
            synchronise(device)
        except Exception as error:  # an attack of another library may not know the device
            attacks[entry.name] = {"error": sentence(error)}
            continue
        took = time.perf_counter() - began
        seconds += took
        attacks[entry.name] = {"images": share, "seconds": round(took, 4)}
    return {
        "images": count,
        "attacks": attacks,
        "images_per_second": round(count / seconds, 3),
        "untested": list(battery.untested),
    }
