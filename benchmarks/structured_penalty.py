"""What a covariance costs in a training step: SGR over GN, stationary against dense.

One penalised step (forward, double backpropagation, backward; no optimizer) on random images: the
CIFAR-10 network of Roth et al., Table 3, at 3x32x32, and a residual network of 18 layers at
3x224x224. GN is the squared-norm penalty, SGR the structured one; "learning" updates a running
covariance from every batch's gradients. All contestants take turns; the ratios are those of median
processor seconds. The memory is what building the covariance and measuring one batch of gradients
in it adds to a process at its peak, network and images aside (Linux only). A dense covariance is
measured at 3x32x32; at 3x224x224 its size is only computed, since no machine here could hold it.

Run: python benchmarks/structured_penalty.py [--threads 1] [--repeats 5] [--json results.json]
"""

import argparse
import json
import math
import platform
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gradient_step import GradientStep, gradient_step
from interleaved import Timing, measure_in_turn
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from steadygrad.covariance import (
    Covariance,
    DenseCovariance,
    ExponentialCovariance,
    ImageShape,
    RunningCovariance,
    estimate_covariance,
)
from steadygrad.models import build_model
from steadygrad.penalties import PenalizedLoss, SquaredNormPenalty
from steadygrad.penalties.perturbation_source import SourceName
from steadygrad.penalties.structured import CovarianceNorm, StructuredPenalty

STRENGTH = 0.0025
GOAL = 1.15
"""What a step with the stationary operator is to cost at most, in units of the GN step."""

GN = "GN"
STATIONARY = "SGR, stationary"
LEARNING = "SGR, stationary, learning"
EXPONENTIAL = "SGR, exponential"
DENSE = "SGR, dense"
DENSE_LEARNING = "SGR, dense, learning"

SIZES = {"3x32x32": (32, (3, 32, 32)), "3x224x224": (4, (3, 224, 224))}
"""Batch size and image shape."""

CONTESTANTS = {
    "3x32x32": (GN, STATIONARY, LEARNING, EXPONENTIAL, DENSE, DENSE_LEARNING),
    "3x224x224": (GN, STATIONARY, LEARNING, EXPONENTIAL),
}

STATUS = Path("/proc/self/status")


def main() -> None:
    """Measure both image sizes and print one table each."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    if arguments.peak_memory_of:
        print(_measure_memory(*arguments.peak_memory_of))
        return
    report: dict[str, Any] = {
        "torch": torch.__version__,
        "processor": platform.processor() or platform.machine(),
        "threads": arguments.threads,
        "repeats": arguments.repeats,
        "goal": GOAL,
        "sizes": {},
        "dense_matrix_bytes": {},
    }
    for size in arguments.sizes:
        steps = {name: _step(size, name) for name in CONTESTANTS[size]}
        timings = measure_in_turn(steps, arguments.repeats, warm_up=1)
        memory = {name: _peak_memory(size, name) for name in timings}
        Console().print(_table(size, timings, memory))
        Console().print(_against_dense(size, timings, memory), highlight=False)
        report["sizes"][size] = {
            name: {
                "processor_seconds": timing.processor_seconds,
                "wall_seconds": timing.wall_seconds,
                "spread": timing.spread,
                "over_gn": timing.processor_seconds / timings[GN].processor_seconds,
                "covariance_peak_bytes": memory[name],
            }
            for name, timing in timings.items()
        }
        report["dense_matrix_bytes"][size] = _dense_bytes(size)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def _step(size: str, name: str) -> GradientStep:
    """Return one penalised step of that contestant, every contestant with the same weights."""
    batch_size, shape = SIZES[size]
    torch.manual_seed(0)
    images, labels = torch.rand(batch_size, *shape), torch.randint(10, (batch_size,))
    model = build_model("roth2018-cifar10-relu") if size == "3x32x32" else _residual_network()
    penalty = _penalty(shape, name)

    return gradient_step(model, lambda: penalty(model, images, labels).loss)


def _penalty(shape: ImageShape, name: str) -> Callable[[nn.Module, Tensor, Tensor], PenalizedLoss]:
    if name == GN:
        return SquaredNormPenalty(strength=STRENGTH, norm="l2")
    covariance = _covariance(shape, name)
    source: SourceName | None = "gradient" if isinstance(covariance, RunningCovariance) else None
    return StructuredPenalty(strength=STRENGTH, covariance=covariance, source=source)


def _covariance(shape: ImageShape, name: str) -> Covariance:
    if name in (LEARNING, DENSE_LEARNING):
        return RunningCovariance("stationary" if name == LEARNING else "dense")
    if name == STATIONARY:
        noise = torch.randn(2, *shape)
        return estimate_covariance(noise + noise.roll(1, -1) + noise.roll(1, 1))
    exponential = ExponentialCovariance(shape, decay_length=8.0)
    if name == EXPONENTIAL:
        return exponential
    return DenseCovariance(exponential.dense(torch.float32), shape, verify=False)


class _ResidualBlock(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inputs, outputs, 3, stride, padding=1)
        self.second = nn.Conv2d(outputs, outputs, 3, padding=1)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if stride > 1 else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x).relu())
        return torch.relu(self.shortcut(x) + y)


def _residual_network() -> nn.Module:
    """Return the layout of ResNet-18 without batch norm: 1.8 billion products an image."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 7, 2, padding=3), nn.ReLU(), nn.MaxPool2d(2)]
    inputs = 64
    for outputs in (64, 128, 256, 512):
        layers.append(_ResidualBlock(inputs, outputs, 1 if outputs == inputs else 2))
        layers.append(_ResidualBlock(outputs, outputs, 1))
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 10))


