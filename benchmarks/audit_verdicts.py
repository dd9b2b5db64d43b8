"""What the audit says of honest and dishonest networks, beside what an informed attack leaves.

Run from the root of the project; takes some minutes on two cores::

    python benchmarks/audit_verdicts.py --images 100 --eps 0.15 --out verdicts.json

The networks are small ones, trained within seconds on scikit-learn's digits (8x8 grey levels).
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import torch
from dishonest_models import DISHONEST, with_winners
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from steadygrad.attacks import PGD
from steadygrad.datasets import load_dataset
from steadygrad.evaluation import audit

_CLASSES = 10


def main() -> None:
    """Audit every model and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100)
    parser.add_argument("--eps", type=float, default=0.15)
    parser.add_argument("--budget", default="quick")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    train, test = digits("train"), digits("test", asked.images)
    print(f"{asked.images} digits, eps {asked.eps:g}, budget {asked.budget}")
    print(
        "| model | verdict | causes | battery alone, % | with adapted attacks, % | "
        "informed attack, % | seconds |"
    )
    print("|---|---|---|---:|---:|---:|---:|")
    rows = []
    for name, model, inner in models(train, asked.eps, asked.only):
        row = judged(name, model, inner, test, asked.eps, asked.budget)
        rows.append(row)
        print(
            f"| {name} | {row['verdict']} | {', '.join(row['causes'])} | {row['battery']:.0f} | "
            f"{row['worst_case']:.0f}"
            f"{'' if row['established'] else ' (not established)'} | {row['informed']:.0f} | "
            f"{row['seconds']:.0f} |",
            flush=True,
        )
    if asked.out is not None:
        asked.out.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")


def digits(split: Literal["train", "test"], limit: int | None = None) -> tuple[Tensor, Tensor]:
    """Return images and labels of scikit-learn's digits."""
    data = load_dataset("digits", split, limit=limit)
    return data.images(), data.labels


def models(
    train: tuple[Tensor, Tensor], eps: float, only: list[str]
) -> Iterator[tuple[str, nn.Module, nn.Module]]:
    """Yield name, model, and the network whose gradients an informed attacker would follow."""
    plain = trained(network(), *train)
    if not only or "plain" in only:
        yield "plain", plain, plain
    if not only or "attack-trained" in only:
        careful = trained(network(), *train, eps=eps)
        yield "attack-trained", careful, careful
    for name, disguise in DISHONEST.items():
        if not only or name in only:
            yield name, disguise(plain).eval(), plain
    if not only or "k winners" in only:
        winners = trained(with_winners(network()), *train)
        yield "k winners", winners, winners


def network() -> nn.Sequential:
    """Return a small convolutional network, untrained."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 4, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(256, 64),
        nn.ReLU(),
        nn.Linear(64, _CLASSES),
    )


def trained(model: nn.Sequential, images: Tensor, labels: Tensor, eps: float = 0.0) -> nn.Module:
    """Train for some epochs, on the images or, with a radius, on PGD's."""
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    attack = PGD(eps=eps, steps=4)
    for _ in range(8):
        for batch in torch.randperm(len(images)).split(64):  # type: ignore[no-untyped-call] # torch leaves it untyped
            shown = attack(model, images[batch], labels[batch]) if eps else images[batch]
            optimizer.zero_grad()
            cross_entropy(model(shown), labels[batch]).backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
    model.zero_grad(set_to_none=True)
    return model.eval()


def judged(
    name: str,
    model: nn.Module,
    inner: nn.Module,
    test: tuple[Tensor, Tensor],
    eps: float,
    budget: Any,
) -> dict[str, Any]:
    """Audit one model; ``informed`` is what PGD on the network inside leaves of it, in per cent."""
    began = time.perf_counter()
    result = audit(model, *test, eps=eps, budget=budget, accept=("no-gradient",))
    seconds = time.perf_counter() - began
    images, labels = test
    standing = result.clean_correct.clone()
    for attack in (
        PGD(eps=eps, steps=50, restarts=3),
        PGD(eps=eps, steps=50, restarts=3, loss="margin"),
    ):
        generator = torch.Generator().manual_seed(0)
        found = attack(inner, images, labels, generator=generator)
        with torch.no_grad():
            standing &= model(found).argmax(dim=1) == labels
    return {
        "name": name,
        "verdict": result.verdict.level,
        "causes": list(result.verdict.causes),
        "reasons": list(result.verdict.reasons),
        "established": result.is_established,
        "battery": 100 * (result.adapted.before / result.n)
        if result.adapted.attacks
        else 100 * result.worst_case.accuracy,
        "adapted": [each.sentence for each in result.adapted.attacks],
        "gained": result.adapted.gained,
        "clean": 100 * result.clean.accuracy,
        "worst_case": 100 * result.worst_case.accuracy,
        "informed": 100 * standing.double().mean().item(),
        "attacks": {each.name: int(each.broken.sum()) for each in result.outcomes},
        "attack_seconds": {each.name: each.seconds for each in result.outcomes},
        "seconds": seconds,
    }


if __name__ == "__main__":
    main()
