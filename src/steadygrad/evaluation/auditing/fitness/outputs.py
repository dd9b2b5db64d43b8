"""What is wrong with a model's outputs: their form, their values, what they depend on."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images, Labels, Logits
from steadygrad.checks import check_logits
from steadygrad.error_text import described
from steadygrad.errors import ModelError
from steadygrad.evaluation.auditing.fitness.problem import Problem
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.held_statistics import modules_of
from steadygrad.memory import is_out_of_memory
from steadygrad.model_answer import ImagesChangedError, answer

__all__ = [
    "CONSTANT",
    "class_problems",
    "is_constant_output",
    "mode_problems",
    "neighbour_problems",
    "output_of",
    "randomness_problems",
    "value_problems",
]

_SWITCHED = (nn.modules.dropout._DropoutNd, nn.modules.batchnorm._NormBase)
"""Modules that compute something else in training mode."""

_SAME = 1e-3
"""How far two logits may lie apart, in units of the logits' spread, before it is not rounding."""


def mode_problems(model: Classifier) -> Iterator[Problem]:
    """Yield a problem if the model is in training mode; call it before switching to eval mode."""
    modules = modules_of(model)
    awake = [type(module).__name__ for module in modules if _is_switched(module)]
    if not awake:
        return
    kinds = ", ".join(f"{awake.count(kind)} {kind}" for kind in sorted(set(awake)))
    with evaluation_mode(model):
        stays = sum(_is_switched(module) for module in modules)
    if stays:
        yield Problem(
            "training-mode",
            f"{stays} modules stay in training mode after model.eval() (of {kinds})",
            "let them follow train() and eval(), unless that is the defence to be audited",
            is_fatal=False,
        )
    else:
        yield Problem(
            "training-mode",
            f"the model is in training mode ({kinds}); it is audited in eval mode",
            "call model.eval() before using it as well",
            is_fatal=False,
        )


@torch.no_grad()
def output_of(model: Classifier, images: Images, seed: int = 0) -> Logits | Problem:
    """Return the model's outputs, or why they are no logits; torch's random state stays.

    Raises: what says that memory is out.
    """
    try:
        with torch.random.fork_rng(devices=_random_devices(images)):
            torch.manual_seed(seed)
            outputs = answer(model, images)
    except ImagesChangedError as error:
        return Problem("in-place", error.cause, error.remedy, is_fatal=True)
    except Exception as error:  # a stranger's code may raise anything
        if is_out_of_memory(error):
            raise
        shape = "x".join(map(str, images.shape[1:]))
        return Problem(
            "forward",
            f"the model does not take {len(images)} images of {shape}: {described(error)}",
            "check the images' size, channels and dtype against what the model reads",
            is_fatal=True,
        )
    try:
        check_logits(outputs, len(images))
    except ModelError as error:
        return Problem(
            "output-form",
            str(error),
            "return one tensor of logits (images, classes)" + _where_they_may_be(outputs),
            is_fatal=True,
        )
    return outputs


def value_problems(logits: Logits) -> Iterator[Problem]:
    """Yield what the outputs' values betray: NaN, probabilities, log-probabilities."""
    is_bad = ~logits.isfinite().all(dim=1)
    if is_bad.any():
        yield Problem(
            "non-finite",
            f"outputs are NaN or infinite for {int(is_bad.sum())} of {len(logits)} images",
            "find the layer that overflows, for example with "
            "torch.autograd.set_detect_anomaly(True)",
            is_fatal=True,
        )
        return
    values = logits.double()
    if logits.shape[1] < 2:
        return
    # Probabilities in float16 sum to 1 within some of its rounding steps.
    tolerance = max(1e-4, 10 * torch.finfo(logits.dtype).eps)
    if (values >= 0).all() and _are_ones(values.sum(dim=1), tolerance):
        yield Problem(
            "probabilities",
            "every row of outputs is nonnegative and sums to 1: probabilities, not logits; a "
            "saturated softmax would hide the gradient from attacks",
            "return what goes into the softmax",
            is_fatal=True,
        )
    elif (values <= 0).all() and _are_ones(values.exp().sum(dim=1), tolerance):
        yield Problem(
            "log-probabilities",
            "outputs are log-probabilities; they differ from logits by a constant per image, "
            "which changes no attack",
            "nothing to do",
            is_fatal=False,
        )


