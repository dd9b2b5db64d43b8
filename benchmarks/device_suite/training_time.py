"""Seconds to train the MNIST networks of Yeats et al. with the penalty, eagerly and as a graph."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import SGD

from device_suite.record import Measurement, Values
from device_suite.timing import synchronise
from steadygrad.models import build_model
from steadygrad.penalties import CapturedGradient, SquaredNormPenalty
from steadygrad.pending_checks import settle_checks

__all__ = ["Digits", "pack_digits", "training_measurements"]

Step: TypeAlias = Callable[[Tensor, Tensor], None]
"""One optimizer step on (images, labels)."""

EPOCHS, DROP_AT, DROP_FACTOR = 15, 10, 0.2
BATCH_SIZE, RATE, MOMENTUM, WEIGHT_DECAY = 64, 0.005, 0.875, 1e-4
STRENGTH, LONGEST_GRADIENT = 512 / 64**2, 10.0
"""The paper's recipe at beta = 512 in half its epochs; the clipping is ours."""

Kind: TypeAlias = Literal["recorded gradient", "eager"]
KINDS: tuple[Kind, ...] = get_args(Kind)

GOAL_SECONDS, GOAL_ACCURACY = 30.0, 0.99


@dataclass(frozen=True)
class Digits:
    """MNIST, or made-up images of its shape: uint8 (n, 1, 28, 28), int64 (n,)."""

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    is_real: bool

    @classmethod
    def load(cls, path: Path | None, device: torch.device, *, is_tiny: bool) -> "Digits":
        """Return the digits in a file that ``pack_digits`` wrote, or made-up ones without a file.

        Raises:
            OSError: if the file cannot be read.
            KeyError: if it holds something else.
        """
        if path is not None:
            with np.load(path, allow_pickle=False) as arrays:
                tensors = {name: torch.from_numpy(arrays[name]).to(device) for name in _ARRAYS}
            return cls(is_real=True, **tensors)
        sizes = (256, 64) if is_tiny else (60_000, 10_000)
        generator = torch.Generator().manual_seed(0)
        made = {}
        for split, size in zip(("train", "test"), sizes, strict=True):
            pixels = torch.randint(256, (size, 1, 28, 28), generator=generator, dtype=torch.uint8)
            made[f"{split}_images"] = pixels.to(device)
            made[f"{split}_labels"] = torch.randint(10, (size,), generator=generator).to(device)
        return cls(is_real=False, **made)


_ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")


def pack_digits(data_dir: Path, target: Path) -> None:
    """Write MNIST from its data folder into one small file that can travel with the repository."""
    from steadygrad.datasets import load_dataset  # reads parquet, which the GPU need not know

    arrays = {}
    for split in ("train", "test"):
        dataset = load_dataset("mnist", split, data_dir=data_dir)
        pixels = torch.cat(
            [dataset.images(slice(i, i + 1000)) for i in range(0, len(dataset), 1000)]
        )
        arrays[f"{split}_images"] = (255 * pixels).round().to(torch.uint8).numpy()
        arrays[f"{split}_labels"] = dataset.labels.numpy()
    np.savez_compressed(target, **arrays)  # type: ignore[arg-type] # its stub takes no mapping


def training_measurements(
    device: torch.device, data: Path | None, *, is_tiny: bool
) -> Iterator[Measurement]:
    """Yield the trainings; a CUDA graph needs CUDA."""
    for network in ("complex", "real"):
        for kind in KINDS if device.type == "cuda" else ("eager",):
            expected = 3.0 if is_tiny else (120.0 if kind == "eager" else 60.0)
            if data is None:  # three epochs tell the time of fifteen
                expected /= 4
            yield Measurement(
                f"training/mnist-{network}/{kind}",
                expected,
                partial(measure_training, network, data, device, kind, is_tiny),
            )


def measure_training(
    network: str, data: Path | None, device: torch.device, kind: Kind, is_tiny: bool
) -> Values:
    """Train and return seconds an epoch, and the clean accuracy where the images are real.

    The last, smaller batch of an epoch is left out. On made-up images two or three epochs are
    trained, the first of which is not counted, and all fifteen are reckoned from the others.
    """
    digits = Digits.load(data, device, is_tiny=is_tiny)
    torch.manual_seed(0)
    model = build_model(f"yeats2021-mnist-{network}").to(device)
    optimizer = SGD(
        model.parameters(), lr=RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    epochs = EPOCHS if digits.is_real else (2 if kind == "eager" else 3)
    synchronise(device)
    began = time.perf_counter()
    step = (_eager_step if kind == "eager" else _recorded_step)(model, optimizer)
    synchronise(device)
    preparing = time.perf_counter() - began
    seconds = []
    for epoch in range(1, epochs + 1):
        began = time.perf_counter()
        if epoch == DROP_AT + 1:
            for group in optimizer.param_groups:
                group["lr"] *= DROP_FACTOR
        for images, labels in _batches(digits, epoch):
            step(images, labels)
        synchronise(device)
        seconds.append(time.perf_counter() - began)
    settle_checks()
    middle = sorted(seconds[1:])[len(seconds[1:]) // 2]
    values: Values = {
        "is_real": digits.is_real,
        "epochs": epochs,
        "seconds_an_epoch": round(middle, 4),
        "milliseconds_a_step": round(1e3 * middle / (len(digits.train_labels) // BATCH_SIZE), 4),
        "seconds_for_15_epochs": round(preparing + _whole_run(seconds), 2),
        "preparing_seconds": round(preparing, 2),
        "is_finite": all(bool(p.isfinite().all()) for p in model.parameters()),
    }
    if digits.is_real:
        values["clean_accuracy"] = _accuracy(model, digits)
    return values


def _whole_run(seconds: list[float]) -> float:
    if len(seconds) == EPOCHS:
        return math.fsum(seconds)
    return seconds[0] + (EPOCHS - 1) * math.fsum(seconds[1:]) / len(seconds[1:])


def _recorded_step(model: nn.Module, optimizer: SGD) -> Step:
    """Return a step whose gradient alone is recorded, as ``steadygrad train --cuda-graph`` does."""
    gradient = CapturedGradient(model, SquaredNormPenalty(strength=STRENGTH))

    def step(images: Tensor, labels: Tensor) -> None:
        gradient(images, labels)
        clip_grad_norm_(model.parameters(), LONGEST_GRADIENT)
        optimizer.step()

    return step


def _eager_step(model: nn.Module, optimizer: SGD) -> Step:
    penalty = SquaredNormPenalty(strength=STRENGTH)

    def step(images: Tensor, labels: Tensor) -> None:
        optimizer.zero_grad()
        penalty(model, images, labels).loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        clip_grad_norm_(model.parameters(), LONGEST_GRADIENT)
        optimizer.step()

    return step


def _batches(digits: Digits, epoch: int) -> Iterator[tuple[Tensor, Tensor]]:
    generator = torch.Generator().manual_seed(epoch)
    order = torch.randperm(len(digits.train_labels), generator=generator)
    order = order.to(digits.train_images.device)
    for rows in torch.split(order, BATCH_SIZE):
        if len(rows) == BATCH_SIZE:
            yield digits.train_images[rows].float() / 255, digits.train_labels[rows]


@torch.no_grad()
def _accuracy(model: nn.Module, digits: Digits) -> float:
    model.eval()
    correct = 0
    for rows in torch.split(torch.arange(len(digits.test_labels)), 1000):
        logits = model(digits.test_images[rows].float() / 255)
        correct += int((logits.argmax(dim=1) == digits.test_labels[rows]).sum())
    return correct / len(digits.test_labels)
