"""The covariances that a text or a table can name, fixed and running, and their simplest sources.

exponential:8                      fixed: what it is follows from the settings and the images
stationary:decay=0.2,source=pgd    running: learned from perturbations while a network trains
"""

import hashlib
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, ClassVar

from torch import Tensor

from steadygrad.covariance.closed_form import ExponentialCovariance, IdentityCovariance
from steadygrad.covariance.estimation import (
    BlockStructure,
    DenseStructure,
    Estimator,
    RadialStructure,
    StationaryStructure,
    streamed_covariance,
)
from steadygrad.covariance.files import load_covariance
from steadygrad.covariance.operator import Covariance, FixedCovariance
from steadygrad.covariance.part import SOURCES, DataFacts, covariance, source
from steadygrad.covariance.running import RunningCovariance, check_decay
from steadygrad.errors import CheckpointError, HyperparameterError

__all__ = [
    "Block",
    "CovarianceFile",
    "Dataset",
    "Dense",
    "Exponential",
    "GradientSource",
    "Identity",
    "Radial",
    "SignSource",
    "Stationary",
]

_FRESH_SECONDS = 2.0
"""So soon after a file was written, another write may leave its size and times as they are."""


# What a running covariance learns from, as far as it needs no attack.


@source("gradient", title="Loss gradient")
@dataclass(frozen=True)
class GradientSource:
    """The input gradients that the penalty computes anyway."""

    def attack(self) -> None:
        """Return None."""

    def of_gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient."""
        return gradient


@source("fgsm", title="FGSM")
@dataclass(frozen=True)
class SignSource:
    """The signs of the input gradients that the penalty computes anyway."""

    def attack(self) -> None:
        """Return None."""

    def of_gradient(self, gradient: Tensor) -> Tensor:
        """Return the gradient's sign."""
        return gradient.sign()


# Fixed.


@covariance("identity", title="Identity")
@dataclass(frozen=True, kw_only=True)
class Identity:
    """White noise: every pixel by itself, with variance 1."""

    def build(self, facts: DataFacts) -> FixedCovariance:
        """Return the operator."""
        return IdentityCovariance(facts.image_shape)


@covariance("exponential", title="Exponential")
@dataclass(frozen=True)
class Exponential:
    """``exp(-r / decay_length)`` within a channel, ``inter_channel`` times that between two.

    Args:
        decay_length: in pixels, positive.
        inter_channel: correlation of two channels of one pixel, in [-1, 1].

    Source: Roth et al., arXiv:1805.08736, section 4.3.
    """

    positional: ClassVar[str] = "decay_length"

    decay_length: float = 8.0
    inter_channel: float = 0.5

    def __post_init__(self) -> None:
        ExponentialCovariance((1, 1, 1), self.decay_length, inter_channel=self.inter_channel)

    def build(self, facts: DataFacts) -> FixedCovariance:
        """Return the operator.

        Raises:
            HyperparameterError: ``inter_channel`` is too negative for so many channels.
        """
        return ExponentialCovariance(
            facts.image_shape, self.decay_length, inter_channel=self.inter_channel
        )


@covariance("dataset", title="Training images")
@dataclass(frozen=True, kw_only=True)
class Dataset:
    """That of the training images about their mean image, stationary, with a unit mean diagonal.

    The paper's average over the pairs of pixels ("unbiased"), which an image's edge does not taper.

    Source: Roth et al., arXiv:1805.08736, Fig. 1 and section 4.3.
    """

    def build(self, facts: DataFacts) -> Covariance:
        """Return the operator, after two passes over the images.

        Raises:
            HyperparameterError: ``facts`` has no images.
            CovarianceError: the images are all equal.
        """
        if facts.images is None:
            raise HyperparameterError(
                "expected the training images along with covariance 'dataset', got none"
            )
        structure = StationaryStructure(estimator="unbiased", repair_steps=30)
        return streamed_covariance(facts.images, structure)


