"""Adversarial examples worth keeping: made once, tried on any model, read by any program."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from steadygrad._typing import Images, Labels
from steadygrad.attacks.ball import Norm
from steadygrad.checks import PIXEL_TOLERANCE, check_images, check_labels
from steadygrad.errors import CheckpointError, OutputError, ShapeError
from steadygrad.tensor_file import read_tensors, write_tensors
from steadygrad.versions import library_versions

__all__ = [
    "AdversarialExamples",
    "load_adversarial_examples",
    "save_adversarial_examples",
]

_METADATA_KEY = "steadygrad"
"""One key only: safetensors writes several in no fixed order, and equal runs give equal bytes."""

_FORMAT = "adversarial examples"


@dataclass(frozen=True, eq=False, kw_only=True)
class AdversarialExamples:
    """What an attack made of ``n`` images of a data set, and all that decided it.

    images: (n, channels, height, width), adversarial, pixels in [0, 1].
    labels: int64 (n,), the true classes. indices: int64 (n,), places in the data set's split.
    eps: radius in pixel units; norm: in which it is measured, None for Gaussian noise, whose eps is
        a standard deviation that pixels exceed.
    attack: name and settings without eps, as JSON can hold them.
    source: name of the model attacked; source_digest, source_structure: its ``model_digest`` and
        ``structure_digest``, None for one that is no module.
    clean_digest: ``tensors_digest`` of the clean images and the labels.
    dataset, split: where the images are from; empty if nobody said.
    seed, batch_size: what the attack's draws depended on.
    versions: of steadygrad, torch and Python.
    Raises: ImageError, LabelError; ShapeError, if the indices do not fit the images.
    """

    images: Images = field(repr=False)
    labels: Labels = field(repr=False)
    indices: Tensor = field(repr=False)
    eps: float
    norm: Norm | None
    attack: dict[str, Any]
    source: str
    source_digest: str | None
    source_structure: str | None
    clean_digest: str
    dataset: str = ""
    split: str = ""
    seed: int = 0
    batch_size: int = 256
    versions: dict[str, str] = field(default_factory=library_versions)

    def __post_init__(self) -> None:
        check_images(self.images)
        check_labels(self.labels, len(self.images))
        if self.indices.dtype != torch.int64 or self.indices.shape != self.labels.shape:
            raise ShapeError(
                f"expected {len(self.images)} int64 indices, got {self.indices.dtype} of shape "
                f"{tuple(self.indices.shape)}"
            )

    def __len__(self) -> int:
        return len(self.images)

    @property
    def decisive(self) -> dict[str, Any]:
        """All that decides what the examples are, as JSON can hold it: equal settings, equal bytes.

        Versions of libraries apart.
        """
        source = ("source_digest", "source_structure")
        names = ("attack", "eps", *source, "clean_digest", "seed", "batch_size")
        return {name: getattr(self, name) for name in names}

    def check_made_from(self, images: Images, labels: Labels) -> None:
        """Refuse clean images and labels that these examples cannot have been made from.

        Asked are shapes, labels, and the distance to each clean image where there is a norm.
        Raises: ShapeError, CheckpointError.
        """
        if images.shape != self.images.shape:
            raise ShapeError(
                f"expected the clean images of examples of shape {tuple(self.images.shape)}, got "
                f"{tuple(images.shape)}"
            )
        differing = int((self.labels.cpu() != labels.cpu()).sum())
        if differing:
            raise CheckpointError(
                f"the examples made on {self.source} have other labels than the images given, "
                f"{differing} of {len(self)}"
            )
        if self.norm is None:
            return
        order = torch.inf if self.norm == "linf" else 2
        change = self.images.cpu().double() - images.cpu().double()
        farthest = change.flatten(start_dim=1).norm(order, dim=1).max().item()
        if farthest > self.eps * (1 + PIXEL_TOLERANCE) + PIXEL_TOLERANCE:
            raise CheckpointError(
                f"the examples made on {self.source} are of other images than those given: one is "
                f"{farthest:.3g} away, eps is {self.eps:g}"
            )


def save_adversarial_examples(path: Path | str, examples: AdversarialExamples) -> None:
    """Write the examples as safetensors, everything but the tensors as JSON in its metadata.

    Tensors ``images``, ``labels`` and ``indices``; atomic. Folders are made as needed.
    Raises: OutputError.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot write {path.parent}: {error.strerror or error}") from error
    tensors = {name: getattr(examples, name) for name in _TENSORS}
    said = {name: getattr(examples, name) for name in _SAID}
    record = json.dumps({"format": _FORMAT} | said, sort_keys=True, allow_nan=False)
    write_tensors(path, tensors, {_METADATA_KEY: record})


def load_adversarial_examples(path: Path | str) -> AdversarialExamples:
    """Return what ``save_adversarial_examples`` wrote, on the CPU; nothing is executed.

    Raises: CheckpointError, if the file is missing, damaged, or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"no adversarial examples at {path}")
    tensors, metadata = read_tensors(path)
    record = _record(path, metadata)
    missing = [name for name in _TENSORS if name not in tensors]
    missing += [name for name in _SAID if name not in record]
    if missing:
        raise CheckpointError(f"{path} lacks {missing[0]!r} of its adversarial examples")
    said = {name: record[name] for name in _SAID}
    try:
        _check_kinds(said)
        return AdversarialExamples(
            images=tensors["images"], labels=tensors["labels"], indices=tensors["indices"], **said
        )
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error


_TENSORS = ("images", "labels", "indices")
_SAID = tuple(f.name for f in fields(AdversarialExamples) if f.name not in _TENSORS)
_KINDS: Mapping[str, tuple[type, ...]] = {
    "eps": (int, float),
    "norm": (str, type(None)),
    "attack": (dict,),
    "source_digest": (str, type(None)),
    "source_structure": (str, type(None)),
    "seed": (int,),
    "batch_size": (int,),
    "versions": (dict,),
}
"""What JSON may hold for each name; a text for those not here."""


def _record(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    try:
        record = json.loads(metadata[_METADATA_KEY])
    except KeyError:
        raise CheckpointError(f"{path} holds tensors, but no adversarial examples") from None
    except ValueError as error:
        raise CheckpointError(f"{path} is damaged: {error}") from error
    if not isinstance(record, dict) or record.get("format") != _FORMAT:
        raise CheckpointError(f"{path} is a file of steadygrad, but holds no adversarial examples")
    return record


def _check_kinds(said: Mapping[str, Any]) -> None:
    for name, value in said.items():
        if not isinstance(value, _KINDS.get(name, (str,))) or isinstance(value, bool):
            raise ValueError(f"{name} cannot be {value!r}")
    if said["norm"] not in (None, "linf", "l2"):
        raise ValueError(f"expected norm linf, l2 or none, got {said['norm']!r}")
