"""An audit on disk: audit.json for people and programs, audit.safetensors with every example."""

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadygrad.atomic_file import write_atomically
from steadygrad.errors import CheckpointError
from steadygrad.evaluation.audit.audit_gallery import AuditGallery
from steadygrad.evaluation.audit.batch_size import BatchSize
from steadygrad.evaluation.audit.cache import make_folder
from steadygrad.evaluation.audit.fitness import Problem
from steadygrad.evaluation.audit.outcome import AttackOutcome
from steadygrad.evaluation.audit.result import SCHEMA_VERSION, AuditResult
from steadygrad.evaluation.masking import Finding, Verdict
from steadygrad.tensor_file import read_tensors, write_tensors

__all__ = ["read_audit", "write_audit"]

_ATTACK_FIELDS = (
    *("name", "family", "attack", "eps", "norm", "scope", "outside"),
    *("queries", "gradients", "seconds", "seed", "batch_size"),
)

_GALLERY_TENSORS = (
    *("clean", "adversarial", "labels", "clean_predictions", "adversarial_predictions"),
    "rows",
)


def write_audit(result: AuditResult, out: Path | str) -> Path:
    """Write ``out/audit.safetensors``, then ``out/audit.json``; return the path of the latter.

    Tensors: labels, clean_correct, and for each attack ``attacked/NAME`` and ``broken/NAME``, bool
    (n,); those of the gallery. Each file is whole or not there.
    Raises: OutputError.
    """
    out = Path(out)
    tensors = {"labels": result.labels, "clean_correct": result.clean_correct}
    for outcome in result.outcomes:
        tensors[f"attacked/{outcome.name}"] = outcome.attacked
        tensors[f"broken/{outcome.name}"] = outcome.broken
    record = result.to_json()
    if result.gallery is not None:
        record["gallery"] = {"attacks": list(result.gallery.attacks)}
        for name in _GALLERY_TENSORS:
            tensors[f"gallery/{name}"] = getattr(result.gallery, name)
    make_folder(out)
    write_tensors(out / "audit.safetensors", tensors, {})
    path = out / "audit.json"
    write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return path


def read_audit(out: Path | str) -> AuditResult:
    """Return what ``write_audit`` wrote into a folder.

    Raises: CheckpointError, if one of the two files is missing, damaged or of another version.
    """
    path = Path(out) / "audit.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    tensors, _ = read_tensors(path.with_suffix(".safetensors"))
    try:
        if record["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"it is of schema version {record['schema_version']}")
        return _result(record, tensors)
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} is no audit: {type(error).__name__}: {error}") from error


def _result(record: dict[str, Any], tensors: dict[str, Tensor]) -> AuditResult:
    settings, verdict = record["settings"], record["verdict"]
    return AuditResult(
        model=record["model"],
        data=record["data"],
        eps=float(settings["eps"]),
        norm=settings["norm"],
        budget=settings["budget"],
        seed=int(settings["seed"]),
        device=str(settings["device"]),
        batch_size=BatchSize(**settings["batch_size"]),
        labels=tensors["labels"],
        clean_correct=tensors["clean_correct"],
        outcomes=tuple(_outcome(attack, tensors) for attack in record["attacks"]),
        findings=tuple(Finding(**finding) for finding in record["findings"]),
        verdict=Verdict(
            level=verdict["level"],
            summary=verdict["summary"],
            causes=tuple(verdict["causes"]),
            reasons=tuple(verdict["reasons"]),
        ),
        untested=tuple(record["untested"]),
        fitness=tuple(Problem(**problem) for problem in record["fitness"]),
        facts=tuple(record["facts"]),
        gallery=_gallery(record, tensors),
        seconds=float(record["seconds"]),
        created=str(record["created"]),
        versions=record["versions"],
    )


def _outcome(attack: dict[str, Any], tensors: dict[str, Tensor]) -> AttackOutcome:
    attacked, broken = (tensors[f"{part}/{attack['name']}"] for part in ("attacked", "broken"))
    if attacked.shape != tensors["labels"].shape or broken.dtype != torch.bool:
        raise ValueError(f"the tensors of {attack['name']} are not of these examples")
    return AttackOutcome(
        **{name: attack[name] for name in _ATTACK_FIELDS}, attacked=attacked, broken=broken
    )


def _gallery(record: dict[str, Any], tensors: dict[str, Tensor]) -> AuditGallery | None:
    if "gallery" not in record:
        return None
    return AuditGallery(
        eps=float(record["settings"]["eps"]),
        attacks=tuple(record["gallery"]["attacks"]),
        **{name: tensors[f"gallery/{name}"] for name in _GALLERY_TENSORS},
    )
