"""Everything that decides a training run, as one value: a nest of parts."""

import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from steadygrad.attacks import ATTACKS, Attack
from steadygrad.datasets import AUGMENTATIONS, DATA_SOURCES, AugmentationStep, DataSource
from steadygrad.errors import HyperparameterError, SteadygradError
from steadygrad.models import MODELS, ModelSource
from steadygrad.parts import (
    absolute_path,
    build_part,
    part_fields,
    paths_changed,
    plain_settings,
    read_nested,
    read_plain,
)
from steadygrad.penalties import LOSSES, PENALTIES, BinaryCrossEntropy, CrossEntropy, ExampleLoss
from steadygrad.training.averaging import AVERAGES, Averaging
from steadygrad.training.clipping import CLIPPINGS, Clipping
from steadygrad.training.mixing import MIXINGS, Mixing
from steadygrad.training.optimizers import OPTIMIZERS, SGD, OptimizerPart
from steadygrad.training.schedules import SCHEDULES, Constant, Schedule
from steadygrad.training.tracking import TRACKERS, Tracker
from steadygrad.training.tuning import TUNINGS, Tuning

__all__ = ["Precision", "TrainingConfig", "naming_file", "read_settings"]

Precision: TypeAlias = Literal["float32", "bf16"]
"""In what a step's forward passes compute; see ``TrainingConfig``."""


