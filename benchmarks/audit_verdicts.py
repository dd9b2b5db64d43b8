"""How often the audit accuses honest networks, and how often it finds dishonest ones out.

Run from the root of the project; an audit takes about ten seconds on one core, for 56 networks::

    python benchmarks/audit_verdicts.py --out results/audit/verdicts.json

Every network is small and trained on the spot: on scikit-learn's digits (8x8 grey levels) and,
where ``--data-dir`` holds MNIST, on 10,000 of its images. What is in the file already is not
measured again, so that a run that was stopped goes on. At the end come the rates, as they stand in
docs/masking.md.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from dishonest_models import DISHONEST, with_winners
from honest_models import HONEST, network, plain_loss, trained
from torch import Tensor, nn

from steadygrad.atomic_file import write_atomically
from steadygrad.attacks import PGD
from steadygrad.datasets import load_dataset
from steadygrad.evaluation import audit
from steadygrad.evaluation.masking import diagnostic_names
from steadygrad.evaluation.masking.diagnostic import traits_of
from steadygrad.evaluation.statistics import wilson_interval

Data = tuple[Tensor, Tensor]
Split = Literal["train", "test"]


@dataclass(frozen=True)
class Source:
    """A data set of the panel.

    eps: radius that networks are trained for and judged at.
    """

    name: str
    eps: float
    epochs: int
    width: int
    limit: int | None = None

    def load(self, split: Split, limit: int | None, data_dir: Path) -> Data:
        """Return images and labels."""
        folder = None if self.name == "digits" else data_dir
        data = load_dataset(self.name, split, limit=limit, data_dir=folder)
        return data.images(), data.labels


SOURCES = (
    Source("digits", eps=0.15, epochs=12, width=16),
    Source("mnist", eps=0.2, epochs=4, width=8, limit=10_000),
)


@dataclass(frozen=True)
class Case:
    """A network of the panel.

    build: returns the network, and the one whose gradients an informed attacker would follow.
    """

    name: str
    is_honest: bool
    data: str
    seed: int
    eps: float
    build: Callable[[], tuple[nn.Module, nn.Module]]

    @property
    def key(self) -> str:
        """What tells it from every other."""
        return f"{self.name}, {self.data}, seed {self.seed}"


def main() -> None:
    """Audit every network that is not in the file yet; print a line for each, then the rates."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--budget", default="quick")
    parser.add_argument("--only", nargs="*", default=[], help="names of networks")
    parser.add_argument("--data-dir", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    rows = json.loads(asked.out.read_text(encoding="utf-8")) if asked.out.exists() else []
    known = {row["key"] for row in rows}
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    panel = []
    for source in SOURCES:
        if source.name != "digits" and not (asked.data_dir / source.name).is_dir():
            print(f"{source.name} is left out: there is none in {asked.data_dir}")
            continue
        training = source.load("train", source.limit, asked.data_dir)
        test = source.load("test", asked.images, asked.data_dir)
        for seed in range(asked.seeds):
            panel += [(case, test) for case in cases(source, training, seed)]
    for case, test in sorted(panel, key=lambda each: not each[0].is_honest):
        if case.key in known or (asked.only and case.name not in asked.only):
            continue
        rows.append(judged(case, test, asked.budget))
        print(_line(rows[-1]), flush=True)
        write_atomically(asked.out, (json.dumps(rows, indent=1) + "\n").encode())
    print("\n".join(["", *table_of_verdicts(rows), "", *table_of_rates(rows)]))


def cases(source: Source, training: Data, seed: int) -> Iterator[Case]:
    """Yield the networks of a data set; none is trained before it is asked for."""
    side = training[0].shape[-1]

    def fresh() -> nn.Sequential:
        return network(side, seed, width=source.width)

    def honest(name: str) -> tuple[nn.Module, nn.Module]:
        kind = HONEST[name]
        model = trained(
            fresh(),
            *training,
            kind.loss,
            eps=kind.radius * source.eps,
            epochs=kind.longer * source.epochs,
        )
        return kind.finish(model).eval(), model

    for name, kind in HONEST.items():
        eps = kind.radius * source.eps
        yield Case(name, True, source.name, seed, eps, partial(honest, name))
    if source.name != "digits":
        return

    def hidden(disguise: Callable[[nn.Module], nn.Module]) -> tuple[nn.Module, nn.Module]:
        inner = honest("plain")[1]
        return disguise(inner).eval(), inner

    for name, disguise in DISHONEST.items():
        yield Case(name, False, source.name, seed, source.eps, partial(hidden, disguise))

    def winners() -> tuple[nn.Module, nn.Module]:
        model = trained(
            with_winners(fresh()), *training, plain_loss, eps=source.eps, epochs=source.epochs
        )
        return model, model

    yield Case("k winners", False, source.name, seed, source.eps, winners)


def judged(case: Case, test: Data, budget: Any) -> dict[str, Any]:
    """Audit one network; ``informed``: per cent that PGD on the network inside leaves."""
    model, inner = case.build()
    began = time.perf_counter()
    result = audit(model, *test, eps=case.eps, budget=budget, accept=("no-gradient",))
    seconds = time.perf_counter() - began
    bound = result.lower_bound
    return {
        "key": case.key,
        "name": case.name,
        "is_honest": case.is_honest,
        "data": case.data,
        "seed": case.seed,
        "eps": case.eps,
        "images": result.n,
        "verdict": result.verdict.level,
        "causes": list(result.verdict.causes),
        "reasons": list(result.verdict.reasons),
        "findings": {each.name: [each.status, each.measured] for each in result.findings},
        "established": result.is_established,
        "clean": 100 * result.clean.accuracy,
        "battery": 100 * result.adapted.before / result.n
        if result.adapted.attacks
        else 100 * result.worst_case.accuracy,
        "worst_case": 100 * result.worst_case.accuracy,
        "proven": None if bound is None else 100 * bound.accuracy,
        "informed": 100 * _left_by_informed(model, inner, test, case.eps),
        "adapted": [each.sentence for each in result.adapted.attacks],
        "attacks": {each.name: int(each.broken.sum()) for each in result.outcomes},
        "seconds": round(seconds, 1),
    }


def _left_by_informed(model: nn.Module, inner: nn.Module, test: Data, eps: float) -> float:
    images, labels = test
    with torch.no_grad():
        standing = model(images).argmax(dim=1) == labels
    for loss in ("cross-entropy", "margin"):
        attack = PGD(eps=eps, steps=50, restarts=3, loss=loss)
        found = attack(inner, images, labels, generator=torch.Generator().manual_seed(0))
        with torch.no_grad():
            standing &= model(found).argmax(dim=1) == labels
    return float(standing.double().mean())


def _line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['key']}: {row['verdict']} ({', '.join(row['reasons'])}); clean {row['clean']:.0f}, "
        f"left {row['worst_case']:.0f}, proven {row['proven'] or 0:.0f}, informed "
        f"{row['informed']:.0f}; {row['seconds']:.0f} s"
    )


