"""What became of adversarial examples made on some models when others were shown them."""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from steadygrad._typing import Labels
from steadygrad.attacks.ball import Norm
from steadygrad.errors import HyperparameterError, ShapeError, UnknownNameError
from steadygrad.evaluation.curve import AccuracyPoint

__all__ = ["TransferMatrix"]


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
    only_common: count only images that every source and victim has right without attack; otherwise
        all count, as in both papers.
    Source: Yeats, Chen & Li, ICML 2021, Table 2; Roth et al., arXiv:1805.08736, Table 1, whose
        transfer of a method to itself uses a second, independently trained model: make that
        model the victim.
    Raises: ShapeError; HyperparameterError, if names repeat, or if no image counts.
    """

    attack: dict[str, Any]
    eps: float
    norm: Norm | None
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
                f"expected an image that all models have right without attack, got none of {n}"
            )

    @property
    def n(self) -> int:
        """Number of images."""
        return len(self.labels)

    @property
    def common(self) -> Tensor:
        """Which images every source and victim has right without attack, bool (n,)."""
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

        ``n`` images were attacked, ``common`` of them all models have right, ``counted`` count.
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
