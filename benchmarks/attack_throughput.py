"""PGD(8) and a 16-point accuracy curve against foolbox and torchattacks: same model, same device.

Every contestant attacks the same images in batches of the same size with the same step rule
(1.85 * eps / 8, uniform random start). Rounds are interleaved and medians compared, so that a busy
machine slows everybody; one CPU thread is timed in processor seconds. foolbox and torchattacks are
called once per eps, and spared eps 0. The sweep saves what is broken already, so that its lead is
small on a robust network; the continued search and bisection save on every network.

Run: python benchmarks/attack_throughput.py --images 1000 --repeats 3 [--run runs/mnist-complex]
"""

import argparse
import json
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from mnist_networks import is_right, load_images, trained_network
from torch import Tensor, nn

from steadygrad.attacks import PGD
from steadygrad.evaluation import (
    AccuracyCurve,
    accuracy_curve,
    bisected_curve,
    continued_curve,
    parse_eps_grid,
    wilson_interval,
)
from steadygrad.training import load_run_model

with warnings.catch_warnings():
    # foolbox imports from a scipy namespace that is on its way out.
    warnings.simplefilter("ignore", DeprecationWarning)
    import foolbox
    import torchattacks

GRID = parse_eps_grid("0:0.3:0.02")
SINGLE_EPS = 0.1
STEPS = 8
BATCH_SIZE = 250
OURS = "steadygrad"
NETWORKS = (
    # name of the architecture, strength of the squared-L1 penalty it is trained with
    ("yeats2021-mnist-complex", 0.0),
    ("yeats2021-mnist-complex", 0.125),
    ("yeats2021-mnist-real", 0.0),
)


Curve = Callable[[tuple[float, ...]], list[int]]
"""Radii to the number of examples that survive at each."""

Survival = Callable[[float, Tensor, Tensor], Tensor]
"""One attack of a radius on images and labels: which of them survive."""