@dataclass(frozen=True, kw_only=True)
class TrainingConfig:
    """A training run; two equal ones give the same numbers on the same machine.

    Every part may be given as an object, as text (``"norm:eps=8/255"``) or as a table. Paths in
    them, of data, weights, runs and covariance files, become absolute: a run is used from anywhere.

    Args:
        data: the image set, a name, a path or a part of ``steadygrad.datasets.DATA_SOURCES``.
        model: the network, a part of ``steadygrad.models.MODELS``.
        penalty: added to the loss, a part of ``steadygrad.penalties.PENALTIES``; None for none.
        penalty_every: the penalty is taken in every n-th step, at n times its weight, and left out
            of the others, which then cost what plain steps do.
        ramp: how the penalty is let in, a schedule such as ``ramp:5``; None for at once. Steps in
            which nothing of it counts leave it out, but for the first.
        loss: of single images, a part of ``steadygrad.penalties.LOSSES``.
        attack: what each batch is under, a part of ``steadygrad.attacks.ATTACKS``, crafted with
            the network in eval mode; ``mixture`` attacks a fraction of each batch.
        augmentation: changes of each batch, in this order, before the attack; the penalty is taken
            at the changed images. Parts of ``steadygrad.datasets.AUGMENTATIONS``.
        mixing: of the augmented images in pairs, with soft labels, a part of ``MIXINGS``.
        tuning: of a trained network: frozen layers, lower rates, a part of ``TUNINGS``.
        optimizer: a part of ``OPTIMIZERS``. schedule: multiplies its learning rate, before every
            step, a part of ``SCHEDULES``.
        averaging: of the weights, kept and measured beside the raw ones, a part of ``AVERAGES``.
        clipping: of the parameter gradient, a part of ``CLIPPINGS``. A strong penalty can make
            single steps enormous.
        epochs, batch_size: at least 1.
        accumulate: parts, at least 1, into which each process cuts its batch to need less memory;
            none has less than 2 images. The loss of one after the other is differentiated, and the
            optimizer takes one step with the sum: that of the whole batch, to rounding, unless its
            images meet. Batch norms see one part at a time, and a running covariance learns from
            each in turn.
        precision: "float32"; "bf16" for the passes of a step, the penalty's and the attack's
            included, under ``torch.autocast``. Weights, sums and measurements stay float32.
        limit_train: the first N training examples only. validation_size: examples cut from the
            training set to measure loss and accuracy on after each epoch. test_images: also
            measure this many of the first test images after each epoch, for curves only; select
            nothing by them.
        seed: decides initialisation, order, augmentation, dropout and attacks, each from a stream
            of its own. The validation split does not depend on it: runs of several seeds stay
            comparable.
        device: "auto" (CUDA if there is one), or a torch device.
        cuda_graph: record the gradient of the first batch as a CUDA graph and replay it in every
            step: many times faster for small networks on a GPU. For penalties that do not learn
            and no attack, in one process; see ``CapturedGradient``.
        shard: each of several processes holds a part of the weights, of their gradient, of the
            optimizer's state and of the average (FSDP2), and gathers the whole network for the
            passes of a step. In a single process there is nothing to divide.
        update_similarity: record the cosine between plain and penalised updates (Yeats et al. 2021,
            Eq. 11); one more backward pass a step.
        trackers: where the metrics of each epoch go besides the run folder, parts of ``TRACKERS``.
        checkpoint_seconds: least time between two checkpoints within an epoch.

    Raises:
        UnknownNameError: there is no part of such a name.
        HyperparameterError: a value is of another type or outside its range, or there is a ramp
            without a penalty.
    """

    data: Annotated[DataSource, DATA_SOURCES]
    model: Annotated[ModelSource, MODELS]
    penalty: Annotated[Any | None, PENALTIES] = None
    penalty_every: int = 1
    ramp: Annotated[Schedule | None, SCHEDULES] = None
    loss: Annotated[ExampleLoss, LOSSES] = CrossEntropy()
    attack: Annotated[Attack | None, ATTACKS] = None
    augmentation: Annotated[tuple[AugmentationStep, ...], AUGMENTATIONS] = ()
    mixing: Annotated[Mixing | None, MIXINGS] = None
    tuning: Annotated[Tuning | None, TUNINGS] = None
    optimizer: Annotated[OptimizerPart, OPTIMIZERS] = SGD()
    schedule: Annotated[Schedule, SCHEDULES] = Constant()
    averaging: Annotated[Averaging | None, AVERAGES] = None
    clipping: Annotated[Clipping | None, CLIPPINGS] = None
    epochs: int = 15
    batch_size: int = 64
    accumulate: int = 1
    precision: Precision = "float32"
    limit_train: int | None = None
    validation_size: int = 0
    test_images: int = 0
    seed: int = 0
    device: str = "auto"
    cuda_graph: bool = False
    shard: bool = False
    update_similarity: bool = False
    trackers: Annotated[tuple[Tracker, ...], TRACKERS] = ()
    checkpoint_seconds: float = 60.0

    def __post_init__(self) -> None:
        read_nested(self)
        for setting in part_fields(self):
            if setting.family is None:
                given = getattr(self, setting.key)
                read = read_plain(f"training: {setting.key}", given, setting.annotation)
                object.__setattr__(self, setting.key, read)
        for key, part in paths_changed(self, absolute_path).items():
            object.__setattr__(self, key, part)
        if isinstance(self.optimizer, SGD) and self.optimizer.nesterov is None:
            is_frozen = getattr(self.model, "second_order", "exact") == "frozen_phase"
            nesterov = self.optimizer.momentum > 0 and not is_frozen
            object.__setattr__(self, "optimizer", replace(self.optimizer, nesterov=nesterov))
        for name in ("epochs", "batch_size", "accumulate", "penalty_every"):
            self._require(name, getattr(self, name) >= 1, ">= 1")
        for name in ("validation_size", "test_images", "seed", "checkpoint_seconds"):
            self._require(name, getattr(self, name) >= 0, ">= 0")
        self._require("limit_train", self.limit_train is None or self.limit_train >= 1, ">= 1")
        if isinstance(self.loss, BinaryCrossEntropy):
            raise HyperparameterError(
                "expected a loss of one logit a class for a training, got "
                f"{LOSSES.text(self.loss)}, which is for one logit an image in a loop of your own; "
                "take cross-entropy with two classes"
            )
        if self.mixing is not None and self.attack is not None:
            raise HyperparameterError(
                f"expected mixing {MIXINGS.text(self.mixing)} or an attack, not both: an attack "
                "needs one label an image"
            )
        if self.penalty is None:
            self._refuse_what_needs_a_penalty()

    def _refuse_what_needs_a_penalty(self) -> None:
        if self.ramp is not None:
            raise HyperparameterError(
                f"expected a penalty along with the ramp {SCHEDULES.text(self.ramp)}, got none"
            )
        if self.penalty_every != 1:
            raise HyperparameterError(
                f"expected a penalty along with penalty_every {self.penalty_every}, got none"
            )

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise HyperparameterError(f"expected {name} {allowed}, got {getattr(self, name)}")

    @property
    def model_text(self) -> str:
        """The model in text, for reports and folders."""
        return MODELS.text(self.model)

    @property
    def data_title(self) -> str:
        """The data set's name, for reports."""
        return self.data.title

    def held_out_of(self, data: DataSource) -> int:
        """Return how many images of a data set the run holds out: none of another than its own."""
        return self.validation_size if data.title == self.data_title else 0

    def to_dict(self) -> dict[str, Any]:
        """Return all settings, defaults included, as tables and values that JSON can hold."""
        return plain_settings(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainingConfig":
        """Return the configuration with these settings, and defaults for the others.

        Raises:
            UnknownNameError, HyperparameterError: a setting is unknown, missing or refused; the
                sentence names it and those there are.
        """
        config: TrainingConfig = build_part(cls, "training", values)
        return config

    @classmethod
    def from_toml(cls, path: Path | str, **overrides: Any) -> "TrainingConfig":
        """Return the configuration in a TOML file, with some settings replaced.

        Raises:
            UnknownNameError, HyperparameterError: as ``from_dict``, or the file is not TOML.
        """
        settings = read_settings(path) | overrides
        with naming_file(path):
            return cls.from_dict(settings)


@contextmanager
def naming_file(path: Path | str | None) -> Iterator[None]:
    """Name the file that a configuration begins with, if any, in what is refused of it."""
    try:
        yield
    except SteadygradError as error:
        if path is not None:
            error.args = (f"{error} (settings of {path} and those given with it)",)
        raise


def read_settings(path: Path | str) -> dict[str, Any]:
    """Return the settings of a TOML file whose keys are the fields of ``TrainingConfig``.

    They are not complete or checked yet: the command line may override some first.

    Raises:
        HyperparameterError: the file cannot be read or is not TOML.
    """
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise HyperparameterError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise HyperparameterError(f"{path} is not valid TOML: {error}") from error