def table_of_verdicts(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return, as lines of Markdown, the verdicts and accuracies of each kind of network."""
    lines = [
        "| network | data | networks | no sign | doubtful | masked | other | correct | left | "
        "proven | informed attack |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name, data in dict.fromkeys((row["name"], row["data"]) for row in rows):
        group = [row for row in rows if (row["name"], row["data"]) == (name, data)]
        levels = [row["verdict"] for row in group]
        counts = [levels.count(each) for each in ("no sign of masking", "doubtful", "masked")]
        proven = [row["proven"] for row in group if row["proven"] is not None]
        numbers = [_mean([row[key] for row in group]) for key in ("clean", "worst_case")]
        cells = [len(group), *counts, len(group) - sum(counts), *numbers]
        cells += [_mean(proven), _mean([row["informed"] for row in group])]
        lines.append(f"| {name} | {data} | " + " | ".join(map(str, cells)) + " |")
    return lines


def _mean(values: Sequence[float]) -> str:
    return f"{sum(values) / len(values):.0f}" if values else "–"


def table_of_rates(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return, as lines of Markdown, how often each diagnostic was suspicious, with intervals."""
    honest, dishonest = (
        [row for row in rows if row["is_honest"] is which] for which in (True, False)
    )
    lines = [
        "| diagnostic | role | honest: suspicious of tested | honest: largest number | "
        "dishonest: suspicious of tested |",
        "|---|---|---|---:|---|",
    ]
    for name in diagnostic_names():
        largest = [row["findings"][name][1] for row in honest if name in row["findings"]]
        numbers = [each for each in largest if each is not None]
        lines.append(
            f"| `{name}` | {traits_of(name).role} | {_rate(honest, name)} | "
            f"{f'{max(numbers):.3g}' if numbers else '–'} | {_rate(dishonest, name)} |"
        )
    for level in ("doubtful", "masked"):
        shares = [
            _share(sum(row["verdict"] == level for row in group), len(group))
            for group in (honest, dishonest)
        ]
        lines.append(f"| verdict *{level}* | | {shares[0]} | | {shares[1]} |")
    return lines


def _rate(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    statuses = [row["findings"][name][0] for row in rows if name in row["findings"]]
    tested = [status for status in statuses if status != "not tested"]
    return _share(tested.count("suspicious"), len(tested))


def _share(count: int, n: int) -> str:
    if n == 0:
        return "not tested"
    low, high = (100 * end for end in wilson_interval(count, n))
    return f"{count} of {n} ({low:.0f} to {high:.0f} %)"


if __name__ == "__main__":
    main()
