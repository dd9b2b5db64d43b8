"""APGD of our own against that of AutoAttack's authors: success, passes and seconds.

Both attack the same images with 100 steps and one restart: on the cross-entropy, on DLR, and on
targeted DLR (9 targets; theirs ordered by logits, ours by linearized distance). What counts as
broken is judged here, alike for both. Passes are images sent through the network, forward and
backward. Needs ``pip install 'steadygrad[autoattack]'``; about fifteen minutes on one slow core::

    python benchmarks/apgd_agreement.py --images 100
"""

import argparse
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from small_networks import TrainedNetwork, trained_networks
from torch import Tensor

from steadygrad.attacks import APGD, Attack, AutoAttack
from steadygrad.attacks.ball import Norm
from steadygrad.evaluation.auditing.attack_run import QueryCount


@dataclass(frozen=True, eq=False)
class Tried:
    """Which images an attack broke, bool (n,), and what it cost."""

    broken: Tensor
    passes: int
    seconds: float


def main() -> None:
    """Attack every network with every pair and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--only", nargs="*", default=[], help="parts of the networks' names")
    parser.add_argument("--norms", nargs="*", default=["linf", "l2"])
    parser.add_argument("--keep", type=Path, default=None, help="folder for trained weights")
    asked = parser.parse_args()
    print(
        "| network | norm, eps | attack | correct | broken by ours / theirs / only one | "
        "passes, ours / theirs | seconds, ours / theirs |"
    )
    print("|---|---|---|---:|---:|---:|---:|")
    for network in trained_networks(asked.images, asked.only, asked.keep):
        for norm in asked.norms:
            eps = network.about.linf if norm == "linf" else network.about.l2
            for name, (own, other) in pairs(eps, norm).items():
                print(line(network, f"{norm}, {eps:.3g}", name, own, other), flush=True)


def pairs(eps: float, norm: Norm) -> Mapping[str, tuple[Attack, Attack]]:
    """Return our attack and theirs, by name."""
    return {
        "APGD-CE": (
            APGD(eps=eps, norm=norm),
            AutoAttack(eps=eps, norm=norm, attacks=("apgd-ce",)),
        ),
        "APGD-DLR": (
            APGD(eps=eps, norm=norm, loss="dlr"),
            AutoAttack(eps=eps, norm=norm, attacks=("apgd-dlr",)),
        ),
        "APGD-T": (
            APGD(eps=eps, norm=norm, loss="dlr", target="nearest"),
            AutoAttack(eps=eps, norm=norm, attacks=("apgd-t",)),
        ),
    }


def line(network: TrainedNetwork, threat: str, name: str, own: Attack, other: Attack) -> str:
    """Return a line of the table: both attacks on the images that are correct without one."""
    with torch.no_grad():
        correct = network.model(network.images).argmax(dim=1) == network.labels
    images, labels = network.images[correct], network.labels[correct]
    ours, theirs = (tried(each, network, images, labels) for each in (own, other))
    differ = int((ours.broken != theirs.broken).sum())
    return (
        f"| {network.about.name} | {threat} | {name} | {len(labels)} | "
        f"{int(ours.broken.sum())} / {int(theirs.broken.sum())} / {differ} | "
        f"{ours.passes:,} / {theirs.passes:,} ({ours.passes / theirs.passes:.2f}) | "
        f"{ours.seconds:.1f} / {theirs.seconds:.1f} ({ours.seconds / theirs.seconds:.2f}) |"
    )


def tried(attack: Attack, network: TrainedNetwork, images: Tensor, labels: Tensor) -> Tried:
    """Return what an attack does and costs."""
    counted = QueryCount(network.model)
    began = time.process_time()
    found = attack(counted, images, labels, generator=torch.Generator().manual_seed(0))
    seconds = time.process_time() - began
    with torch.no_grad():
        broken = network.model(found).argmax(dim=1) != labels
    return Tried(broken, counted.queries + counted.gradients, seconds)


if __name__ == "__main__":
    main()