def class_problems(logits: Logits, labels: Labels, classes: int | None) -> Iterator[Problem]:
    """Yield where the number of outputs does not fit the labels or the data set's classes."""
    outputs, highest = logits.shape[1], int(labels.max())
    if outputs < 2:
        yield Problem(
            "classes",
            "the model has 1 output",
            "return a logit for each class; for a binary score s, torch.cat((-s, s), dim=1)",
            is_fatal=True,
        )
    elif highest >= outputs:
        hint = "; do the labels count from 1?" if highest == outputs and labels.min() > 0 else ""
        yield Problem(
            "classes",
            f"labels go up to {highest}, the model has {outputs} classes{hint}",
            "give labels from 0 to classes - 1, in the model's order",
            is_fatal=True,
        )
    elif classes is not None and outputs != classes:
        yield Problem(
            "classes",
            f"the model has {outputs} classes, the data {classes}",
            "accuracies count a prediction of any other class as wrong; use the model's own data "
            "if that is not meant",
            is_fatal=False,
        )


CONSTANT = Problem(
    "constant",
    "every image gets the same outputs, noise too",
    "check the weights: the outputs do not depend on the image, so no attack can change them",
    is_fatal=False,
)


def is_constant_output(model: Classifier, images: Images, logits: Logits) -> bool:
    """Tell whether all images, and noise of their shape, get the same outputs to the bit.

    logits: of the images.
    """
    generator = torch.Generator(device="cpu").manual_seed(0)
    noise = torch.rand(
        (4, *images.shape[1:]), generator=generator, dtype=torch.float32, device="cpu"
    )
    extremes = torch.stack((torch.zeros_like(noise[0]), torch.ones_like(noise[0])))
    strange = torch.cat((noise, extremes)).to(images)
    output = output_of(model, strange)
    if isinstance(output, Problem):
        return False
    return bool((torch.cat((logits, output)) == logits[:1]).all())


def randomness_problems(model: Classifier, images: Images, logits: Logits) -> Iterator[Problem]:
    """Yield a problem if a second pass over the same images gives other outputs."""
    again = output_of(model, images, seed=1)
    if isinstance(again, Problem):
        yield again
        return
    apart = _apart(logits, again)
    if apart > _SAME:
        changed = int((again.argmax(dim=1) != logits.argmax(dim=1)).sum())
        yield Problem(
            "randomness",
            f"two passes over the same images differ by {apart:.2g} of the logits' spread, and "
            f"in {changed} of {len(images)} predictions",
            "a defence that rests on chance has to be attacked in the mean over many draws; read "
            "the verdict, or audit the model without its noise",
            is_fatal=False,
        )


def neighbour_problems(model: Classifier, images: Images, logits: Logits) -> Iterator[Problem]:
    """Yield a problem if an image's outputs depend on what else is in its batch."""
    alone = []
    for row in range(min(4, len(images))):
        output = output_of(model, images[row : row + 1])
        if isinstance(output, Problem):
            yield output
            return
        alone.append(output)
    joined = torch.cat(alone)
    apart = _apart(logits[: len(joined)], joined)
    if apart > _SAME:
        yield Problem(
            "batch-neighbours",
            f"an image's outputs change by {apart:.2g} of the logits' spread with its neighbours "
            "in the batch",
            "normalise with running statistics (BatchNorm with track_running_stats=True, in eval "
            "mode); as it is, accuracies hold for this batch size only",
            is_fatal=False,
        )


def _is_switched(module: nn.Module) -> bool:
    return isinstance(module, _SWITCHED) and module.training


def _apart(first: Logits, second: Logits) -> float:
    """Return the largest difference of two outputs, in units of their spread over the classes."""
    spread = first.double().std(dim=1).mean().item() if first.shape[1] > 1 else 1.0
    largest = (first.double() - second.double()).abs().max().item()
    return largest / max(spread, 1e-12)


def _are_ones(sums: Tensor, tolerance: float) -> bool:
    return bool(((sums - 1).abs() <= tolerance).all())


def _where_they_may_be(outputs: object) -> str:
    if hasattr(outputs, "logits"):
        return "; they may be in .logits of what it returns now"
    if isinstance(outputs, tuple | list) and outputs:
        return "; they may be the first of what it returns now"
    if isinstance(outputs, dict) and outputs:
        return f"; what it returns now has the keys {', '.join(map(str, outputs))}"
    return ""


def _random_devices(images: Images) -> list[torch.device]:
    return [images.device] if images.device.type == "cuda" else []
