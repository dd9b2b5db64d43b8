"""What is wrong with images and labels before any model has seen them."""

from steadygrad._typing import Images, Labels
from steadygrad.checks import PIXEL_TOLERANCE, check_images, check_labels
from steadygrad.errors import ImageError, LabelError
from steadygrad.evaluation.audit.fitness.problem import Problem

__all__ = ["data_problems", "is_readable"]


def data_problems(images: Images, labels: Labels) -> list[Problem]:
    """Return what a model could not be measured on, whichever it is; all of it is fatal."""
    problems = []
    if not is_readable(images):
        problems.append(_refused(images))
    else:
        lowest, highest = (bound.item() for bound in images.detach().aminmax())
        if not (lowest >= -PIXEL_TOLERANCE and highest <= 1 + PIXEL_TOLERANCE):
            remedy = (
                "divide the images by 255"
                if lowest >= 0 and highest > 2
                else "give the images in [0, 1] and normalise inside the model, for example with "
                "nn.Sequential(PixelNormalization(mean, std), model)"
            )
            problems.append(
                Problem(
                    "pixel-range",
                    f"pixels lie between {lowest:g} and {highest:g}, not in [0, 1]",
                    remedy,
                    is_fatal=True,
                )
            )
    try:
        check_labels(labels, len(images))
    except LabelError as error:
        problems.append(
            Problem("labels", str(error), "give one int64 class index per image", is_fatal=True)
        )
    return problems


def is_readable(images: Images) -> bool:
    """Tell whether a model can be asked about the images at all, whatever their range."""
    try:
        check_images(images)
    except ImageError:
        is_batch = getattr(images, "ndim", 0) == 4 and images.numel() > 0
        return is_batch and images.is_floating_point() and bool(images.isfinite().all())
    return True


def _refused(images: Images) -> Problem:
    try:
        check_images(images)
    except ImageError as error:
        return Problem(
            "images",
            str(error),
            "give finite floating point pixels (n, channels, height, width) in [0, 1]",
            is_fatal=True,
        )
    raise AssertionError("readable images are refused by nobody")
