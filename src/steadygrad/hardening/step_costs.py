"""What a training step of a network costs: plain, penalised, and under an attack."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from steadygrad.attacks import PGD
from steadygrad.error_text import reason
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.held_statistics import held_statistics
from steadygrad.penalties import NormPenalty, example_losses
from steadygrad.penalties.model_passes import explained
from steadygrad.training.tuning import hold_batch_norms

__all__ = ["EPS", "StepCost", "step_costs"]

EPS = 4 / 255
"""Of the penalty and the attack that are tried."""


@dataclass(frozen=True)
class StepCost:
    """A training step without its optimizer.

    Attributes:
        kind: "plain", "penalised" or "PGD(3) training".
        seconds: the fastest of the repetitions.
        relative: to the plain step.
        peak_bytes: of the accelerator's memory; None on the CPU.
        refused: why there is no such step; empty where there is one.
    """

    kind: str
    seconds: float | None
    relative: float | None
    peak_bytes: int | None
    refused: str = ""


def step_costs(
    model: nn.Module, images: Tensor, labels: Tensor, *, repetitions: int = 2
) -> tuple[StepCost, ...]:
    """Return what a plain, a penalised and a PGD(3) training step cost, forward and backward.

    As ``harden`` takes them: batch norms hold their running statistics.

    Args:
        model: left with its weights and mode, without gradients.
        images: a batch, on the model's device.
        labels: int64.
        repetitions: at least 1; the fastest counts, after one that does not.
    """
    penalty = NormPenalty(eps=EPS)
    attack = PGD(eps=EPS, steps=3)

    def plain() -> Tensor:
        return example_losses(model, images, labels)[0].mean()

    def penalised() -> Tensor:
        return penalty(model, images, labels).loss

    def adversarial() -> Tensor:
        with evaluation_mode(model):
            attacked = attack(model, images, labels)
        return example_losses(model, attacked, labels)[0].mean()

    steps = {"plain": plain, "penalised": penalised, "PGD(3) training": adversarial}
    modes = {name: module.training for name, module in model.named_modules()}
    costs: list[StepCost] = []
    try:
        hold_batch_norms(model.train())
        with held_statistics(model):
            for kind, step in steps.items():
                costs.append(_timed(kind, step, model, images.device, repetitions, costs))
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
        model.zero_grad(set_to_none=True)
    return tuple(costs)


def _timed(
    kind: str,
    step: Callable[[], Tensor],
    model: nn.Module,
    device: torch.device,
    repetitions: int,
    before: list[StepCost],
) -> StepCost:
    is_cuda = device.type == "cuda"
    best, peak = float("inf"), None
    try:
        for repetition in range(repetitions + 1):
            model.zero_grad(set_to_none=True)
            if is_cuda:
                torch.cuda.synchronize(device)
                torch.cuda.reset_peak_memory_stats(device)
            began = time.perf_counter()
            with explained():
                step().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            if is_cuda:
                torch.cuda.synchronize(device)
                peak = torch.cuda.max_memory_allocated(device)
            if repetition:
                best = min(best, time.perf_counter() - began)
    except Exception as error:  # whatever someone's network raises
        return StepCost(kind, None, None, None, reason(error))
    plain = before[0].seconds if before else best
    return StepCost(kind, best, best / plain if plain else None, peak)
