"""The covariance of ``--attack lrc``: that of the run's training set, or a file's."""

import hashlib
import os
from pathlib import Path
from typing import cast

from steadygrad.covariance import Covariance, ImageShape, build_covariance
from steadygrad.datasets import load_dataset
from steadygrad.errors import UnknownNameError
from steadygrad.training import TrainingConfig

__all__ = ["noise_covariance"]


def noise_covariance(
    text: str, image_shape: tuple[int, ...], config: TrainingConfig, data_dir: Path | None
) -> tuple[Covariance, str]:
    """Return the covariance that ``text`` names, and what it is, for records and reports.

    text: "dataset", for the images that the run was trained on, or the path of a file.
    Raises: UnknownNameError; CheckpointError, if the file is missing or damaged; ShapeError, if the
        covariance is of another image size; DatasetError.
    """
    shape = cast("ImageShape", tuple(image_shape))
    if text == "dataset":
        train = load_dataset(
            config.dataset,
            "train",
            data_dir=data_dir,
            limit=config.limit_train,
            validation_size=config.validation_size,
        )
        covariance = build_covariance("dataset", shape, images=train.pixels)
        return covariance, f"of {len(train)} training images of {Path(config.dataset).name}"
    path = Path(text)
    if not (path.is_file() or path.suffix == ".safetensors" or os.sep in text):
        raise UnknownNameError(
            f"expected covariance 'dataset' or the path of a covariance file, got {text!r}"
        )
    covariance = build_covariance("file", shape, path=path)
    # The name alone would let a changed file pass for the same attack.
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    return covariance, f"{path.name}, digest {digest}"
