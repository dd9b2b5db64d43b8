"""What a model predicts, and how often it is right, without any attack."""

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.checks import (
    check_batch_size,
    check_finite_losses,
    check_images,
    check_labels,
    check_logits,
)
from steadygrad.devices import resolve_device
from steadygrad.evaluation.divided_batches import each_batch
from steadygrad.evaluation.image_rows import AnyImages, witness
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.model_answer import first_answer

__all__ = ["accuracy", "model_device", "predictions"]


def predictions(
    model: Classifier,
    images: Images,
    *,
    batch_size: int = 256,
    device: torch.device | str | None = None,
) -> Labels:
    """Return the predicted class of every image, int64 (N,), on the CPU; model in eval mode.

    batch_size: images at a time, at least 1; HyperparameterError otherwise.
    device: where batches are sent; None takes the model's.
    Raises: ImageError; ModelError, for outputs that are no finite logits.
    """
    check_images(images)
    return _logits(model, images, batch_size, device).argmax(dim=1)


def accuracy(
    model: Classifier,
    images: Images,
    labels: Labels,
    *,
    batch_size: int = 256,
    device: torch.device | str | None = None,
) -> float:
    """Return the fraction of images classified as labelled, in [0, 1]; model in eval mode.

    Arguments and errors: as ``predictions``; LabelError for labels the model cannot mean.
    """
    return correct(model, images, labels, batch_size, device).double().mean().item()


def correct(
    model: Classifier,
    images: AnyImages,
    labels: Labels,
    batch_size: int,
    device: torch.device | str | None,
) -> Tensor:
    """Return which images are classified as labelled, bool (N,), on the CPU."""
    check_images(witness(images))
    check_labels(labels, len(images))
    logits = _logits(model, images, batch_size, device)
    check_labels(labels, len(images), logits.shape[1])
    return logits.argmax(dim=1) == labels.cpu()


def model_device(
    model: Classifier, images: AnyImages, asked: torch.device | str | None = None
) -> torch.device:
    """Return the device asked for, else that of a module's first tensor, else the images'.

    Raises: HyperparameterError, if the device asked for is not there.
    """
    if asked is not None:
        return resolve_device(asked)
    if isinstance(model, nn.Module):
        for tensor in (*model.parameters(), *model.buffers()):
            return tensor.device
    return images.device


@torch.no_grad()
def _logits(
    model: Classifier, images: AnyImages, batch_size: int, device: torch.device | str | None
) -> Tensor:
    check_batch_size(batch_size)
    device = model_device(model, images, device)
    starts = range(0, len(images), batch_size)

    def answered(number: int) -> Tensor:
        batch = images[starts[number] : starts[number] + batch_size]
        logits = first_answer(model, batch.to(device))
        check_logits(logits, len(batch))
        return logits.cpu()

    with evaluation_mode(model):
        joined = torch.cat(each_batch(len(starts), answered))
    check_finite_losses(joined)
    return joined
