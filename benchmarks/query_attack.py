"""NES at 4,000 queries an image: images a second against loops over images or pairs, and memory.

All contestants attack the same images with the same settings (8 steps of 250 antithetic pairs):
ours, batched over images and samples; ours, leaving off at images that break; a loop over the
images, one step's 500 points at a time; and a loop over pairs, all images twice at a time, as in
the code published with Yeats et al. They take turns; ratios are those of median processor seconds
(of wall seconds on a GPU). The memory is what an attack adds to a process at its peak (on Linux),
or allocates on a GPU: it follows the batch, not the images or the queries.

Run: python benchmarks/query_attack.py [--images 20] [--repeats 3] [--run runs/mnist-complex]
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from interleaved import Timing, measure_in_turn
from mnist_networks import is_right, load_images, trained_network
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from steadygrad.attacks import NES
from steadygrad.devices import resolve_device
from steadygrad.models import build_model
from steadygrad.training import load_run_model

EPS = 0.3
STEPS = 8
PAIRS = 250
QUERIES = 2 * PAIRS * STEPS
SIGMA = 0.001
NETWORK = "yeats2021-mnist-complex"

OURS = "steadygrad"
EARLY = "steadygrad, stopping early"
IMAGE_LOOP = "loop over images"
PAIR_LOOP = "loop over pairs"

MEMORY_CASES = ((64, 8, 4000), (256, 8, 4000), (1024, 8, 4000), (256, 64, 4000), (256, 8, 16000))
"""Samples at once, images, queries an image. Two steps stand for eight: each is like the next."""

STATUS = Path("/proc/self/status")


def main() -> None:
    """Time the contestants, measure the memory, print two tables."""
    arguments = _arguments()
    torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    if arguments.peak_memory_of:
        print(_measure_memory(device, *arguments.peak_memory_of))
        return
    source, train, (images, labels) = load_images(arguments.images)
    # Training for an epoch is enough for images that hold at first.
    trained: Path | None = arguments.run
    model = (
        trained_network(NETWORK, 0.0, *train) if trained is None else load_run_model(trained).model
    )
    model = model.to(device)
    images, labels = images.to(device), labels.to(device)
    contestants = _contestants(model, images, labels, arguments.samples_per_batch)
    standing: dict[str, int] = {}

    def run(name: str) -> Callable[[], None]:
        def attack() -> None:
            adversarial = contestants[name]()
            standing[name] = int(is_right(model, adversarial, labels).sum())

        return attack

    timings = measure_in_turn({name: run(name) for name in contestants}, arguments.repeats, 0)
    memory = [] if arguments.no_memory else [_peak_memory(device, *case) for case in MEMORY_CASES]
    report = _report(source, arguments, timings, standing, memory, str(device))
    for table in _tables(report):
        Console().print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--samples-per-batch", type=int, default=NES(eps=0).samples_per_batch)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--run", type=Path, help="a trained run on 28x28 grey images")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory out")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--peak-memory-of", type=int, nargs=3, help=argparse.SUPPRESS)
    return parser.parse_args()


def _contestants(
    model: nn.Module, images: Tensor, labels: Tensor, samples_per_batch: int
) -> dict[str, Callable[[], Tensor]]:
    def ours(*, stop_early: bool) -> Callable[[], Tensor]:
        attack = NES(
            eps=EPS,
            queries=QUERIES,
            steps=STEPS,
            sigma=SIGMA,
            stop_early=stop_early,
            samples_per_batch=samples_per_batch,
        )
        return lambda: attack(model, images, labels, generator=torch.Generator().manual_seed(0))

    return {
        OURS: ours(stop_early=False),
        EARLY: ours(stop_early=True),
        IMAGE_LOOP: lambda: _loop_over_images(model, images, labels),
        PAIR_LOOP: lambda: _loop_over_pairs(model, images, labels),
    }


@torch.no_grad()
def _loop_over_images(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """One image after the other, all points of a step at a time."""
    torch.manual_seed(0)
    broken = []
    for image, label in zip(images, labels, strict=True):
        x = (image + EPS * (2 * torch.rand_like(image) - 1)).clamp(0, 1)
        for _ in range(STEPS):
            noise = torch.randn(PAIRS, *image.shape, device=image.device)
            points = torch.cat((x + SIGMA * noise, x - SIGMA * noise))
            losses = nn.functional.cross_entropy(
                model(points), label.expand(2 * PAIRS), reduction="none"
            )
            weights = losses[:PAIRS] - losses[PAIRS:]
            gradient = (weights.view(-1, 1, 1, 1) * noise).sum(dim=0)
            x = _stepped(x, gradient, image)
        broken.append(x)
    return torch.stack(broken)


@torch.no_grad()
def _loop_over_pairs(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """One pair after the other, all images at a time: a fresh pass for each of the two points."""
    torch.manual_seed(0)
    x = (images + EPS * (2 * torch.rand_like(images) - 1)).clamp(0, 1)
    for _ in range(STEPS):
        gradient = torch.zeros_like(x)
        for _ in range(PAIRS):
            noise = torch.randn_like(x)
            for sign in (1, -1):
                losses = nn.functional.cross_entropy(
                    model(x + sign * SIGMA * noise), labels, reduction="none"
                )
                gradient += sign * losses.view(-1, 1, 1, 1) * noise
        x = _stepped(x, gradient, images)
    return x


def _stepped(x: Tensor, gradient: Tensor, images: Tensor) -> Tensor:
    moved = x + 1.85 * EPS / STEPS * gradient.sign()
    return torch.clamp(moved, images - EPS, images + EPS).clamp(0, 1)


def _peak_memory(device: torch.device, *case: int) -> int | None:
    """Return the bytes that an attack needs at its peak, measured in a process of its own."""
    if device.type == "cpu" and not STATUS.exists():
        return None
    words = ("--device", str(device), "--peak-memory-of", *map(str, case))
    done = subprocess.run(
        [sys.executable, __file__, *words], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def _measure_memory(device: torch.device, samples: int, count: int, queries: int) -> int:
    torch.manual_seed(0)
    model = build_model(NETWORK).to(device).eval()
    images = torch.rand(count, 1, 28, 28, device=device)
    labels = torch.zeros(count, dtype=torch.int64, device=device)

    def attack(samples_per_batch: int, queries: int, images: Tensor, labels: Tensor) -> None:
        nes = NES(eps=EPS, queries=queries, steps=2, samples_per_batch=samples_per_batch)
        nes(model, images, labels, generator=torch.Generator().manual_seed(0))

    # A first pass loads libraries, which are not the attack's.
    attack(2, 4, images[:1], labels[:1])
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        attack(samples, queries // (STEPS // 2), images, labels)
        return torch.cuda.max_memory_allocated() - before
    before = _status("VmRSS")
    attack(samples, queries // (STEPS // 2), images, labels)
    return _status("VmHWM") - before


def _status(key: str) -> int:
    # Not resource.getrusage: its peak is inherited from the process that started this one.
    (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith(key)]
    return 1024 * int(line.split()[1])


def _report(
    source: str,
    arguments: argparse.Namespace,
    timings: dict[str, Timing],
    standing: dict[str, int],
    memory: list[int | None],
    device: str,
) -> dict[str, Any]:
    def seconds(timing: Timing) -> float:
        return timing.processor_seconds if device == "cpu" else timing.wall_seconds

    return {
        "torch": torch.__version__,
        "device": device,
        "threads": arguments.threads,
        "source": source,
        "network": str(arguments.run or NETWORK),
        "images": arguments.images,
        "queries": QUERIES,
        "eps": EPS,
        "samples_per_batch": arguments.samples_per_batch,
        "repeats": arguments.repeats,
        "contestants": {
            name: {
                "seconds": seconds(timing),
                "wall_seconds": timing.wall_seconds,
                "spread": timing.spread,
                "images_per_second": arguments.images / seconds(timing),
                "over_loop": seconds(timings[IMAGE_LOOP]) / seconds(timing),
                "standing": standing[name],
            }
            for name, timing in timings.items()
        },
        "memory": [
            {"samples_per_batch": case[0], "images": case[1], "queries": case[2], "bytes": peak}
            for case, peak in zip(MEMORY_CASES, memory, strict=False)
        ],
    }


def _tables(report: dict[str, Any]) -> list[Table]:
    speed = Table(
        title=f"NES, {report['queries']:,} queries an image, {report['images']} images of "
        f"{report['source']}, eps {report['eps']}, {report['device']}, "
        f"{report['threads']} threads, batches of {report['samples_per_batch']}; "
        f"ratio = {IMAGE_LOOP} / this"
    )
    speed.add_column("contestant", no_wrap=True)
    for heading in ("seconds", "spread", "images/s", "ratio", "still right"):
        speed.add_column(heading, justify="right", no_wrap=True)
    for name, found in report["contestants"].items():
        speed.add_row(
            name,
            f"{found['seconds']:.2f}",
            f"{100 * found['spread']:.0f} %",
            f"{found['images_per_second']:.2f}",
            f"{found['over_loop']:.2f}x",
            f"{found['standing']}/{report['images']}",
        )
    memory = Table(title="peak memory of an attack")
    for heading in ("samples at once", "images", "queries an image", "peak MB"):
        memory.add_column(heading, justify="right")
    for case in report["memory"]:
        peak = "unknown" if case["bytes"] is None else f"{case['bytes'] / 1e6:.0f}"
        memory.add_row(
            str(case["samples_per_batch"]), str(case["images"]), f"{case['queries']:,}", peak
        )
    return [speed, memory] if report["memory"] else [speed]


if __name__ == "__main__":
    main()
