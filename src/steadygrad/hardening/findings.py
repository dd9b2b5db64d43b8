"""What a network is made of, and whether an exact penalty can differentiate it: a sentence each."""

from collections import Counter
from dataclasses import dataclass

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from steadygrad.error_text import reason
from steadygrad.evaluation.auditing.fitness.outputs import value_problems
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.hardening.step_costs import EPS
from steadygrad.layers import PixelNormalization
from steadygrad.models import piecewise_linear
from steadygrad.penalties import FiniteDifference, NormPenalty, compare_backends
from steadygrad.penalties.model_passes import explained
from steadygrad.training.tuning import NOTHING_LEARNS

__all__ = ["Finding", "findings_of"]

_ATTENTION = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


@dataclass(frozen=True)
class Finding:
    """One thing about the network: "good", "note" or "problem", and a sentence."""

    topic: str
    level: str
    sentence: str


def findings_of(
    model: nn.Module, images: Tensor, labels: Tensor, logits: Tensor
) -> tuple[Finding, ...]:
    """Return a finding for each thing that matters to a penalty.

    Args:
        model: a copy of the caller's: where nothing in it can learn, everything can afterwards, so
            that the other findings speak of the network itself.
        images: a batch, on the model's device; labels: int64.
        logits: the model's answer, in eval mode.
    """
    learning = _learning(model)
    if learning.level == "problem":
        model.requires_grad_(True)
    return (
        learning,
        _outputs(logits),
        _normalisation(model),
        _batch_norm(model),
        _dropout(model),
        _activations(model),
        _attention(model),
        _in_place(model),
        _extra_state(model),
        _second_derivative(model, images, labels),
        _backends(model, images, labels),
    )


def _learning(model: nn.Module) -> Finding:
    parameters = list(model.parameters())
    count = sum(parameter.requires_grad for parameter in parameters)
    if not count:
        return Finding("parameters", "problem", NOTHING_LEARNS)
    if count < len(parameters):
        return Finding("parameters", "note", f"{count} of {len(parameters)} tensors may change")
    return Finding("parameters", "good", "all may change")


def _outputs(logits: Tensor) -> Finding:
    for problem in value_problems(logits):
        level = "problem" if problem.is_fatal else "note"
        return Finding("outputs", level, f"{problem.what}; {problem.remedy}")
    return Finding("outputs", "good", "they look like logits")


def _normalisation(model: nn.Module) -> Finding:
    inside = any(isinstance(module, PixelNormalization) for module in model.modules())
    if inside:
        return Finding("normalisation", "good", "it is inside the model, so eps is in pixels")
    return Finding(
        "normalisation",
        "note",
        "none is seen inside the model; if it was trained on normalised images, wrap it as "
        "Classifier(model, mean=..., std=...)",
    )


def _batch_norm(model: nn.Module) -> Finding:
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    if not norms:
        return Finding("batch norm", "good", "none: each image's gradient is its own")
    if all(module.running_mean is None for module in norms):
        return Finding(
            "batch norm", "problem", f"{len(norms)} without running statistics: images stay coupled"
        )
    return Finding(
        "batch norm",
        "note",
        f"{len(norms)}: in training mode they couple the images of a batch; harden holds their "
        "running statistics",
    )


def _dropout(model: nn.Module) -> Finding:
    active = [
        type(module).__name__
        for module in model.modules()
        if (isinstance(module, _DropoutNd) and module.p > 0) or type(module).__name__ == "DropPath"
    ]
    if not active:
        return Finding("dropout", "good", "none")
    names = ", ".join(f"{count} {name}" for name, count in Counter(active).items())
    return Finding("dropout", "note", f"{names}: each step penalises one random thinned network")


def _activations(model: nn.Module) -> Finding:
    piecewise = piecewise_linear(model)
    if not piecewise:
        return Finding("activations", "good", "no piecewise linear module is seen")
    kinds = Counter(type(model.get_submodule(name)).__name__ for name in piecewise)
    names = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    return Finding(
        "activations",
        "note",
        f"{names}, with a second derivative of zero: a penalty can only shrink weights; "
        "smooth_activations(model), or harden with activation gelu, replaces them",
    )


def _attention(model: nn.Module) -> Finding:
    fused = [
        name
        for name, module in model.named_modules()
        if isinstance(module, _ATTENTION) or getattr(module, "fused_attn", False) is True
    ]
    implementation = getattr(getattr(model, "config", None), "_attn_implementation", None)
    for module in model.modules():
        implementation = implementation or getattr(
            getattr(module, "config", None), "_attn_implementation", None
        )
    if not fused and implementation in (None, "eager"):
        return Finding("attention", "good", "no fused attention is seen")
    is_math = getattr(model, "fused_attention", None) is False
    what = f"{len(fused)} modules" if fused else f"attn_implementation={implementation!r}"
    if is_math:
        return Finding(
            "attention", "good", f"{what}; Classifier computes it by differentiable operations"
        )
    return Finding(
        "attention",
        "note",
        f"{what} may use fused kernels without a second derivative; wrap the network in "
        'Classifier, set attn_implementation="eager", or call it inside '
        "sdpa_kernel(SDPBackend.MATH)",
    )


def _in_place(model: nn.Module) -> Finding:
    names = [name for name, module in model.named_modules() if getattr(module, "inplace", False)]
    if not names:
        return Finding("in-place operations", "good", "none is seen")
    return Finding(
        "in-place operations",
        "note",
        f"{len(names)} modules work in place, such as {names[0]}; where autograd complains, set "
        "inplace=False",
    )


def _extra_state(model: nn.Module) -> Finding:
    names = [name for name, value in model.state_dict().items() if not isinstance(value, Tensor)]
    if not names:
        return Finding("state", "good", "parameters and buffers alone")
    return Finding(
        "state",
        "problem",
        f"{names[0]} is no tensor, and harden's files hold tensors alone; keep what "
        "get_extra_state returns in buffers",
    )


def _second_derivative(model: nn.Module, images: Tensor, labels: Tensor) -> Finding:
    try:
        with evaluation_mode(model), explained():
            NormPenalty(eps=EPS)(model, images, labels).loss.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # as above
        return Finding("second derivative", "problem", reason(error))
    finally:
        model.zero_grad(set_to_none=True)
    return Finding("second derivative", "good", "double backpropagation works on a batch")


def _backends(model: nn.Module, images: Tensor, labels: Tensor) -> Finding:
    try:
        with evaluation_mode(model):
            agreement = compare_backends(
                FiniteDifference(), model, images, labels, norm="l1", power=1
            )
    except Exception as error:  # as above
        return Finding("backends", "note", f"cannot be compared: {reason(error)}")
    finally:
        model.zero_grad(set_to_none=True)
    level = "good" if agreement.cosine >= 0.95 else "note"
    advice = "" if level == "good" else "; use double-backprop, not finite-difference"
    return Finding(
        "backends",
        level,
        f"finite difference and double backpropagation agree to a cosine of "
        f"{agreement.cosine:.3f} and a length ratio of {agreement.length_ratio:.2f}{advice}",
    )
