"""What makes a model, its images or its labels unfit for an audit, and what to do about it."""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass

from steadygrad._typing import Labels
from steadygrad.checks import PIXEL_TOLERANCE, check_images, check_labels
from steadygrad.errors import ImageError, LabelError, ModelError, UnknownNameError
from steadygrad.evaluation.image_rows import AnyImages, witness

__all__ = [
    "ACCEPTABLE",
    "Problem",
    "UnfitError",
    "check_accepted",
    "data_problems",
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


ACCEPTABLE = ("input-range", "labels-do-not-match", "no-gradient", "probabilities")
"""Fatal problems that somebody may accept knowingly: the audit can be run in spite of them."""


class UnfitError(ModelError):
    """A model cannot be audited on these images and labels; ``problems`` holds all that was seen.

    The text is one sentence that names every fatal problem that was not accepted, its remedy, and
    which of them may be accepted; ``otherwise`` is one more way out.
    """

    def __init__(
        self, problems: Sequence[Problem], accepted: Sequence[str] = (), otherwise: str = ""
    ) -> None:
        self.problems = tuple(problems)
        fatal = [each for each in problems if each.is_fatal and each.name not in accepted]
        told = "; ".join(f"{problem.what} ({problem.remedy})" for problem in fatal)
        names = dict.fromkeys(each.name for each in fatal if each.name in ACCEPTABLE)
        offer = f"; to audit it all the same, accept {', '.join(names)}" if names else ""
        other = f"; {otherwise}" if otherwise else ""
        super().__init__(f"this cannot be audited: {told}{offer}{other}")


def check_accepted(accepted: Sequence[str]) -> tuple[str, ...]:
    """Return the names of problems that are accepted, each once, sorted.

    Raises: UnknownNameError, for a name that is not in ``ACCEPTABLE``.
    """
    for name in accepted:
        if name not in ACCEPTABLE:
            near = difflib.get_close_matches(name, ACCEPTABLE, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise UnknownNameError(
                f"expected a problem that can be accepted ({', '.join(ACCEPTABLE)}), "
                f"got {name!r}{hint}"
            )
    return tuple(sorted(set(accepted)))


def data_problems(images: AnyImages, labels: Labels) -> list[Problem]:
    """Return what a model could not be measured on, whichever it is; all of it is fatal."""
    problems = []
    if not is_readable(images):
        problems.append(_refused(images))
    else:
        lowest, highest = (bound.item() for bound in witness(images).detach().aminmax())
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


def is_readable(images: AnyImages) -> bool:
    """Tell whether a model can be asked about the images at all, whatever their range."""
    values = witness(images)
    try:
        check_images(values)
    except ImageError:
        is_batch = getattr(values, "ndim", 0) == 4 and values.numel() > 0
        return is_batch and values.is_floating_point() and bool(values.isfinite().all())
    return True


def _refused(images: AnyImages) -> Problem:
    try:
        check_images(witness(images))
    except ImageError as error:
        return Problem(
            "images",
            str(error),
            "give finite floating point pixels (n, channels, height, width) in [0, 1]",
            is_fatal=True,
        )
    raise AssertionError("readable images are refused by nobody")