def _peak_memory(size: str, name: str) -> int | None:
    """Return the bytes that a covariance needs at its peak, measured in a process of its own."""
    if name == GN or not STATUS.exists():
        return None
    command = [sys.executable, __file__, "--peak-memory-of", size, name]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout)


def _measure_memory(size: str, name: str) -> int:
    batch_size, shape = SIZES[size]
    gradients = torch.rand(batch_size, *shape)
    # A first transform and a first product load their libraries, which is not the covariance's.
    small = ExponentialCovariance((1, 4, 4), 1.0)
    CovarianceNorm(small).squared(gradients[:, :1, :4, :4])
    before = _status("VmRSS")
    covariance = _covariance(shape, name)
    if isinstance(covariance, RunningCovariance):
        covariance.update(gradients)
    CovarianceNorm(covariance).squared(gradients)
    return _status("VmHWM") - before


def _status(key: str) -> int:
    # Not resource.getrusage: its peak is inherited from the process that started this one.
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith(key)]
    return 1024 * int(line.split()[1])


def _table(size: str, timings: dict[str, Timing], memory: dict[str, int | None]) -> Table:
    batch_size = SIZES[size][0]
    table = Table(
        title=f"{size}: a penalised step at batch {batch_size}; ratio = this / {GN}, goal {GOAL}"
    )
    table.add_column("step", no_wrap=True)
    for heading in ("CPU ms", "wall ms", "spread", "ratio", "goal", "peak MB"):
        table.add_column(heading, justify="right")
    for name, timing in timings.items():
        ratio = timing.processor_seconds / timings[GN].processor_seconds
        peak = memory[name]
        has_goal = name in (STATIONARY, LEARNING)
        verdict = ("met" if ratio <= GOAL else "missed") if has_goal else ""
        table.add_row(
            name,
            f"{1000 * timing.processor_seconds:.0f}",
            f"{1000 * timing.wall_seconds:.0f}",
            f"{100 * timing.spread:.0f} %",
            f"{ratio:.3f}",
            verdict,
            "" if peak is None else f"{peak / 1e6:.0f}",
        )
    return table


def _dense_bytes(size: str) -> int:
    """Return what a dense covariance takes in float32, the matrix alone."""
    return 4 * math.prod(SIZES[size][1]) ** 2


def _against_dense(size: str, timings: dict[str, Timing], memory: dict[str, int | None]) -> str:
    """Return in words what the stationary operator saves against the dense one."""
    matrix = f"the matrix of a dense covariance takes {_dense_bytes(size) / 1e9:.3g} GB in float32"
    if DENSE not in timings:
        return f"{size}: {matrix}; left out"
    parts = [matrix]
    for ours, theirs in ((STATIONARY, DENSE), (LEARNING, DENSE_LEARNING)):
        time = timings[theirs].processor_seconds / timings[ours].processor_seconds
        said = f"{theirs} / {ours}: {time:.2f} times the processor time"
        own, dense = memory[ours], memory[theirs]
        if own and dense:
            said += f", {dense / own:.0f} times the peak memory"
        parts.append(said)
    return "\n".join(parts)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=tuple(SIZES))
    parser.add_argument("--json", type=Path, help="where to write the numbers")
    parser.add_argument("--peak-memory-of", nargs=2, help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
