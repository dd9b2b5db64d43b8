"""What adapted attacks leave of dishonest networks, beside ordinary attacks and an informed one.

Run from the root of the project; takes some minutes on two cores::

    python benchmarks/adapted_attacks.py --images 40 --eps 0.15

The table of docs/masking.md, "What adapted attacks take off the number". One seed. Every attack is
run on all images; an image counts as correct if no attack of the column misleads the network on it.
A network that answers at random is judged by one pass.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from audit_verdicts import SOURCES, cases
from torch import Tensor, nn

from steadygrad.attacks import (
    FGSM,
    NES,
    PGD,
    Attack,
    ExpectationOverDraws,
    SmoothedGradient,
    StraightThrough,
    Surrogate,
    WideDifferences,
)
from steadygrad.errors import SteadygradError

_SHOWN = ("plain", "attack-trained")
"""Honest networks of the table, beside all dishonest ones."""


def main() -> None:
    """Attack every model and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--eps", type=float, default=0.15)
    parser.add_argument("--only", nargs="*", default=[])
    asked = parser.parse_args()
    eps, source = asked.eps, replace(SOURCES[0], eps=asked.eps)
    test = source.load("test", asked.images, Path("data"))
    ordinary: Sequence[Attack] = (
        FGSM(eps=eps),
        PGD(eps=eps, steps=20, restarts=2, loss="margin"),
        NES(eps=eps, queries=400, loss="margin", stop_early=True),
    )
    adapted: Mapping[str, Attack] = {
        "straight-through": StraightThrough(eps=eps),
        "smoothed-gradient": SmoothedGradient(eps=eps),
        "wide-differences": WideDifferences(eps=eps),
        "surrogate": Surrogate(eps=eps),
        "expectation": ExpectationOverDraws(eps=eps),
    }
    informed = PGD(eps=eps, steps=50, restarts=2, loss="margin")
    print(
        "| model | correct | ordinary attacks | informed attack | with adapted attacks | "
        "strongest adapted attack |"
    )
    print("|---|---:|---:|---:|---:|---|")
    for case in cases(source, source.load("train", None, Path("data")), seed=0):
        if case.name not in (asked.only or _SHOWN) and (asked.only or case.is_honest):
            continue
        model, inner = case.build()
        with torch.no_grad():
            correct = model(test[0]).argmax(dim=1) == test[1]
        before = correct.clone()
        for attack in ordinary:
            before &= standing(attack, model, model, test)
        each = {
            key: correct & standing(attack, model, model, test) for key, attack in adapted.items()
        }
        after = before.clone()
        for left in each.values():
            after &= left
        known = correct & standing(informed, inner, model, test)
        best = min(each, key=lambda key: int(each[key].sum()))
        counts = " | ".join(str(int(left.sum())) for left in (correct, before, known, after))
        print(f"| {case.name} | {counts} | `{best}` ({int(each[best].sum())}) |", flush=True)


def standing(
    attack: Attack, crafted_on: nn.Module, judge: nn.Module, test: tuple[Tensor, Tensor]
) -> Tensor:
    """Return which images the judge still classifies correctly, bool (n,); all, if it can't run."""
    images, labels = test
    try:
        found = attack(crafted_on, images, labels, generator=torch.Generator().manual_seed(0))
    except SteadygradError:  # such as no gradient anywhere
        return torch.ones(len(labels), dtype=torch.bool)
    with torch.no_grad():
        predicted: Tensor = judge(found).argmax(dim=1)
    return predicted == labels


if __name__ == "__main__":
    main()
