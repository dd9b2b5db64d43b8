"""What makes a model, its images or its labels unfit for an audit, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from steadygrad._typing import Images, Labels
from steadygrad.checks import PIXEL_TOLERANCE, check_images, check_labels
from steadygrad.errors import ImageError, LabelError, ModelError

__all__ = [
    "Problem",
    "UnfitError",
    "data_problems",
    "first_line",
    "is_readable",
]


@dataclass(frozen=True)
class Problem:
    """What was seen and how to mend it, each one sentence without a full stop.

    name: such as "probabilities"; is_fatal: whether an audit would give a wrong number.
    """

    name: str
    what: str
    remedy: str
    is_fatal: bool


class UnfitError(ModelError):
    """A model cannot be audited on these images and labels; ``problems`` holds all that was seen.

    The text is one sentence that names every fatal problem and its remedy.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        fatal = [f"{problem.what} ({problem.remedy})" for problem in problems if problem.is_fatal]
        super().__init__(f"this cannot be audited: {'; '.join(fatal)}")


def first_line(error: BaseException) -> str:
    """Return an error's type and the first line of its text, for use inside a sentence."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0].strip()}" if lines else type(error).__name__


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
