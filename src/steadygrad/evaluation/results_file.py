"""An evaluation on disk: a JSON file for people and programs, tensors for figures beside it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from steadygrad._typing import Labels
from steadygrad.atomic_file import write_atomically
from steadygrad.attacks import modern_description
from steadygrad.datasets import ImageDataset
from steadygrad.errors import CheckpointError, HyperparameterError, OutputError
from steadygrad.evaluation.curve import AccuracyCurve, AccuracyPoint
from steadygrad.evaluation.pictures import Gallery
from steadygrad.evaluation.provenance import data_record, provenance
from steadygrad.evaluation.result_names import other_model, result_slug

__all__ = ["Evaluation", "evaluation_slug", "read_evaluation", "write_evaluation"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """A curve as it was stored, with what it was measured on.

    dataset: name, split, n and note. model: its name. model_digest: SHA-256 of the weights' file,
    None if there was none. created: UTC, ISO 8601. versions: of steadygrad, torch and Python.
    """

    curve: AccuracyCurve
    labels: Labels
    gallery: Gallery | None
    dataset: dict[str, Any]
    model: str
    model_digest: str | None
    created: str
    versions: dict[str, str]


def write_evaluation(
    run: Path | str,
    curve: AccuracyCurve,
    *,
    labels: Labels,
    dataset: ImageDataset,
    model_name: str,
    digest: str | None = None,
    gallery: Gallery | None = None,
) -> Path:
    """Write ``run/evaluations/<slug>.json`` and ``.safetensors``; return the path of the former.

    labels: int64 (n,), of the curve's examples; dataset: what they are from. digest: of the weights
    of a model that is not the one in ``run``.
    The same evaluation of the same model overwrites itself. Each file is whole or not there, and
    the JSON file comes last: where it is, both are.

    Raises: OutputError; HyperparameterError, if the labels are not those of the curve.
    """
    if len(labels) != curve.n:
        raise HyperparameterError(f"expected the {curve.n} labels of the curve, got {len(labels)}")
    run = Path(run)
    origin = provenance(run, dataset, model_name, digest)
    slug = _slug(curve, origin["dataset"], other_model(run, model_name, digest))
    path = run / "evaluations" / f"{slug}.json"
    record = curve.to_json() | {
        "search": curve.search,
        "seed": curve.seed,
        "seconds": curve.seconds,
        **origin,
    }
    record["dataset"]["n"] = curve.n
    tensors = {"broken_at": curve.broken_at, "labels": labels} | _gallery_tensors(gallery)
    # clone: safetensors refuses tensors that share memory.
    stored = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror or error}") from error
    write_atomically(path.with_suffix(".safetensors"), save(stored))
    write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return path


def read_evaluation(path: Path | str) -> Evaluation:
    """Return what ``write_evaluation`` wrote at ``path``, the JSON file.

    Raises: CheckpointError, if one of the two files is missing, damaged or of another evaluation.
    """
    path = Path(path)
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        tensors = load(path.with_suffix(".safetensors").read_bytes())
    except OSError as error:
        raise CheckpointError(
            f"cannot read {error.filename or path}: {error.strerror or error}"
        ) from error
    except (ValueError, SafetensorError) as error:
        raise CheckpointError(f"{path} or the tensors beside it are damaged: {error}") from error
    try:
        return _evaluation(record, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not an evaluation: {type(error).__name__}: {error}"
        ) from error


def evaluation_slug(curve: AccuracyCurve, dataset: ImageDataset, model: str = "") -> str:
    """Return a file name that says what was done, with a digest of what decides the result.

    model: tells models apart whose results share a folder; "" for the run whose folder it is.
    """
    return _slug(curve, data_record(dataset), model)


def _slug(curve: AccuracyCurve, data: Mapping[str, Any], model: str) -> str:
    decisive = [curve.attack, curve.eps_values, curve.seed, curve.search]
    return result_slug(curve.attack["name"], data, curve.n, decisive, model)


def _gallery_tensors(gallery: Gallery | None) -> dict[str, Tensor]:
    if gallery is None:
        return {}
    return {
        "gallery_eps": torch.tensor(gallery.eps, dtype=torch.float64, device="cpu"),
        "gallery_clean": gallery.clean,
        "gallery_adversarial": gallery.adversarial,
        "gallery_labels": gallery.labels,
        "gallery_clean_predictions": gallery.clean_predictions,
        "gallery_adversarial_predictions": gallery.adversarial_predictions,
    }


def _evaluation(record: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Evaluation:
    broken_at, labels = tensors["broken_at"], tensors["labels"]
    points = tuple(_point(result) for result in record["results"])
    if not points or len(labels) != len(broken_at):
        raise ValueError("points and examples do not fit together")
    if any(point.n != len(broken_at) for point in points):
        raise ValueError(f"the tensors are of {len(broken_at)} examples, the points of others")
    curve = AccuracyCurve(
        attack=modern_description(record["attack"]),
        points=points,
        broken_at=broken_at,
        seed=int(record["seed"]),
        seconds=float(record["seconds"]),
        search=str(record["search"]),
    )
    gallery = None
    if "gallery_eps" in tensors:
        gallery = Gallery(
            eps=tensors["gallery_eps"].item(),
            clean=tensors["gallery_clean"],
            adversarial=tensors["gallery_adversarial"],
            labels=tensors["gallery_labels"],
            clean_predictions=tensors["gallery_clean_predictions"],
            adversarial_predictions=tensors["gallery_adversarial_predictions"],
        )
    return Evaluation(
        curve=curve,
        labels=labels,
        gallery=gallery,
        dataset=dict(record["dataset"]),
        model=str(record["model"]),
        model_digest=record["model_digest"],
        created=str(record["created"]),
        versions=dict(record["versions"]),
    )


def _point(result: Mapping[str, Any]) -> AccuracyPoint:
    n = int(result["n"])
    return AccuracyPoint(
        eps=float(result["eps"]), correct=round(float(result["accuracy"]) * n), n=n
    )
