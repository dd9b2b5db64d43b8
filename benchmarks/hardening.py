"""What hardening buys a ResNet-18, beside fine-tuning on PGD(3) in the same time.

A ResNet-18 with GELU is trained without a penalty, then fine-tuned from there in several ways, with
the same optimizer, schedule, averaging and smoothed labels: with the penalty of ``harden``; with
batch norms that learn their statistics meanwhile; at a random neighbour farther away than the
radius, with the recipe's penalty, too; and on PGD(3) examples instead. All are measured on the same
images: without attack, under PGD(50) and, on fewer of them, in the worst case of the quick audit.

Run: python benchmarks/hardening.py --data-dir DATA --out FOLDER
     python benchmarks/hardening.py --dataset svhn_10k --held-out --audited 0 --data-dir DATA
The same call goes on where it was interrupted. It ends with OUT/hardening.json, and the same as a
table in OUT/hardening.md. About three hours for CIFAR-10 and half an hour for the part of SVHN, on
one core that computes in bfloat16; --only takes some of the ways.
"""

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad import harden
from steadygrad.atomic_file import write_atomically
from steadygrad.attacks import PGD
from steadygrad.datasets import (
    AugmentationStep,
    HorizontalFlip,
    ImageDataset,
    RandomCrop,
    UniformNoise,
    data_source,
    load_dataset,
)
from steadygrad.evaluation import AccuracyPoint, accuracy_curve, audit, paired_comparison
from steadygrad.models import CallableModel, load_model
from steadygrad.training import LineProgress, RunFolder, TrainingConfig, train
from steadygrad.versions import library_versions

