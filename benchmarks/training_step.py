"""What one training step costs, as ratios: penalised, plain, naive, real, and trained on attacks.

The networks are those of Yeats, Chen & Li (ICML 2021), Table 1, at a batch of 64 random images: the
time of a step does not depend on what the images show. All contestants take turns; the ratios are
those of median processor seconds.

Run: python benchmarks/training_step.py [--threads 1] [--repeats 20] [--json FILE]
"""

import argparse
import json
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from gradient_step import GradientStep, gradient_step
from interleaved import Timing, measure_in_turn
from naive_layers import naive_copy
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import conv2d, cross_entropy, fold

from steadygrad.layers import ComplexConv2d, ComplexLinear
from steadygrad.models import build_model
from steadygrad.penalties import SquaredNormPenalty

BATCH_SIZE = 64
STRENGTHS = {"mnist": 512 / 64**2, "fashion-mnist": 64 / 64**2}
ATTACK_EPS = 0.1

EXACT = "complex, penalised"
FROZEN = "complex, frozen phase"
PLAIN = "complex, plain"
NAIVE = "complex, penalised, naive layers"
DIFFERENCE = "complex, finite difference"
FLOOR = "complex, penalised, products alone"
REAL = "real ReLU, penalised"
REAL_PLAIN = "real ReLU, plain"
REAL_ATTACK = "real ReLU, PGD(4) training"

# What the exact penalised step is to cost at most, in units of another contestant.
GOALS = {
    "mnist": {PLAIN: 2.5, NAIVE: 1 / 1.5, REAL: 1.1},
    "fashion-mnist": {REAL_ATTACK: 0.8},
}


def main() -> None:
    """Measure both data sets' networks and print one table each."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    report: dict[str, Any] = {
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "batch_size": BATCH_SIZE,
        "steps": {},
    }
    for dataset in STRENGTHS:
        torch.manual_seed(0)
        timings = measure_in_turn(_steps(dataset), arguments.repeats)
        Console().print(_table(dataset, timings))
        report["steps"][dataset] = {
            name: {
                "processor_seconds": timing.processor_seconds,
                "wall_seconds": timing.wall_seconds,
                "spread": timing.spread,
                "penalised_over_this": timings[EXACT].processor_seconds / timing.processor_seconds,
            }
            for name, timing in timings.items()
        }
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def _steps(dataset: str) -> dict[str, GradientStep]:
    """Return every contestant's training step, without the optimizer, which all share."""
    images = torch.rand(BATCH_SIZE, 1, 28, 28)
    labels = torch.randint(10, (BATCH_SIZE,))
    name = f"yeats2021-{dataset}"
    network = build_model(f"{name}-complex")
    frozen = build_model(f"{name}-complex", second_order="frozen_phase")
    frozen.load_state_dict(network.state_dict())
    naive, real = naive_copy(network), build_model(f"{name}-real")
    exact = SquaredNormPenalty(strength=STRENGTHS[dataset])
    difference = SquaredNormPenalty(strength=STRENGTHS[dataset], backend="finite_difference")

    def penalised(model: nn.Module, penalty: SquaredNormPenalty = exact) -> GradientStep:
        return gradient_step(model, lambda: penalty(model, images, labels).loss)

    def plain(model: nn.Module) -> GradientStep:
        return gradient_step(model, lambda: cross_entropy(model(images), labels))

    def attacked(model: nn.Module) -> GradientStep:
        return gradient_step(
            model, lambda: cross_entropy(model(_pgd(model, images, labels)), labels)
        )

    return {
        EXACT: penalised(network),
        FROZEN: penalised(frozen),
        DIFFERENCE: penalised(network, difference),
        PLAIN: plain(network),
        FLOOR: _products_alone(network, images),
        NAIVE: penalised(naive),
        REAL: penalised(real),
        REAL_PLAIN: plain(real),
        REAL_ATTACK: attacked(real),
    }


