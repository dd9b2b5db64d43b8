"""What an experiment measures with: trained networks, data, and measurements that are kept."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from steadygrad._typing import Images
from steadygrad.attacks import FGSM, Attack, describe_attack, norm_of
from steadygrad.covariance import DataFacts, prepared
from steadygrad.datasets import DataSource, ImageDataset, data_source, load_dataset
from steadygrad.errors import CheckpointError
from steadygrad.evaluation import (
    AccuracyCurve,
    AccuracyPoint,
    accuracy_curve,
    ascending_eps,
    write_evaluation,
)
from steadygrad.evaluation.provenance import run_digest
from steadygrad.experiments.measurements import Answer, Measurements, Question
from steadygrad.experiments.network import Network
from steadygrad.experiments.network_store import NetworkStore
from steadygrad.experiments.scale import Scale
from steadygrad.json_file import required
from steadygrad.models import MODELS
from steadygrad.store import Store
from steadygrad.training import EpochMetrics

__all__ = ["NOT_TRAINED", "Workbench"]

NOT_TRAINED = "the network is not trained yet"
"""Why a number is missing from an experiment that was run on the trained networks only."""

ANSWERS = "answers"
"""Folder of what was measured, within a network's run folder."""

EVALUATION_SEED = 0
"""Of the attacks' random draws, the same for every network."""


