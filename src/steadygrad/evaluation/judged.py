"""What the commands measure: any network, and the images that it is judged on."""

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from steadygrad.datasets import (
    DATA_SOURCES,
    DatasetEntry,
    DataSource,
    ImageDataset,
    data_source,
    load_dataset,
)
from steadygrad.datasets.loading import Split
from steadygrad.errors import HyperparameterError, ModelError
from steadygrad.evaluation.model_names import short_name
from steadygrad.evaluation.provenance import run_digest, weights_digest
from steadygrad.models import Classifier, ModelSource, RunModel, bare, load_classifier, model_source
from steadygrad.models.classifier import check_fits
from steadygrad.models.model_file import spec_of_run
from steadygrad.models.registry import innermost
from steadygrad.parts import with_absolute_paths
from steadygrad.training import ModelSpec, RunFolder, TrainingConfig, load_run_model
from steadygrad.training.process_group import device_of_process

__all__ = ["JudgedModel", "load_judged"]


@dataclass(frozen=True, eq=False)
class JudgedModel:
    """A network in eval mode, and images that fit it.

    Args:
        model: from images in [0, 1] to logits.
        target: how it was named.
        name: what people call it: the run's folder, or the text that named it.
        model_name: what stored results call the architecture.
        images: of one split.
        run: the folder, of a run of ``steadygrad train``; None for a model from outside.
        config: what the run was trained with; None for a model from outside.
        dataset: which data set was asked for; None for the run's own.
        data_dir: where the data lie, None for the hub.
        image_size: side to which the images were scaled; None for images as they come.
        weights: of a model from outside, the folder of the run that it was trained in.
        about: what was taken from the model's own configuration, a sentence or "".
    """

    model: nn.Module
    target: str
    name: str
    model_name: str
    images: ImageDataset
    run: Path | None = None
    config: TrainingConfig | None = None
    dataset: DataSource | str | None = None
    data_dir: Path | None = None
    image_size: int | None = None
    weights: Path | None = None
    about: str = ""

    @property
    def digest(self) -> str | None:
        """SHA-256 of the run's weights' file, or of the weights of a model from outside.

        None if a model's state cannot be told from another's.
        """
        run = self.run or self.weights
        return weights_digest(self.model) if run is None else run_digest(run)

    def training_images(self) -> ImageDataset:
        """Return what the run was trained on; of a model from outside, its data set's part."""
        if self.config is None:
            assert self.dataset is not None
            return load_dataset(
                self.dataset, "train", data_dir=self.data_dir, image_size=self.image_size
            )
        return load_dataset(
            self.config.data,
            "train",
            data_dir=self.data_dir,
            image_size=self.image_size,
            limit=self.config.limit_train,
            validation_size=self.config.validation_size,
        )


def load_judged(
    target: Path | str,
    *,
    limit: int | None,
    weights: Path | None = None,
    dataset: DataSource | str | None = None,
    data_dir: Path | None = None,
    split: Split = "test",
    image_size: int | None = None,
    device: str = "auto",
) -> JudgedModel:
    """Load a network and the first ``limit`` images of a split.

    Args:
        target: folder of a run, or a model as ``steadygrad.models.model_source`` reads it.
        limit: None takes all images.
        weights: a file that takes the place of the own weights of a model from outside.
        dataset: None takes the run's; a model from outside has none of its own.
        data_dir: folder with local copies; None takes the run's, or the hub.
        split: which images.
        image_size: scale and crop the images to squares of this side.
        device: where the network is put; of several GPUs and processes, each takes its own.

    Raises:
        UnknownNameError, HyperparameterError: there is no such model, or no data set was given.
        CheckpointError: the run or the weights are missing or damaged.
        DatasetError: the images cannot be read.
        ModelError: the network was built for other images or classes.
    """
    source = RunModel(path=target) if isinstance(target, Path) else model_source(target, weights)
    if isinstance(source, RunModel):
        return _of_run(source.path, dataset, data_dir, split, limit, image_size, device)
    if dataset is None:
        raise HyperparameterError(f"expected a dataset to measure {target} on, got none")
    model = load_classifier(source)
    images = load_dataset(dataset, split, data_dir=data_dir, limit=limit, image_size=image_size)
    check_fits(model, images.input_shape, None, str(target))
    about = ""
    if isinstance(model, Classifier) and (model.taken_from or model.weight_notes):
        about = model.describe()
    return JudgedModel(
        model.to(device_of_process(device)),  # in eval mode already
        str(target),
        short_name(target),
        str(target),
        images,
        dataset=dataset,
        data_dir=data_dir,
        image_size=image_size,
        weights=_run_of_weights(source),
        about=about,
    )


def _run_of_weights(source: ModelSource) -> Path | None:
    """Return the run whose network a model from outside is: its weights, its architecture."""
    weights = getattr(innermost(source), "weights", None)
    if not isinstance(weights, Path) or RunFolder(weights.parent).model != weights:
        return None
    spec = spec_of_run(weights)
    is_its = spec is not None and spec.model == with_absolute_paths(bare(source))
    return weights.parent if is_its else None


def _of_run(
    run: Path,
    dataset: DataSource | str | None,
    data_dir: Path | None,
    split: Split,
    limit: int | None,
    image_size: int | None,
    device: str,
) -> JudgedModel:
    trained = load_run_model(run, device_of_process(device))
    config = trained.config
    own_dir = getattr(config.data, "data_dir", None)
    data = data_source(dataset or config.data, data_dir, default_dir=own_dir)
    held_out = config.held_out_of(data)
    # A named set has no validation split but one that was cut; other sources say what they hold.
    is_named = isinstance(DATA_SOURCES.about(data), DatasetEntry)
    if split == "validation" and is_named and data.title == config.data.title and not held_out:
        raise HyperparameterError(
            f"expected split train or test of {run}, which was trained without a validation split "
            "(train --validation-size), got 'validation'"
        )
    images = load_dataset(
        data,
        split,
        limit=limit,
        image_size=image_size,
        validation_size=held_out,
    ).with_channels(trained.spec.input_shape[0])
    _check_fit(trained.spec, images)
    return JudgedModel(
        trained.model,
        str(run),
        short_name(run),
        trained.spec.name,
        images,
        run,
        config,
        dataset,
        own_dir if data_dir is None else data_dir,
        image_size,
    )


def _check_fit(spec: ModelSpec, data: ImageDataset) -> None:
    """Refuse images or classes that the network was not built for."""
    read, given = ("x".join(map(str, shape)) for shape in (spec.input_shape, data.input_shape))
    if read != given:
        raise ModelError(f"the network takes images of {read}, but {data.name} has {given}")
    if spec.num_classes != data.num_classes:
        raise ModelError(
            f"the network has {spec.num_classes} classes, but {data.name} has {data.num_classes}"
        )
