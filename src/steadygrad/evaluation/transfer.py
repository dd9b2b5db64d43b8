"""Transfer: adversarial examples made on some models, tried on others."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.atomic_file import write_atomically
from steadygrad.attacks import Attack
from steadygrad.attacks.ball import AnyNorm
from steadygrad.errors import (
    CheckpointError,
    HyperparameterError,
    OutputError,
    ShapeError,
    UnknownNameError,
)
from steadygrad.evaluation.accuracy import correct, model_device
from steadygrad.evaluation.adversarial_examples import craft_adversarial_examples
from steadygrad.evaluation.curve import AccuracyPoint
from steadygrad.evaluation.provenance import model_fingerprint, weights_digest
from steadygrad.json_file import read_object, required
from steadygrad.store import Store
from steadygrad.tensor_file import read_tensors, write_tensors
from steadygrad.versions import library_versions

__all__ = [
    "TransferMatrix",
    "read_transfer",
    "transfer_matrix",
    "write_transfer",
]


@dataclass(frozen=True, eq=False, kw_only=True)
class TransferMatrix:
    """Rows are ``V`` victims, columns the ``S`` sources of the examples, over ``n`` images.

    attack: name and settings without eps, as JSON can hold them. eps, norm: as in
        ``AdversarialExamples``.
    sources, victims: names, each once; source_digests, victim_digests: their ``model_digest``.
    is_self: bool (V, S), whether the victim is the very model that the examples were made on.
    correct: bool (V, S, n), whether the victim has the adversarial example right.
    self_correct: bool (S, n), whether the source itself has: the "self" row.
    clean_victims, clean_sources: bool (V, n) and (S, n), who has the clean image right.
    labels: int64 (n,).
    only_common: count only images that all networks classify correctly without attack; otherwise
        all count, as in both papers.
    Source: Yeats, Chen & Li, ICML 2021, Table 2; Roth et al., arXiv:1805.08736, Table 1, whose
        transfer of a method to itself uses a second, independently trained model: make that
        model the victim.
    Raises: ShapeError; HyperparameterError, if names repeat, or if no image counts.
    """

    attack: dict[str, Any]
    eps: float
    norm: AnyNorm | None
    sources: tuple[str, ...]
    victims: tuple[str, ...]
    source_digests: tuple[str | None, ...]
    victim_digests: tuple[str | None, ...]
    is_self: Tensor = field(repr=False)
    correct: Tensor = field(repr=False)
    self_correct: Tensor = field(repr=False)
    clean_victims: Tensor = field(repr=False)
    clean_sources: Tensor = field(repr=False)
    labels: Labels = field(repr=False)
    only_common: bool
    seed: int
    seconds: float

    def __post_init__(self) -> None:
        for names in (self.sources, self.victims):
            if not names or len(set(names)) < len(names):
                raise HyperparameterError(
                    f"expected one model or more, each name once, got {', '.join(names) or 'none'}"
                )
        rows, columns, n = len(self.victims), len(self.sources), len(self.labels)
        shapes = {
            "is_self": (rows, columns),
            "correct": (rows, columns, n),
            "self_correct": (columns, n),
            "clean_victims": (rows, n),
            "clean_sources": (columns, n),
        }
        for name, shape in shapes.items():
            tensor = getattr(self, name)
            if tensor.shape != shape or tensor.dtype != torch.bool:
                raise ShapeError(
                    f"expected {name} bool of shape {shape}, got {tensor.dtype} of shape "
                    f"{tuple(tensor.shape)}"
                )
        if not self.counted.any():
            raise HyperparameterError(
                "expected an image that all models classify correctly without attack, "
                f"got none of {n}"
            )

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def common(self) -> Tensor:
        """Which images all networks classify correctly without attack, bool (n,)."""
        return self.clean_victims.all(dim=0) & self.clean_sources.all(dim=0)

    @property
    def counted(self) -> Tensor:
        """Which images count, bool (n,)."""
        return self.common if self.only_common else torch.ones_like(self.common)

    def cell(self, victim: str, source: str) -> AccuracyPoint:
        """Return the victim's accuracy on the examples made on the source.

        Raises: UnknownNameError, listing the names.
        """
        row, column = _place(victim, self.victims, "victim"), _place(source, self.sources, "source")
        return self._point(self.correct[row, column], self.eps)

    def self_cell(self, source: str) -> AccuracyPoint:
        """Return the accuracy of the source on its own examples: the attack in the open."""
        return self._point(self.self_correct[_place(source, self.sources, "source")], self.eps)

    def clean_cell(self, victim: str) -> AccuracyPoint:
        """Return the victim's accuracy on the clean images."""
        return self._point(self.clean_victims[_place(victim, self.victims, "victim")], 0.0)

    def is_own(self, victim: str, source: str) -> bool:
        """Say whether the two are one and the same model."""
        row, column = _place(victim, self.victims, "victim"), _place(source, self.sources, "source")
        return bool(self.is_self[row, column])

    def to_json(self) -> dict[str, Any]:
        """Return every accuracy with its number of images and 95 % interval, and what decided it.

        ``n`` images were attacked; all models classify ``common`` of them correctly; ``counted``
        count.
        """
        return {
            "attack": dict(self.attack),
            "eps": self.eps,
            "norm": self.norm,
            "n": self.n,
            "common": int(self.common.sum()),
            "counted": int(self.counted.sum()),
            "only_common": self.only_common,
            "sources": [
                {"name": name, "digest": digest, "self": _accuracy(self.self_cell(name))}
                for name, digest in zip(self.sources, self.source_digests, strict=True)
            ],
            "victims": [
                {"name": name, "digest": digest, "clean": _accuracy(self.clean_cell(name))}
                for name, digest in zip(self.victims, self.victim_digests, strict=True)
            ],
            "cells": [
                {
                    "victim": victim,
                    "source": source,
                    "is_self": self.is_own(victim, source),
                    **_accuracy(self.cell(victim, source)),
                }
                for victim in self.victims
                for source in self.sources
            ],
            "seed": self.seed,
            "seconds": self.seconds,
        }

    def _point(self, right: Tensor, eps: float) -> AccuracyPoint:
        counted = self.counted
        return AccuracyPoint(eps=eps, correct=int(right[counted].sum()), n=int(counted.sum()))