@covariance("file", title="File")
@dataclass(frozen=True)
class CovarianceFile:
    """A covariance that ``save_covariance`` wrote, at the scale that it has there.

    Args:
        path: of the file; it is read when the covariance is built.
    """

    positional: ClassVar[str] = "path"

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path))

    def record(self) -> dict[str, str]:
        """Return what results say of it: the file's name and the SHA-256 of what is in it now.

        The name alone would let a changed file pass for the same covariance.

        Raises:
            CheckpointError: the file cannot be read.
        """
        try:
            digest = _digest(self.path)
        except OSError as error:
            raise CheckpointError(
                f"cannot read the covariance file {self.path}: {error.strerror or error}"
            ) from error
        return {"file": self.path.name, "digest": digest}

    def build(self, facts: DataFacts) -> FixedCovariance:  # noqa: ARG002 - built() compares the size
        """Return what the file holds.

        Raises:
            CheckpointError: it is missing, damaged or holds no covariance.
        """
        return load_covariance(self.path)


def _digest(path: Path) -> str:
    """Return the SHA-256 of a file, which is read again only after it was written again."""
    state = path.stat()
    if time.time() - max(state.st_mtime, state.st_ctime) < _FRESH_SECONDS:
        return _read_digest(path)
    times = state.st_mtime_ns, state.st_ctime_ns
    return _digest_in_state(path, state.st_dev, state.st_ino, state.st_size, *times)


@lru_cache(maxsize=8)
def _digest_in_state(path: Path, *_state: int) -> str:
    return _read_digest(path)


def _read_digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


# Running.


@dataclass(frozen=True, kw_only=True)
class _Running:
    decay: float = 0.1
    source: Annotated[Any, SOURCES] = SignSource()
    every: int = 1
    mean: bool = False

    def __post_init__(self) -> None:
        check_decay(self.decay)
        if self.every < 1:
            raise HyperparameterError(f"expected every >= 1, got {self.every}")
        object.__setattr__(self, "source", SOURCES.of(self.source))
        self._structure()

    def build(self, facts: DataFacts) -> RunningCovariance:  # noqa: ARG002 - it takes what it is shown
        """Return a running covariance that has seen nothing yet."""
        return RunningCovariance(self._structure(), decay=self.decay)

    def _structure(self) -> Any:
        raise NotImplementedError


_LEARNING = """
    Args:
        decay: weight of the current batch in the running average, in (0, 1]; the paper's beta.
        source: the perturbations it learns from, before each batch's penalty is taken: "gradient"
            and "fgsm" cost no extra pass, "pgd" and "deepfool" run an attack.
        every: update the covariance every N batches, at least 1.
        mean: add the shift of uncentred perturbations to a penalty (Roth et al., Eq. 12)."""


@covariance("dense", title="Dense", is_running=True)
@dataclass(frozen=True, kw_only=True)
class Dense(_Running):
    """Learned, every pair of pixels by itself, for small images: see ``DenseStructure``."""

    def _structure(self) -> DenseStructure:
        return DenseStructure()


@covariance("stationary", title="Stationary", is_running=True)
@dataclass(frozen=True, kw_only=True)
class Stationary(_Running):
    """Learned, a function of the displacement between two pixels: see ``StationaryStructure``."""

    estimator: Estimator = "biased"
    repair_steps: int = 10

    def _structure(self) -> StationaryStructure:
        return StationaryStructure(estimator=self.estimator, repair_steps=self.repair_steps)


@covariance("radial", title="Radial", is_running=True)
@dataclass(frozen=True, kw_only=True)
class Radial(_Running):
    """Learned, a function of the rounded distance of two pixels: see ``RadialStructure``."""

    repair_steps: int = 10

    def _structure(self) -> RadialStructure:
        return RadialStructure(repair_steps=self.repair_steps)


@covariance("block", title="Block", is_running=True)
@dataclass(frozen=True, kw_only=True)
class Block(_Running):
    """Learned, the same for all pairs of rows equally far apart: see ``BlockStructure``."""

    reach: int = 8
    repair_steps: int = 3

    def _structure(self) -> BlockStructure:
        return BlockStructure(reach=self.reach, repair_steps=self.repair_steps)


for _part in (Stationary, Dense, Radial, Block):
    _part.__doc__ = f"{_part.__doc__}\n{_LEARNING}\n"
