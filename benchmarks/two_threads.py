"""Whether a second thread helps a training step: wall seconds with one and with two, in turns.

Run: python benchmarks/two_threads.py [--repeats 15], on a machine with at least two idle cores.
"""

import argparse
from collections.abc import Callable
from functools import partial

import torch
from gradient_step import gradient_step
from interleaved import measure_in_turn
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import PGD
from steadygrad.memory import keep_freed_memory
from steadygrad.models import build_model
from steadygrad.penalties import SquaredNormPenalty

__all__ = ["main"]

BATCH = 64
NETWORKS = ("mnist-complex", "mnist-real", "fashion-mnist-complex", "fashion-mnist-real")
THREADS = (1, 2)


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=15, help="rounds (default 15)")
    repeats = parser.parse_args().repeats
    keep_freed_memory()
    print("| step | 1 thread, ms | 2 threads / 1 thread | spread |\n|---|---|---|---|")
    for name in NETWORKS:
        for kind, step in _steps(f"yeats2021-{name}").items():
            contestants = {str(count): partial(_on, count, step) for count in THREADS}
            one, two = measure_in_turn(contestants, repeats).values()
            ratio, spread = two.wall_seconds / one.wall_seconds, max(one.spread, two.spread)
            print(f"| {name}, {kind} | {1e3 * one.wall_seconds:.1f} | {ratio:.2f} | {spread:.0%} |")


def _on(threads: int, step: Callable[[], None]) -> None:
    torch.set_num_threads(threads)
    step()


def _steps(name: str) -> dict[str, Callable[[], None]]:
    torch.manual_seed(0)
    model = build_model(name).train()
    images, labels = torch.rand(BATCH, 1, 28, 28), torch.randint(10, (BATCH,))
    penalty, attack = SquaredNormPenalty(strength=0.01), PGD(eps=0.1, steps=4)

    def plain(images: Tensor, network: nn.Module) -> Tensor:
        return cross_entropy(network(images), labels)

    return {
        "plain": gradient_step(model, partial(plain, images, model)),
        "penalised": gradient_step(model, lambda: penalty(model, images, labels).loss),
        "PGD(4)": gradient_step(model, lambda: plain(attack(model, images, labels), model)),
    }


if __name__ == "__main__":
    main()
