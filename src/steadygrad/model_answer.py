"""Calling a model, and refusing one that changes the images it is given."""

import torch
from torch import Tensor

from steadygrad._typing import Classifier, Images, Logits
from steadygrad.checks import until_it_passes
from steadygrad.error_text import described
from steadygrad.errors import ModelError, SteadygradError
from steadygrad.memory import is_out_of_memory

__all__ = ["ImagesChangedError", "answer", "changes_of", "first_answer", "is_in_place_error"]


class ImagesChangedError(ModelError):
    """A model changes the images that it is given."""

    cause = (
        "expected a model that leaves the images as they are, got one that changes them in place, "
        "by an operation such as x.sub_(mean) or x -= mean in its forward"
    )
    remedy = (
        "write x = x - mean, or give steadygrad.models.Classifier(model), which hands the network "
        "a copy"
    )

    def __init__(self) -> None:
        super().__init__(f"{self.cause}; {self.remedy}")


def answer(model: Classifier, images: Images) -> Logits:
    """Return ``model(images)``, which may be no logits at all.

    Raises:
        ImagesChangedError: the model changes its input in place. Every later pass over these images
            would see changed ones, and autograd has no gradient at them. Where it is the model's
            first call, the images are what they were.
    """
    with until_it_passes(model, "leaves its input") as is_due:
        kept = images.detach().clone() if is_due else None
        before = changes_of(images)
        try:
            output = model(images)
        except RuntimeError as error:
            if is_in_place_error(error):
                raise ImagesChangedError from error
            raise
        if changes_of(images) != before:
            if kept is not None:
                images.detach().copy_(kept)
            raise ImagesChangedError
    return output


def first_answer(model: Classifier, images: Images) -> Logits:
    """Return ``answer(model, images)``; whatever the model raises becomes one sentence.

    For the first pass of a measurement. Later ones leave the model's errors as they are.

    Raises:
        ModelError: names the error, which is its cause; as ``answer``.
    """
    try:
        return answer(model, images)
    except SteadygradError:
        raise
    except Exception as error:  # whatever someone's network raises
        if is_out_of_memory(error):
            raise
        shape = "x".join(map(str, images.shape[1:]))
        raise ModelError(
            f"the model does not take {len(images)} images of {shape}: {described(error)}"
        ) from error


def changes_of(tensor: Tensor) -> int | None:
    """Return how many operations have changed a tensor in place, its views included.

    None where nobody counts: in compiled code and in ``torch.inference_mode``.
    """
    if torch.compiler.is_compiling() or tensor.is_inference():
        return None
    return tensor._version


def is_in_place_error(error: RuntimeError) -> bool:
    """Return whether autograd refused to change a leaf, such as an attack's images, in place."""
    return "a leaf Variable that requires grad is being used in an in-place operation" in str(error)
