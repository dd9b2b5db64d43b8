"""Made-up run folders: the files that training and evaluation leave behind, without either."""

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from steadygrad.evaluation import wilson_interval

MakeRun = Callable[..., Path]
GRID = tuple(step / 50 for step in range(16))
PGD = {
    "name": "pgd",
    "steps": 8,
    "step_size": None,
    "restarts": 1,
    "random_start": True,
    "targeted": False,
    "start_from_prediction": False,
}

VERSION_0_1: dict[str, Any] = {
    "dataset": "digits",
    "model": "digits-real",
    "penalty": "none",
    "strength": 0.0,
    "second_order": "exact",
    "adversarial": "none",
    "adversarial_eps": 0.0,
    "noise": "none",
    "epochs": 12,
    "seed": 0,
    "device": "cpu",
}
TODAY: dict[str, Any] = {"data": "digits", "model": "digits-real", "epochs": 12, "device": "cpu"}


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    def make(name: str = "run", **changes: Any) -> Path:
        return write_run(tmp_path / "runs" / name, **changes)

    return make


@pytest.fixture(scope="session")
def two(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two runs to read only: one plain, one penalised."""
    folder = tmp_path_factory.mktemp("two")
    penalised = {"penalty": "l1", "strength": 0.02}
    return (
        write_run(folder / "plain"),
        write_run(folder / "robust", config=penalised, half=0.2, seconds=5.0),
    )


@pytest.fixture
def add_evaluation() -> Callable[..., Path]:
    return write_evaluation


def write_run(
    folder: Path,
    *,
    config: dict[str, Any] | None = None,  # as of version 0.1, unless it has "data"
    epochs_done: int | None = None,
    seconds: float = 2.0,
    threads: int = 1,
    device_name: str | None = "cpu",  # None: not recorded, as in earlier versions
    processes: int | None = 1,
    **evaluation: Any,
) -> Path:
    folder.mkdir(parents=True)
    config = config or {}
    settings = (TODAY if "data" in config else VERSION_0_1) | config
    provenance = {"steadygrad": "0.1.0", "torch": "2.13.0", "python": "3.11.2"}
    created = {"threads": threads, "created": "2025-01-02T03:04:05+00:00"}
    where = {"device_name": device_name, "processes": processes}
    created |= {key: value for key, value in where.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(settings | provenance | created))
    done = settings["epochs"] if epochs_done is None else epochs_done
    lines = [_epoch(epoch, settings, seconds) for epoch in range(1, done + 1)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    write_evaluation(folder, **evaluation)
    return folder


def _epoch(epoch: int, settings: dict[str, Any], seconds: float) -> dict[str, Any]:
    data_loss = 0.05 + 2.2 * math.exp(-0.35 * epoch)
    penalty = settings.get("strength", 0.0) * (3 + 40 * math.exp(-0.2 * epoch))
    return {
        "epoch": epoch,
        "steps": 45,
        "learning_rate": 0.005,
        "loss": data_loss + penalty,
        "data_loss": data_loss,
        "penalty": penalty,
        "train_accuracy": 1 - 0.8 * math.exp(-0.4 * epoch),
        "validation_accuracy": None,
        "update_similarity": None,
        "seconds": seconds * (1 + 0.01 * (epoch % 3)),
        "images": 1437,
    }


def write_evaluation(
    folder: Path,
    *,
    slug: str = "pgd",
    half: float = 0.1,
    clean: float = 0.98,
    n: int = 360,
    eps: Sequence[float] = GRID,
    attack: dict[str, Any] | None = None,
    dataset: str = "digits",
    note: str = "",
    digest: str = "",
    created: str = "2025-01-02T04:00:00+00:00",
    gallery: bool = True,
    search: str = "sweep",
) -> Path:
    """Write a curve of ``round(n * clean / (1 + (eps / half)^4))`` survivors at each eps."""
    order = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    radii = torch.tensor(eps, dtype=torch.float64)
    results, broken_at = [], torch.full((n,), math.inf, dtype=torch.float64)
    for radius in radii.tolist():
        share = clean / (1 + (radius / half) ** 4)
        broken_at[(order >= share) & broken_at.isinf()] = radius
        correct = int((broken_at > radius).sum())
        interval = list(wilson_interval(correct, n))
        results.append({"eps": radius, "accuracy": correct / n, "n": n, "ci95": interval})
    path = folder / "evaluations" / f"{slug}.json"
    path.parent.mkdir(exist_ok=True)
    values = {
        "attack": PGD if attack is None else attack,
        "results": results,
        "dataset": {"name": dataset, "split": "test", "n": n, "note": note, "digest": digest},
        "seed": 0,
        "seconds": 3.5,
        "model": "digits-real",
        "model_digest": None,
        "created": created,
        "search": search,
        "versions": {"steadygrad": "0.1.0", "torch": "2.13.0"},
    }
    path.write_text(json.dumps(values))
    tensors = {"broken_at": broken_at, "labels": torch.arange(n) % 10}
    if gallery:
        tensors |= _gallery()
    save_file(tensors, path.with_suffix(".safetensors"))
    return path


def _gallery(examples: int = 6, radius: float = 0.1) -> dict[str, torch.Tensor]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    clean = torch.from_numpy(digits.images[:examples]).float().div(16).unsqueeze(1)
    draws = torch.rand(clean.shape, generator=torch.Generator().manual_seed(2))
    labels = torch.from_numpy(digits.target[:examples]).long()
    wrong = torch.arange(examples) % 2
    return {
        "gallery_eps": torch.tensor(radius),
        "gallery_clean": clean,
        "gallery_adversarial": (clean + radius * (draws - 0.5).sign()).clamp(0, 1),
        "gallery_labels": labels,
        "gallery_clean_predictions": labels.clone(),
        "gallery_adversarial_predictions": (labels + wrong) % 10,
    }
