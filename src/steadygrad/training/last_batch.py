"""A last batch of one image, which batch normalization of dense features cannot be trained on."""

from collections.abc import Iterable, Iterator

import torch
from torch import nn

from steadygrad._typing import Images, Labels
from steadygrad.errors import HyperparameterError
from steadygrad.models import copied
from steadygrad.training.given_data import LoaderImages, TrainingImages

__all__ = ["joins_last_image", "with_last_image_joined"]


def joins_last_image(model: nn.Module, dataset: TrainingImages, batch_size: int) -> bool:
    """Tell whether the last batch of an epoch would be an image that the model cannot train on.

    Batch normalization of dense features has no variance within one image; torch refuses it.

    Args:
        model: on the dataset's device; left as it is.
        dataset: the training images. A loader cuts its own batches; one that does not say how is
            left alone.
        batch_size: images of a batch, at least 1.

    Raises:
        HyperparameterError: every batch would be such an image.
    """
    count = len(dataset)
    if isinstance(dataset, LoaderImages):
        count, batch_size = dataset.cut or (0, batch_size)
    if count % batch_size != 1 % batch_size or count == 0 or _trains_on_one_image(model, dataset):
        return False
    if batch_size == 1 or count == 1:
        raise HyperparameterError(
            "expected batches of at least 2 images, since this model normalizes dense features "
            f"over the batch, got batch_size {batch_size} and {count} training images"
        )
    return True


def with_last_image_joined(
    batches: Iterable[tuple[Images, Labels]],
) -> Iterator[tuple[Images, Labels]]:
    """Yield the batches, a last one of a single image joined to the one before."""
    held: tuple[Images, Labels] | None = None
    for images, labels in batches:
        if held is not None and len(images) == 1:
            images, labels = torch.cat((held[0], images)), torch.cat((held[1], labels))
        elif held is not None:
            yield held
        held = images, labels
    if held is not None:
        yield held


def _trains_on_one_image(model: nn.Module, dataset: TrainingImages) -> bool:
    image = dataset.example if isinstance(dataset, LoaderImages) else dataset.images(slice(0, 1))
    devices = [image.device] if image.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), torch.no_grad():
        try:
            copied(model).train()(image)
        except ValueError as error:
            if "more than 1 value per channel" in str(error):
                return False
            raise
    return True