def _pgd(model: nn.Module, images: Tensor, labels: Tensor, steps: int = 4) -> Tensor:
    """Attack as training loops do: nothing but the gradients, no bookkeeping."""
    start = images + torch.empty_like(images).uniform_(-ATTACK_EPS, ATTACK_EPS)
    adversarial = start.clamp(0, 1)
    for _ in range(steps):
        adversarial.requires_grad_()
        loss = cross_entropy(model(adversarial), labels, reduction="sum")
        (gradient,) = torch.autograd.grad(loss, adversarial)
        moved = adversarial.detach() + 1.85 * ATTACK_EPS / steps * gradient.sign()
        moved = torch.maximum(torch.minimum(moved, images + ATTACK_EPS), images - ATTACK_EPS)
        adversarial = moved.clamp(0, 1)
    return adversarial


def _products_alone(network: nn.Module, images: Tensor) -> GradientStep:
    """Return the linear algebra of a penalised step: what is left if all else were free.

    Per layer: the map itself, applied to the phasors and to their motion; its transpose, applied
    to the first gradient and to the last (in the first layer only to the first); and two
    gradients of the weight.
    """
    work: list[Callable[[], object]] = []
    x = images
    for layer in network.children():
        y = layer(x).detach()
        if isinstance(layer, ComplexConv2d):
            work += _convolution_products(layer, x, y, is_first=layer.in_channels == 1)
        elif isinstance(layer, ComplexLinear | nn.Linear):
            factor = 2 if isinstance(layer, ComplexLinear) else 1
            rows = torch.rand(len(x), factor * x.shape[1])
            weight = torch.rand(factor * y.shape[1], factor * x.shape[1])
            gradient = torch.rand(len(x), len(weight))
            work += [partial(torch.mm, rows, weight.t())] * 2
            work += [partial(torch.mm, gradient, weight)] * 2
            work += [partial(torch.mm, gradient.t(), rows)] * 2
        x = y

    def run() -> None:
        for product in work:
            product()

    return run


def _convolution_products(
    layer: ComplexConv2d, x: Tensor, y: Tensor, *, is_first: bool
) -> list[Callable[[], object]]:
    u = torch.rand(len(x), 2 * x.shape[1], *x.shape[2:])
    weight = torch.rand(2 * layer.out_channels, u.shape[1], *layer.kernel_size)
    gradient = torch.rand(len(x), len(weight), *y.shape[2:])

    # The first layer's tensors are the largest: a few examples at a time, as the layer does it.
    size = 4 if is_first else len(u)

    def convolve() -> None:
        for part in torch.split(u, size):
            conv2d(part, weight, padding=layer.padding)

    def backward(*wanted: bool) -> None:
        for part, of_z in zip(torch.split(u, size), torch.split(gradient, size), strict=True):
            torch.ops.aten.convolution_backward(
                of_z, part, weight, None, (1, 1), layer.padding, (1, 1), False, (0, 0), 1, wanted
            )

    def to_few_channels() -> None:
        for of_z in torch.split(gradient, size):
            patches = torch.matmul(weight.flatten(1).t(), of_z.flatten(2))
            fold(patches, tuple(x.shape[2:]), layer.kernel_size, padding=layer.padding)

    transposed = [to_few_channels] if is_first else [partial(backward, True, False, False)] * 2
    return [convolve, convolve, *transposed, *[partial(backward, False, True, False)] * 2]


def _table(dataset: str, timings: dict[str, Timing]) -> Table:
    table = Table(title=f"{dataset}: a step at batch {BATCH_SIZE}; ratio = {EXACT} / this")
    table.add_column("step", no_wrap=True)
    for heading in ("CPU ms", "wall ms", "spread", "ratio", "goal"):
        table.add_column(heading, justify="right")
    for name, timing in timings.items():
        ratio = timings[EXACT].processor_seconds / timing.processor_seconds
        goal = GOALS[dataset].get(name)
        verdict = f"<= {goal:.2f} {'met' if ratio <= goal else 'missed'}" if goal else ""
        table.add_row(
            name,
            f"{1e3 * timing.processor_seconds:.1f}",
            f"{1e3 * timing.wall_seconds:.1f}",
            f"{timing.spread:.0%}",
            f"{ratio:.2f}",
            verdict,
        )
    return table


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="CPU threads (default 1)")
    parser.add_argument("--repeats", type=int, default=20, help="rounds (default 20)")
    parser.add_argument("--json", type=Path, help="write the numbers to this file as well")
    return parser.parse_args()


if __name__ == "__main__":
    main()