def _place(name: str, names: tuple[str, ...], kind: str) -> int:
    if name not in names:
        raise UnknownNameError(f"expected {kind} one of {', '.join(names)}, got {name!r}")
    return names.index(name)


def _accuracy(point: AccuracyPoint) -> dict[str, Any]:
    return {"accuracy": point.accuracy, "n": point.n, "ci95": list(point.ci95)}


def transfer_matrix(
    sources: Mapping[str, Classifier],
    images: Images,
    labels: Labels,
    attack: Attack,
    *,
    victims: Mapping[str, Classifier] | None = None,
    only_common: bool = False,
    batch_size: int = 256,
    seed: int = 0,
    device: torch.device | str | None = None,
    store: Store | None = None,
    dataset: str = "",
    split: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> TransferMatrix:
    """Attack every source, show the examples to every victim, count who is right.

    sources, victims: models by name; without victims each source is shown the examples of all.
    images: (n, channels, height, width) in [0, 1]; labels int64 (n,). All are attacked, also those
        that a source has wrong.
    attack: at its own eps.
    only_common: count only images that every model classifies correctly without attack, see
        ``TransferMatrix``.
    store: where each source's examples are kept and found again by a later call, if weights,
        attack, images, seed and batch size agree: a call that was stopped goes on, another victim
        costs no attack. Only of modules with weights, which a digest can tell apart, and of an
        attack that is a dataclass.
    dataset, split: where the images are from, for the examples' records.
    batch_size, seed, device: as in ``craft_adversarial_examples``.
    progress: called as ``progress(done, total)``, counting every image once for each source.

    Raises: ImageError, LabelError, ModelError, HyperparameterError; OutputError, if examples cannot
        be written.
    """
    began = time.perf_counter()
    victims = sources if victims is None else victims
    if not sources or not victims:
        raise HyperparameterError("expected at least one source and one victim, got none")
    done, total = 0, len(images) * len(sources)

    def report(more: int) -> None:
        nonlocal done
        done += more
        if progress is not None:
            progress(done, total)

    def right(model: Classifier, shown: Images) -> Tensor:
        return correct(model, shown, labels, batch_size, device)

    clean_sources = torch.stack([right(model, images) for model in sources.values()])
    clean_victims = torch.stack([right(model, images) for model in victims.values()])
    own, columns = [], []
    for name, model in sources.items():
        examples = craft_adversarial_examples(
            model,
            images,
            labels,
            attack,
            source=name,
            dataset=dataset,
            split=split,
            batch_size=batch_size,
            seed=seed,
            device=device,
            store=store,
            progress=report,
        )
        own.append(right(model, examples.images))
        columns.append(torch.stack([right(victim, examples.images) for victim in victims.values()]))
    models = {id(model): model for model in (*sources.values(), *victims.values())}
    digests = {key: weights_digest(model) for key, model in models.items()}
    # The same for modules of the same weights that print and behave alike.
    identities = {
        key: key
        if digests[key] is None
        else model_fingerprint(model, images, model_device(model, images, device))
        for key, model in models.items()
    }
    return TransferMatrix(
        attack=examples.attack,
        eps=examples.eps,
        norm=examples.norm,
        sources=tuple(sources),
        victims=tuple(victims),
        source_digests=tuple(digests[id(source)] for source in sources.values()),
        victim_digests=tuple(digests[id(victim)] for victim in victims.values()),
        is_self=torch.tensor(
            [
                [identities[id(victim)] == identities[id(source)] for source in sources.values()]
                for victim in victims.values()
            ],
            device="cpu",
        ),
        correct=torch.stack(columns, dim=1),
        self_correct=torch.stack(own),
        clean_victims=clean_victims,
        clean_sources=clean_sources,
        labels=labels.cpu(),
        only_common=only_common,
        seed=seed,
        seconds=time.perf_counter() - began,
    )


_TENSORS = ("is_self", "correct", "self_correct", "clean_victims", "clean_sources", "labels")


def write_transfer(
    path: Path | str, matrix: TransferMatrix, *, dataset: Mapping[str, Any] | None = None
) -> Path:
    """Write ``matrix.to_json()`` at ``path``, each image's outcome in ``.safetensors`` beside it.

    dataset: what the images are from, as JSON can hold it, for the record.
    Each file is whole or not there, and the JSON file comes last: where it is, both are.
    Raises: OutputError.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror or error}") from error
    tensors = {name: getattr(matrix, name) for name in _TENSORS}
    write_tensors(path.with_suffix(".safetensors"), tensors, {})
    record = matrix.to_json() | {
        "dataset": None if dataset is None else dict(dataset),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": library_versions(),
    }
    write_atomically(path, (json.dumps(record, indent=2, allow_nan=False) + "\n").encode())
    return path


def read_transfer(path: Path | str) -> TransferMatrix:
    """Return what ``write_transfer`` wrote at ``path``, the JSON file.

    Raises: CheckpointError, if one of the two files is missing, damaged or of another matrix.
    """
    path = Path(path)
    record = read_object(path)
    beside = path.with_suffix(".safetensors")
    if not beside.is_file():
        raise CheckpointError(f"{path} has no {beside.name} beside it")
    tensors, _ = read_tensors(beside)
    try:
        return _matrix(record, tensors, str(path))
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(
            f"{path} is not a transfer matrix: {type(error).__name__}: {error}"
        ) from error


def _matrix(record: Mapping[str, Any], tensors: Mapping[str, Tensor], where: str) -> TransferMatrix:
    matrix = TransferMatrix(
        attack=required(record, "attack", dict, where),
        eps=required(record, "eps", float, where),
        norm=record["norm"],
        sources=tuple(str(source["name"]) for source in record["sources"]),
        victims=tuple(str(victim["name"]) for victim in record["victims"]),
        source_digests=tuple(source["digest"] for source in record["sources"]),
        victim_digests=tuple(victim["digest"] for victim in record["victims"]),
        only_common=required(record, "only_common", bool, where),
        seed=required(record, "seed", int, where),
        seconds=required(record, "seconds", float, where),
        is_self=tensors["is_self"],
        correct=tensors["correct"],
        self_correct=tensors["self_correct"],
        clean_victims=tensors["clean_victims"],
        clean_sources=tensors["clean_sources"],
        labels=tensors["labels"],
    )
    if matrix.to_json()["cells"] != record["cells"]:
        raise ValueError("the outcomes beside it give other accuracies")
    return matrix
