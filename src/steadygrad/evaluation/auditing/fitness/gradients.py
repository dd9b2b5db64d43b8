"""What is wrong with a model's input gradient, and whether autograd computes it exactly."""

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images
from steadygrad.error_text import described
from steadygrad.evaluation.auditing.fitness.problem import Problem
from steadygrad.layers import ComplexConv2d, ComplexLinear
from steadygrad.model_answer import answer

__all__ = ["complex_layers_fact", "exactness", "gradient_problems"]

_STEP = 1e-6
"""Of the central difference, in pixels: in float64 its error is far below what is looked for."""


def gradient_problems(model: Classifier, images: Images) -> Iterator[Problem]:
    """Yield why attacks could not follow the gradient of the outputs in the images."""
    try:
        gradient = _gradient(model, images)
    except Exception as error:  # a stranger's backward pass may raise anything
        gradient = None
        seen = f"the outputs cannot be differentiated in the images: {described(error)}"
    else:
        seen = "the outputs do not depend differentiably on the images"
    if gradient is None:
        yield Problem(
            "no-gradient",
            seen,
            "remove torch.no_grad, detach, item and NumPy between images and logits, or use a "
            "differentiable approximation there: the strongest attacks need a gradient",
            is_fatal=True,
        )
        return
    flat = gradient.flatten(start_dim=1)
    is_bad = ~flat.isfinite().all(dim=1)
    if is_bad.any():
        yield Problem(
            "non-finite-gradient",
            f"the input gradient is NaN or infinite for {int(is_bad.sum())} of {len(flat)} images",
            "look for a square root, norm or division at zero; attacks make no progress there",
            is_fatal=False,
        )
    is_zero = (flat == 0).all(dim=1)
    if is_zero.any():
        yield Problem(
            "zero-gradient",
            f"the input gradient is exactly zero for {int(is_zero.sum())} of {len(flat)} images",
            "look for rounding, thresholds or saturation on the way; gradient attacks cannot "
            "move there, and only query and transfer attacks count",
            is_fatal=False,
        )


def exactness(model: Classifier, images: Images) -> tuple[list[Problem], list[str]]:
    """Compare autograd with central differences in float64, on a copy of the model.

    Both are taken beside the images, not at them: black and white pixels sit on the kinks of
    clamps and of pooling. Returns problems, and what was found to be in order.
    """
    generator = torch.Generator(device="cpu").manual_seed(0)
    noise = torch.rand(images.shape, generator=generator, dtype=torch.float64, device="cpu")
    beside = 0.05 + 0.88 * images.double() + 0.02 * noise.to(images.device)
    signs = 2 * torch.randint(2, images.shape, generator=generator, device="cpu").double() - 1
    direction = signs.to(images.device)
    try:
        twin = copy.deepcopy(model).double() if isinstance(model, nn.Module) else model
        gradient = _gradient(twin, beside)
        above, below = (_value(twin, beside + sign * _STEP * direction) for sign in (1, -1))
    except Exception as error:  # what a stranger's layers do with float64 is their affair
        return [_no_float64(described(error))], []
    if gradient is None or above.dtype != torch.float64:
        return [_no_float64(f"the outputs are {str(above.dtype).removeprefix('torch.')}")], []
    slope = (above - below) / (2 * _STEP)
    ours = (gradient * direction).flatten(start_dim=1).sum(dim=1)
    scale = torch.maximum(slope.abs(), ours.abs())
    # A difference of two numbers of size |value| carries their rounding, divided by the step.
    rounding = 1e-14 * above.abs() / _STEP
    agree = int(((slope - ours).abs() <= 1e-3 * scale + rounding).sum())
    if 2 * agree < len(images):
        return [
            Problem(
                "inexact-gradient",
                "autograd's input gradient disagrees with central differences on "
                f"{len(images) - agree} of {len(images)} images",
                "look for a straight-through estimator or a hand-written backward; attacks follow "
                "what autograd says",
                is_fatal=False,
            )
        ], []
    return [], [
        f"attacks use exact gradients: autograd agrees with central differences in float64 on "
        f"{agree} of {len(images)} images"
    ]


def complex_layers_fact(model: Classifier) -> list[str]:
    """Return what there is to say about the gradients of our complex layers, if there are any.

    Both values of ``second_order`` give the same outputs and first derivative (see
    ``layers/frozen_phase.py``); they differ in the derivative of the derivative alone.
    """
    modules = model.modules() if isinstance(model, nn.Module) else ()
    layers = [module for module in modules if isinstance(module, ComplexConv2d | ComplexLinear)]
    if not layers:
        return []
    return [
        f"the {len(layers)} complex layers hand attacks their exact input gradient; frozen phase "
        "concerns the penalty of training alone"
    ]


def _no_float64(reason: str) -> Problem:
    return Problem(
        "float64",
        f"a copy of the model does not compute in float64: {reason}",
        "diagnostics that compare with float64 are left out; avoid fixed dtypes in forward",
        is_fatal=False,
    )


def _gradient(model: Classifier, images: Images) -> Tensor | None:
    with torch.inference_mode(False), torch.enable_grad():
        images = images.detach().clone().requires_grad_()
        values = _contrast(answer(model, images))
        if not values.requires_grad:
            return None
        (gradient,) = torch.autograd.grad(values.sum(), images, allow_unused=True)
    return gradient


@torch.no_grad()
def _value(model: Classifier, images: Images) -> Tensor:
    return _contrast(answer(model, images))


def _contrast(logits: Tensor) -> Tensor:
    """Return one number per image in which every logit has another weight, (batch,)."""
    weights = torch.linspace(-1, 1, logits.shape[1], dtype=logits.dtype, device=logits.device)
    return logits @ weights
