"""An evaluation on disk: a JSON file for people and programs, tensors for figures beside it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadygrad._typing import Labels
from steadygrad.atomic_file import write_atomically
from steadygrad.attacks import modern_description
from steadygrad.datasets import ImageDataset
from steadygrad.errors import CheckpointError, HyperparameterError, OutputError
from steadygrad.evaluation.curve import AccuracyCurve, AccuracyPoint, surviving
from steadygrad.evaluation.pictures import Gallery
from steadygrad.evaluation.provenance import data_record, provenance
from steadygrad.evaluation.result_names import other_model, result_slug
from steadygrad.json_file import read_object, required
from steadygrad.tensor_file import read_tensors, write_tensors

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
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror or error}") from error
    write_tensors(path.with_suffix(".safetensors"), tensors, {})
    write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return path


def read_evaluation(path: Path | str) -> Evaluation:
    """Return what ``write_evaluation`` wrote at ``path``, the JSON file.

    Raises: CheckpointError, if one of the two files is missing, damaged or of another evaluation.
    """
    path = Path(path)
    record = read_object(path)
    tensors, _ = read_tensors(path.with_suffix(".safetensors"))
    try:
        return _evaluation(record, tensors, str(path))
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


_KINDS = {"step_size": (int, float), "target": (str,), "loss": (str,), "norm": (str,)}
"""What settings of an attack that reports make words of may be, besides None."""


def _evaluation(record: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> Evaluation:
    broken_at, labels = tensors["broken_at"], tensors["labels"]
    points = tuple(_point(result, where) for result in required(record, "results", list, where))
    if not points or len(labels) != len(broken_at):
        raise ValueError("points and examples do not fit together")
    if any(point.n != len(broken_at) for point in points):
        raise ValueError(f"the tensors are of {len(broken_at)} examples, the points of others")
    attack = modern_description(required(record, "attack", dict, where))
    for key, kinds in _KINDS.items():
        if (value := attack.get(key)) is not None and not isinstance(value, kinds):
            raise ValueError(f"its attack's {key} is {value!r}")
    largest = math.inf if attack.get("norm") in ("l2", "l1") else 1
    for point in points:
        if not (0 <= point.correct <= point.n and 0 <= point.eps <= largest):
            raise ValueError(f"it has an accuracy of {point.accuracy:g} at eps {point.eps:g}")
    if any(before.eps >= after.eps for before, after in pairwise(points)):
        raise ValueError("its eps do not ascend")
    curve = AccuracyCurve(
        attack=attack,
        points=points,
        broken_at=broken_at,
        seed=required(record, "seed", int, where),
        seconds=required(record, "seconds", float, where),
        search=required(record, "search", str, where),
    )
    if curve.reuse_broken and points != surviving(broken_at, curve.eps_values):
        raise ValueError("the outcomes beside it give other accuracies")
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
    digest = record["model_digest"]
    return Evaluation(
        curve=curve,
        labels=labels,
        gallery=gallery,
        dataset=required(record, "dataset", dict, where),
        model=required(record, "model", str, where),
        model_digest=None if digest is None else required(record, "model_digest", str, where),
        created=required(record, "created", str, where),
        versions=required(record, "versions", dict, where),
    )


def _point(result: Mapping[str, Any], where: str) -> AccuracyPoint:
    n, accuracy = required(result, "n", int, where), required(result, "accuracy", float, where)
    return AccuracyPoint(
        eps=required(result, "eps", float, where), correct=round(accuracy * n), n=n
    )
