"""What hardening buys a ResNet-18 on CIFAR-10, beside fine-tuning on PGD(3) in the same time.

A ResNet-18 with GELU is trained on 10,000 images without a penalty, then fine-tuned twice from
there, with the same optimizer, schedule, averaging and smoothed labels: with the penalty of
``harden``, and on PGD(3) examples instead. All three are measured on the same test images: without
attack and under PGD(50), and, on fewer of them, in the worst case of the quick audit's attacks.

Run: python benchmarks/hardening.py --data-dir DATA --out runs/hardening
The same call goes on where it was interrupted. It ends with OUT/hardening.json, and the same as a
table in OUT/hardening.md. About 90 minutes on one core that computes in bfloat16.
"""

import argparse
import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad import harden
from steadygrad.atomic_file import write_atomically
from steadygrad.attacks import PGD
from steadygrad.datasets import ImageDataset, data_source, load_dataset
from steadygrad.evaluation import AccuracyPoint, accuracy_curve, audit, paired_comparison
from steadygrad.models import CallableModel, load_model
from steadygrad.training import LineProgress, RunFolder, TrainingConfig, train
from steadygrad.versions import library_versions

EPS = 4 / 255
TRAINED_ON = 10_000
MODEL = CallableModel(
    target="device_suite.networks:small_resnet18",
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2023, 0.1994, 0.2010),
)
COMMON: Mapping[str, Any] = {
    "augmentation": ("flip", "crop:4"),
    "precision": "bf16",
}
CLEAN: Mapping[str, Any] = {
    **COMMON,
    "epochs": 12,
    "batch_size": 64,
    "optimizer": "sgd:learning_rate=0.05,momentum=0.9,weight_decay=5e-4",
    "schedule": "cosine:warmup=1",
}
WAYS: Mapping[str, Mapping[str, Any]] = {
    "hardened": {"epochs": 2},
    # A step costs about as much: the table says how long each took.
    "trained on PGD(3)": {
        "epochs": 2,
        "penalty": None,
        "ramp": None,
        "attack": PGD(eps=EPS, steps=3),
    },
}
STRONG = PGD(eps=EPS, steps=50)


def main() -> None:
    """Train what is missing, measure, and write the result."""
    arguments = _arguments()
    out: Path = arguments.out
    torch.set_num_threads(arguments.threads)
    progress = LineProgress()
    data = data_source({"name": "cifar10", "data_dir": str(arguments.data_dir)})
    learned = load_dataset(data, "train").first(TRAINED_ON)
    images = load_dataset(data, "test").first(arguments.images)
    config = TrainingConfig(data=data, model=MODEL, limit_train=TRAINED_ON, **CLEAN)
    clean = RunFolder(out / "clean")
    done = train(config, clean.path, resume=clean.config.exists(), progress=progress)
    _stop_unless(done.is_finished)
    runs = {"before": clean}
    for way, settings in WAYS.items():
        folder = out / way.replace(" ", "-")
        runs[way] = RunFolder(folder / "run")
        if not (folder / "export").exists():
            hardened = harden(
                MODEL,
                learned,
                eps=EPS,
                out=folder,
                weights=clean.model,
                resume=runs[way].config.exists(),
                progress=progress,
                **{**COMMON, **settings},
            )
            _stop_unless(hardened.is_finished)
    rows = {}
    for name, run in runs.items():
        progress.message(f"measuring {name}")
        network, _ = load_model(run.model, source=MODEL)
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
        "trained_on": TRAINED_ON,
        "images": {"name": images.name, "split": images.split, "n": len(images)},
        "seed": config.seed,
        "threads": threads,
        "networks": rows,
        "against_before": {
            name: {
                measure: paired_comparison(
                    torch.tensor(row[measure]), torch.tensor(rows["before"][measure])
                ).to_json()
                for measure in ("clean_correct", "pgd_50_correct", "worst_case_correct")
            }
            for name, row in rows.items()
            if name != "before"
        },
        "versions": library_versions(),
    }
    text = json.dumps(result, indent=2, allow_nan=False) + "\n"
    write_atomically(out / "hardening.json", text.encode())
    write_atomically(out / "hardening.md", _table(rows).encode())


def _row(network: nn.Module, images: ImageDataset, audited: int, folder: Path) -> dict[str, Any]:
    curve = accuracy_curve(network, images, None, STRONG, [0.0, EPS], batch_size=128)
    result = audit(
        network,
        images.first(audited),
        eps=EPS,
        budget="quick",
        out=folder,
        diagnostics=False,  # they take longer than the attacks, on a CPU
        notify=partial(print, flush=True),
    )
    return {
        **_measured("clean", curve.broken_at > 0),
        **_measured("pgd_50", curve.broken_at > EPS),
        **_measured("worst_case", result.clean_correct & ~result.broken),
    }


def _measured(name: str, correct: Tensor) -> dict[str, Any]:
    point = AccuracyPoint(eps=EPS, correct=int(correct.sum()), n=len(correct))
    return {name: point.to_json(), f"{name}_correct": correct.tolist()}


def _table(rows: Mapping[str, Mapping[str, Any]]) -> str:
    n, audited = (rows["before"][key]["n"] for key in ("clean", "worst_case"))
    lines = [
        f"| ResNet-18 (GELU), {n} test images | clean | PGD(50) | worst case, {audited} images | "
        "training |",
        "|---|---|---|---|---|",
    ]
    for name, row in rows.items():
        cells = [_percent(row[key]) for key in ("clean", "pgd_50", "worst_case")]
        minutes = f"{row['training_seconds'] / 60:.1f} min"
        lines.append(f"| {name} | {' | '.join(cells)} | {minutes} |")
    return "\n".join(lines) + "\n"


def _percent(point: Mapping[str, Any]) -> str:
    low, high = point["ci95"]
    return f"{100 * point['accuracy']:.1f} ({100 * low:.1f}–{100 * high:.1f})"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with cifar10/")
    parser.add_argument("--out", type=Path, default=Path("runs/hardening"), help="its results")
    parser.add_argument("--images", type=int, default=200, help="test images (default 200)")
    parser.add_argument("--audited", type=int, default=100, help="of them (default 100)")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default 1)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
