"""What a step of `steadygrad harden` costs, in time and memory, over a plain step.

Networks of timm with random weights, batches of random images, a step without its optimizer: the
loss, and the gradients of all parameters. Times are medians of processor seconds, taken in turns.
Memory is the peak of a new process during its first two steps, beyond what it held before them.

Run: python benchmarks/hardened_step.py [--models resnet18,vit_small_patch16_224] [--rounds 5]
It needs timm, and Linux for the memory: `make test-integrations` makes such an environment.
"""

import argparse
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch
from interleaved import measure_in_turn
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from steadygrad.attacks import PGD
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.models import load_classifier
from steadygrad.penalties import FiniteDifference, NormPenalty, example_losses
from steadygrad.training import FineTuning

MODELS = "resnet18,efficientnet_lite0,vit_small_patch16_224"
EPS = 2 / 255
PENALTIES = {
    "hardened": NormPenalty(eps=EPS),
    # With a step of one's own, no first batch is compared with the exact gradient.
    "hardened, finite difference": NormPenalty(eps=EPS, backend=FiniteDifference(step_size=0.01)),
}
ATTACK = PGD(eps=EPS, steps=3)
KINDS = ("plain", *PENALTIES, "PGD(3) training")


def main() -> None:
    """Measure every network and print a table."""
    arguments = _arguments()
    torch.set_num_threads(1)
    table = Table("network", "step", "CPU s", "over plain", "spread", "memory MB", "over plain")
    for name in arguments.models.split(","):
        one = partial(_steps, name, arguments.batch, arguments.side)
        timings = measure_in_turn(one(), arguments.rounds, warm_up=1)
        peaks = {kind: _peak_of_new_process(one, kind) for kind in KINDS}
        for kind in KINDS:
            timing, plain = timings[kind], timings["plain"]
            table.add_row(
                name,
                kind,
                f"{timing.processor_seconds:.2f}",
                f"{timing.processor_seconds / plain.processor_seconds:.2f}",
                f"{timing.spread:.0%}",
                f"{peaks[kind] / 1e6:.0f}",
                f"{peaks[kind] / peaks['plain']:.2f}",
            )
    Console(width=120).print(table)


def _steps(name: str, batch: int, side: int) -> dict[str, Callable[[], None]]:
    """Return a step of each kind, on one network and one batch."""
    torch.manual_seed(0)
    shape = (3, side, side)
    model = load_classifier(f"timm:{name},pretrained=false", input_shape=shape).train()
    FineTuning(batch_norm="hold").prepare(model)  # as harden does
    images, labels = torch.rand(batch, *shape), torch.randint(1000, (batch,))

    def step(loss: Callable[[nn.Module, Tensor, Tensor], Tensor]) -> None:
        model.zero_grad(set_to_none=True)
        loss(model, images, labels).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped

    losses: dict[str, Callable[[nn.Module, Tensor, Tensor], Tensor]] = {
        "plain": _plain_loss,
        "PGD(3) training": _attacked_loss,
    }
    losses |= {kind: partial(_penalised_loss, penalty) for kind, penalty in PENALTIES.items()}
    return {kind: partial(step, losses[kind]) for kind in KINDS}


def _plain_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    return example_losses(model, images, labels)[0].mean()


def _penalised_loss(
    penalty: NormPenalty, model: nn.Module, images: Tensor, labels: Tensor
) -> Tensor:
    return penalty(model, images, labels).loss


def _attacked_loss(model: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    with evaluation_mode(model):
        attacked = ATTACK(model, images, labels)
    return _plain_loss(model, attacked, labels)


def _peak_of_new_process(steps: Callable[[], dict[str, Callable[[], None]]], kind: str) -> int:
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(_peak, (steps, kind))


def _peak(steps: Callable[[], dict[str, Callable[[], None]]], kind: str) -> int:
    """Return the largest memory of this process during two steps, beyond that before, in bytes."""
    torch.set_num_threads(1)
    step = steps()[kind]
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak so far is that of the construction
    step()
    step()
    return _memory("VmHWM") - before


def _memory(key: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) * 1024
    raise SystemExit("expected Linux, whose /proc/self/status tells a process's memory")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--models", default=MODELS, help=f"names of timm (default {MODELS})")
    parser.add_argument("--batch", type=int, default=4, help="images of a step (default 4)")
    parser.add_argument("--side", type=int, default=224, help="pixels of a side (default 224)")
    parser.add_argument("--rounds", type=int, default=5, help="steps of each kind (default 5)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