@dataclass(frozen=True, kw_only=True)
class Workbench:
    """Networks from a store, test images from ``data_dir`` (None: the hub), curves kept beside.

    validation_size: measure on images that were cut from the training set, so many of them, instead
        of test images; for choices. Equal to ``TrainingConfig.validation_size`` of the networks.
    progress: called as ``progress(what)`` when a measurement begins.
    earlier: what is known of networks that the store lacks.
    measurements: what was found with this bench, and what of ``earlier`` was used.
    """

    store: NetworkStore
    scale: Scale
    seeds: tuple[int, ...]
    data_dir: Path | None = None
    device: str = "cpu"
    validation_size: int = 0
    progress: Callable[[str], None] = lambda _: None
    earlier: Measurements = field(default_factory=Measurements)
    measurements: Measurements = field(default_factory=Measurements)
    _loaded: dict[tuple[str, int | None], ImageDataset] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )
    _ready: dict[tuple[str, str], Attack] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    def trained(self, networks: Sequence[Network]) -> tuple[Network, ...]:
        """Return those of the networks that are trained: all, unless only the trained were asked.

        What an experiment cannot measure because a network is not trained it leaves out, or gives
        the obstacle ``NOT_TRAINED``.
        """
        return tuple(network for network in networks if self.store.has(network))

    def measurable(self, networks: Sequence[Network]) -> tuple[Network, ...]:
        """Return those that are trained, or were measured earlier: ``answer`` knows of no other."""
        return tuple(n for n in networks if self.store.has(n) or self.earlier.has(n))

    def question(self, asked: str, data: ImageDataset, **more: Any) -> Question:
        """Return what is asked of a network about images: what, of which, with which draws."""
        images = {"dataset": data.name, "n": len(data), "seed": EVALUATION_SEED}
        if self.validation_size:
            images["validation_size"] = self.validation_size
        return {"asked": asked, **images, **more}

    def answer(self, network: Network, question: Question, measure: Callable[[], Answer]) -> Answer:
        """Return what ``measure`` finds of a trained network, or what was found of it earlier.

        Kept in the network's run folder, and found there unless its weights or the question have
        changed since.

        question: all that decides the answer, but the network.
        Raises: CheckpointError, if the network is not trained and was not asked this earlier.
        """
        if not self.store.has(network):
            return self.measurements.take_over(network, question, self.earlier)
        run = self.store.path(network)
        kept = Store(run / ANSWERS, notify=self.progress)
        key = {**question, "model": run_digest(run)}
        found = kept.get(key) or kept.put(key, measure(), label=str(question["asked"]))
        self.measurements.note(network, question, found.values)
        return found.values

    def model(self, network: Network) -> nn.Module:
        """Return a trained network in eval mode."""
        return self.store.load(network, self.device).model

    def metrics(self, network: Network) -> tuple[EpochMetrics, ...]:
        """Return what its training measured."""
        return self.store.metrics(network)

    def training_seconds(self, network: Network) -> float:
        """Return what its training took by the clock, with what was measured in it."""
        question = {"asked": "seconds of training"}
        if self.store.has(network):  # read from the run each time, not measured
            answer: Answer = {"seconds": sum(epoch.seconds for epoch in self.metrics(network))}
            self.measurements.note(network, question, answer)
        else:
            answer = self.measurements.take_over(network, question, self.earlier)
        return required(answer, "seconds", float, f"what was measured of {network.label}")

    def image_set(self, dataset: DataSource | str, limit: int | None) -> ImageDataset:
        """Return the first ``limit`` test images of a data set; None for all of them.

        Validation images instead, of a bench that has a ``validation_size``.
        """
        source = data_source(dataset)
        asked = source.title, limit
        if asked not in self._loaded:
            self._loaded[asked] = load_dataset(
                source,
                "validation" if self.validation_size else "test",
                data_dir=self.data_dir,
                limit=limit,
                validation_size=self.validation_size,
            )
        return self._loaded[asked]

    def prepared(self, attack: Attack, network: Network) -> Attack:
        """Return an attack ready for a network's images.

        One that learns from training images sees those that the scale has.
        """
        source = network.config.data
        asked = source.title, repr(attack)
        if asked not in self._ready:
            limit = self.scale.limit_train

            def images() -> Iterator[Images]:
                train = load_dataset(source, "train", data_dir=self.data_dir, limit=limit)
                return iter(torch.split(train.pixels, 1000))

            shape = self.image_set(source, self.scale.attacked).input_shape
            self._ready[asked] = prepared(attack, DataFacts(shape, images))
        return self._ready[asked]

    def curve(
        self, network: Network, attack: Attack, eps_values: Sequence[float], limit: int | None
    ) -> AccuracyCurve:
        """Return the accuracy at each radius, every radius attacked anew, as the papers do.

        It is one of the network's evaluations from then on. A measurement that was killed goes on
        at its last batch.
        """
        data = self.image_set(network.config.data, limit)
        run = self.store.path(network)
        weights = run_digest(run)
        self.progress(f"{network.label}: {describe_attack(attack)['name']} on {len(data)} images")
        outcomes = Store(run / "unfinished").growing(
            {
                "asked": "outcomes of batches",
                "attack": describe_attack(attack),
                "dataset": data.name,
                "n": len(data),
                "split": data.split,
                "seed": EVALUATION_SEED,
                "model": weights,
            }
        )
        curve = accuracy_curve(
            self.model(network),
            data.images(),
            data.labels,
            self.prepared(attack, network),
            eps_values,
            seed=EVALUATION_SEED,
            reuse_broken=False,
            outcomes=outcomes,
        )
        curve = replace(curve, attack=describe_attack(attack))
        write_evaluation(
            run,
            curve,
            labels=data.labels,
            dataset=data,
            model_name=MODELS.text(network.config.model),
        )
        outcomes.discard()
        return curve

    def points(
        self, network: Network, attack: Attack, eps_values: Sequence[float], limit: int | None
    ) -> tuple[AccuracyPoint, ...]:
        """Return the points of ``curve``, ascending, measured now or earlier."""
        data = self.image_set(network.config.data, limit)
        radii = ascending_eps(eps_values, norm_of(attack))
        answer = self.answer(
            network,
            self.question(
                "correct at each eps", data, attack=describe_attack(attack), eps=list(radii)
            ),
            lambda: {
                "correct": [
                    point.correct for point in self.curve(network, attack, radii, limit).points
                ]
            },
        )
        where = f"what was measured of {network.label}"
        correct = required(answer, "correct", list, where)
        if len(correct) != len(radii):
            raise CheckpointError(
                f"{where} is damaged: expected {len(radii)} counts, got {len(correct)}"
            )
        for count in correct:
            if type(count) is not int or not 0 <= count <= len(data):
                raise CheckpointError(
                    f"{where} is damaged: expected counts from 0 to {len(data)}, got {count!r}"
                )
        return tuple(
            AccuracyPoint(eps, count, len(data)) for eps, count in zip(radii, correct, strict=True)
        )

    def clean_accuracy(self, network: Network) -> AccuracyPoint:
        """Return the accuracy without attack, on the scale's clean images."""
        return self.points(network, FGSM(eps=0.0), (0.0,), self.scale.clean)[0]