def main() -> None:
    """Time all contestants on all networks and print ratios and accuracies."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    source, train, test = load_images(arguments.images)
    report = {
        "images": len(test[1]),
        "source": source,
        "threads": arguments.threads,
        "device": str(device),
        "batch_size": BATCH_SIZE,
        "repeats": arguments.repeats,
        "torch": torch.__version__,
        "networks": [
            _compare(title, model.to(device), test, device, arguments.repeats)
            for title, model in _networks(arguments.run, train)
        ],
    }
    print(json.dumps(report, indent=2) if arguments.json else _as_text(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--run", type=Path, action="append", help="a trained run, repeatable")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def _networks(runs: list[Path] | None, train: tuple[Tensor, Tensor]) -> list[tuple[str, nn.Module]]:
    if runs:
        return [(run.name, load_run_model(run).model) for run in runs]
    return [
        (f"{name}, penalty {strength:g}", trained_network(name, strength, *train))
        for name, strength in NETWORKS
    ]


def _compare(
    title: str, model: nn.Module, test: tuple[Tensor, Tensor], device: torch.device, repeats: int
) -> dict[str, Any]:
    images, labels = (tensor.to(device) for tensor in test)
    singles = _survivals(model)
    curves = _curves(model, images, labels)
    single_seconds: dict[str, list[float]] = {name: [] for name in singles}
    curve_seconds: dict[str, list[float]] = {name: [] for name in curves}
    survivors: dict[str, list[int]] = {}
    calls: dict[str, int] = {}
    seen = 0

    def count(_: nn.Module, inputs: tuple[Tensor], __: Tensor) -> None:
        nonlocal seen
        seen += len(inputs[0])

    model.register_forward_hook(count)
    for survival in singles.values():  # warm up
        survival(SINGLE_EPS, images[:BATCH_SIZE], labels[:BATCH_SIZE])
    for _ in range(repeats):
        for name, survival in singles.items():
            began = _now(device)
            _alone(survival, model, images, labels)((SINGLE_EPS,))
            single_seconds[name].append(_now(device) - began)
        for name, curve in curves.items():
            seen, began = 0, _now(device)
            survivors[name] = curve(GRID)
            curve_seconds[name].append(_now(device) - began)
            calls[name] = seen
    return {
        "network": title,
        "n": len(images),
        "eps": list(GRID),
        "single_seconds": {name: statistics.median(t) for name, t in single_seconds.items()},
        "curve_seconds": {name: statistics.median(t) for name, t in curve_seconds.items()},
        "model_calls_per_image": {name: n / len(images) for name, n in calls.items()},
        "survivors": survivors,
    }


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    # On one thread the processor's own time is blind to whoever else uses the machine.
    is_alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time() if is_alone else time.perf_counter()


def _curves(model: nn.Module, images: Tensor, labels: Tensor) -> dict[str, Curve]:
    def ours(curve_of: Callable[..., AccuracyCurve]) -> Curve:
        def curve(grid: tuple[float, ...]) -> list[int]:
            attack = PGD(eps=0, steps=STEPS)
            found = curve_of(model, images, labels, attack, grid, batch_size=BATCH_SIZE)
            return [point.correct for point in found.points]

        return curve

    alone = {
        name: _alone(survival, model, images, labels)
        for name, survival in _survivals(model).items()
        if name != OURS
    }
    return {
        f"{OURS}, sweep": ours(accuracy_curve),
        f"{OURS}, continued": ours(continued_curve),
        f"{OURS}, bisection": ours(bisected_curve),
    } | alone


def _survivals(model: nn.Module) -> dict[str, Survival]:
    wrapped = foolbox.models.pytorch.PyTorchModel(model, bounds=(0, 1))

    def by_steadygrad(eps: float, images: Tensor, labels: Tensor) -> Tensor:
        return is_right(model, PGD(eps=eps, steps=STEPS)(model, images, labels), labels)

    def by_torchattacks(eps: float, images: Tensor, labels: Tensor) -> Tensor:
        attack = torchattacks.PGD(model, eps=eps, alpha=1.85 * eps / STEPS, steps=STEPS)
        return is_right(model, attack(images, labels), labels)

    def by_foolbox(eps: float, images: Tensor, labels: Tensor) -> Tensor:
        attack = foolbox.attacks.LinfPGD(abs_stepsize=1.85 * eps / STEPS, steps=STEPS)
        success: Tensor = attack(wrapped, images, labels, epsilons=eps)[2]
        return ~success

    return {OURS: by_steadygrad, "foolbox": by_foolbox, "torchattacks": by_torchattacks}


def _alone(survival: Survival, model: nn.Module, images: Tensor, labels: Tensor) -> Curve:
    """Attack every example at every radius, as both libraries' users do; eps 0 costs no attack."""

    def curve(grid: tuple[float, ...]) -> list[int]:
        counts = []
        for eps in grid:
            alive = 0
            for start in range(0, len(images), BATCH_SIZE):
                batch = slice(start, start + BATCH_SIZE)
                if eps == 0:
                    survives = is_right(model, images[batch], labels[batch])
                else:
                    survives = survival(eps, images[batch], labels[batch])
                alive += int(survives.sum())
            counts.append(alive)
        return counts

    return curve


def _as_text(report: dict[str, Any]) -> str:
    lines = [
        f"{report['images']} images of {report['source']}, {report['device']}, "
        f"{report['threads']} threads, batches of {BATCH_SIZE}, median of {report['repeats']}"
    ]
    for found in report["networks"]:
        n, names = found["n"], list(found["survivors"])
        lines += ["", found["network"], f"  PGD({STEPS}) at eps {SINGLE_EPS:g}:"]
        lines += _time_lines(found["single_seconds"], [OURS])
        lines += [f"  curve of {len(found['eps'])} points:"]
        lines += _time_lines(found["curve_seconds"], names[:3])
        lines += ["  model calls an image:"]
        lines += [f"    {name:24} {n:8.1f}" for name, n in found["model_calls_per_image"].items()]
        lines += ["  accuracy in percent, with 95 % intervals:"]
        lines += ["   eps  " + "".join(f"{name:>24}" for name in names)]
        for index, eps in enumerate(found["eps"]):
            cells = [_cell(found["survivors"][name][index], n) for name in names]
            lines.append(f"  {eps:5.2f} " + "".join(f"{cell:>24}" for cell in cells))
    return "\n".join(lines)


def _time_lines(seconds: dict[str, float], ours: list[str]) -> list[str]:
    lines = []
    for name, taken in seconds.items():
        ratios = "".join(f", {taken / seconds[own]:.2f}x {own}" for own in ours if name not in ours)
        lines.append(f"    {name:24} {taken:8.2f} s{ratios}")
    return lines


def _cell(survivors: int, n: int) -> str:
    lower, upper = wilson_interval(survivors, n)
    return f"{100 * survivors / n:.1f} ({100 * lower:.1f}-{100 * upper:.1f})"


if __name__ == "__main__":
    main()
