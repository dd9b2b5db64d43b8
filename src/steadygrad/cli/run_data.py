"""A trained network and the images to measure it on, as several commands ask for them."""

from dataclasses import dataclass
from pathlib import Path

from steadygrad.datasets import ImageDataset, load_dataset
from steadygrad.datasets.loading import Split
from steadygrad.devices import resolve_device
from steadygrad.errors import ModelError
from steadygrad.training import ModelSpec, TrainedRun, load_run_model

__all__ = ["RunData", "load_run_data"]


@dataclass(frozen=True)
class RunData:
    """A run's latest network, the images chosen, and where data lies (None: the hub)."""

    trained: TrainedRun
    images: ImageDataset
    data_dir: Path | None


def load_run_data(
    run: Path,
    *,
    limit: int | None,
    dataset_name: str | None = None,
    data_dir: Path | None = None,
    split: Split = "test",
    device: str = "auto",
) -> RunData:
    """Load the network of a run and the first ``limit`` images of a split, the run's by default.

    Raises: CheckpointError; DatasetError; ModelError, if the network was built for other images or
        classes.
    """
    trained = load_run_model(run, resolve_device(device))
    config = trained.config
    if data_dir is None and config.data_dir is not None:
        data_dir = Path(config.data_dir)
    images = load_dataset(
        dataset_name or trained.dataset,
        split,
        data_dir=data_dir,
        limit=limit,
        validation_size=config.validation_size,
    )
    _check_fit(trained.spec, images)
    return RunData(trained, images, data_dir)


def _check_fit(spec: ModelSpec, data: ImageDataset) -> None:
    """Refuse images or classes that the network was not built for."""
    read, given = ("x".join(map(str, shape)) for shape in (spec.input_shape, data.input_shape))
    if read != given:
        raise ModelError(f"the network reads images of {read}, those of {data.name} are {given}")
    if spec.num_classes != data.num_classes:
        raise ModelError(
            f"the network tells {spec.num_classes} classes apart, {data.name} has "
            f"{data.num_classes}"
        )