EPS = 4 / 255


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What is particular to a data set: the first images are trained on."""

    model: CallableModel
    trained_on: int
    augmentation: tuple[AugmentationStep, ...]

    def common(self, seed: int, noise: tuple[AugmentationStep, ...] = ()) -> dict[str, Any]:
        """Return the settings of every training, for ``TrainingConfig`` and ``harden``."""
        return {
            "augmentation": (*self.augmentation, *noise),
            "precision": "bf16",
            "seed": seed,
        }


SETTINGS: Mapping[str, Setting] = {
    "cifar10": Setting(
        model=CallableModel(
            target="device_suite.networks:small_resnet18",
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2023, 0.1994, 0.2010),
        ),
        trained_on=10_000,
        augmentation=(HorizontalFlip(), RandomCrop(4)),
    ),
    "svhn_10k": Setting(
        model=CallableModel(
            target="device_suite.networks:small_resnet18",
            arguments=("channels=1", "width=32"),
            mean=(0.534,),
            std=(0.2958,),
        ),
        trained_on=6_989,
        augmentation=(RandomCrop(4),),
    ),
}
CLEAN: Mapping[str, Any] = {
    "epochs": 12,
    "batch_size": 64,
    "optimizer": "sgd:learning_rate=0.05,momentum=0.9,weight_decay=5e-4",
    "schedule": "cosine:warmup=1",
}


@dataclass(frozen=True, kw_only=True)
class Way:
    """How to fine-tune: what differs from the defaults of ``harden``, and noise for each image."""

    settings: Mapping[str, Any] = field(default_factory=dict)
    noise: tuple[AugmentationStep, ...] = ()


WAYS: Mapping[str, Way] = {
    "hardened": Way(),
    "hardened, statistics learned": Way(settings={"batch_norm": "learn"}),
    "hardened, wide noise": Way(noise=(UniformNoise(1.5 * EPS),)),
    "hardened, recipe wide-noise": Way(settings={"recipe": "wide-noise"}),
    # A step costs about as much: the table says how long each took.
    "trained on PGD(3)": Way(
        settings={"penalty": None, "ramp": None, "attack": PGD(eps=EPS, steps=3)}
    ),
}
STRONG = PGD(eps=EPS, steps=50)
MEASURES = {"clean": "clean", "pgd_50": "PGD(50)", "worst_case": "worst case of the quick audit"}


def main() -> None:
    """Train what is missing, measure, and write the result."""
    arguments = _arguments()
    out: Path = arguments.out
    torch.set_num_threads(arguments.threads)
    progress = LineProgress()
    setting = SETTINGS[arguments.dataset]
    data = data_source({"name": arguments.dataset, "data_dir": str(arguments.data_dir)})
    stored = load_dataset(data, "train")
    learned = stored.first(setting.trained_on)
    images = (
        stored.subset(slice(setting.trained_on, None))
        if arguments.held_out
        else load_dataset(data, "test")
    ).first(arguments.images)
    config = TrainingConfig(
        data=data,
        model=setting.model,
        limit_train=setting.trained_on,
        **setting.common(arguments.seed),
        **CLEAN,
    )
    runs = {"before": RunFolder(out / "clean")}
    resume = runs["before"].config.exists()
    _stop_unless(train(config, runs["before"].path, resume=resume, progress=progress).is_finished)
    for name, way in WAYS.items():
        if arguments.only and name not in arguments.only:
            continue
        folder = out / name.replace(" ", "-")
        runs[name] = RunFolder(folder / "run")
        if not (folder / "export").exists():
            hardened = harden(
                setting.model,
                learned,
                eps=EPS,
                epochs=2,
                out=folder,
                weights=runs["before"].model,
                resume=runs[name].config.exists(),
                progress=progress,
                **setting.common(arguments.seed, way.noise),
                **way.settings,
            )
            _stop_unless(hardened.is_finished)
    rows = {}
    for name, run in runs.items():
        progress.message(f"measuring {name}")
        network, _ = load_model(run.model, source=setting.model)
        rows[name] = _row(network, images, arguments.audited, out / "audits" / name)
        seconds = [json.loads(line)["seconds"] for line in run.metrics.read_text().splitlines()]
        rows[name]["training_seconds"] = sum(seconds)
        _write(rows, images, config, arguments.threads, out)
    print((out / "hardening.md").read_text())


def _stop_unless(is_finished: bool) -> None:
    if not is_finished:
        raise SystemExit("stopped; the same command goes on")


def _write(
    rows: Mapping[str, dict[str, Any]],
    images: ImageDataset,
    config: TrainingConfig,
    threads: int,
    out: Path,
) -> None:
    result = {
        "eps": EPS,
        "trained_on": config.limit_train,
        "images": {"name": images.name, "split": images.split, "n": len(images)},
        "seed": config.seed,
        "threads": threads,
        "networks": rows,
        "compared": [
            {"network": name, "with": other, **_compared(rows[name], rows[other])}
            for other, name in combinations(rows, 2)
        ],
        "versions": library_versions(),
    }
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    write_atomically(out / "hardening.json", text.encode())
    write_atomically(out / "hardening.md", _table(rows).encode())


def _compared(row: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {
        measure: paired_comparison(
            torch.tensor(row[f"{measure}_correct"]), torch.tensor(other[f"{measure}_correct"])
        ).to_json()
        for measure in MEASURES
        if measure in row
    }


def _row(network: nn.Module, images: ImageDataset, audited: int, folder: Path) -> dict[str, Any]:
    curve = accuracy_curve(network, images, None, STRONG, [0.0, EPS], batch_size=128)
    row = _measured("clean", curve.broken_at > 0) | _measured("pgd_50", curve.broken_at > EPS)
    if not audited:
        return row
    result = audit(
        network,
        images.first(audited),
        eps=EPS,
        budget="quick",
        out=folder,
        diagnostics=False,  # they take longer than the attacks, on a CPU
        notify=partial(print, flush=True),
    )
    return row | _measured("worst_case", result.clean_correct & ~result.broken)


def _measured(name: str, correct: Tensor) -> dict[str, Any]:
    point = AccuracyPoint(eps=EPS, correct=int(correct.sum()), n=len(correct))
    return {name: point.to_json(), f"{name}_correct": correct.tolist()}


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    measured = [measure for measure in MEASURES if measure in rows["before"]]
    titles = [f"{MEASURES[name]}, {rows['before'][name]['n']} images" for name in measured]
    lines = [f"| ResNet-18 (GELU) | {' | '.join(titles)} | training |", "|---" * (len(titles) + 2)]
    lines[-1] += "|"
    for name, row in rows.items():
        cells = [_percent(row[measure]) for measure in measured]
        minutes = f"{row['training_seconds'] / 60:.1f} min"
        lines.append(f"| {name} | {' | '.join(cells)} | {minutes} |")
    return "\n".join(lines) + "\n"


def _percent(point: Mapping[str, Any]) -> str:
    low, high = point["ci95"]
    return f"{100 * point['accuracy']:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add = parser.add_argument
    add("--data-dir", type=Path, required=True, help="folder with the data set's folder in it")
    add("--dataset", choices=SETTINGS, default="cifar10", help="default cifar10")
    add("--out", type=Path, default=Path("runs/hardening"), help="its results")
    add("--only", action="append", choices=WAYS, help="of the ways to fine-tune; default all")
    add("--held-out", action="store_true", help="measure on training images not trained on")
    add("--images", type=int, default=500, help="images measured (default 500)")
    add("--audited", type=int, default=100, help="of them, by the audit (default 100; 0: none)")
    add("--seed", type=int, default=0, help="default 0")
    add("--threads", type=int, default=1, help="of torch (default 1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
