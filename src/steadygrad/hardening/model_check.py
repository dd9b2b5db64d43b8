"""Everything about a network that matters before hours are spent on hardening it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.dropout import _DropoutNd

from steadygrad.attacks import PGD
from steadygrad.error_text import described
from steadygrad.errors import HyperparameterError, SteadygradError
from steadygrad.evaluation.auditing.fitness.outputs import value_problems
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.held_statistics import held_statistics
from steadygrad.layers import PixelNormalization
from steadygrad.model_answer import first_answer
from steadygrad.models import (
    check_fits,
    copied,
    parameter_count,
    piecewise_linear,
    without_wrappers,
)
from steadygrad.penalties import (
    FiniteDifference,
    NormPenalty,
    compare_backends,
    example_losses,
)
from steadygrad.penalties.model_passes import explained
from steadygrad.training.tuning import NOTHING_LEARNS, hold_batch_norms

__all__ = ["Finding", "ModelCheck", "StepCost", "check_model", "step_costs"]

_EPS = 4 / 255
_ATTENTION = (nn.MultiheadAttention, nn.TransformerEncoderLayer)


@dataclass(frozen=True)
class StepCost:
    """A training step without its optimizer.

    Attributes:
        kind: "plain", "penalised" or "PGD(3) training".
        seconds: the fastest of the repetitions.
        relative: to the plain step.
        peak_bytes: of the accelerator's memory; None on the CPU.
        refused: why there is no such step; empty where there is one.
    """

    kind: str
    seconds: float | None
    relative: float | None
    peak_bytes: int | None
    refused: str = ""


@dataclass(frozen=True)
class Finding:
    """One thing about the network: "good", "note" or "problem", and a sentence."""

    topic: str
    level: str
    sentence: str


@dataclass(frozen=True)
class ModelCheck:
    """What a look at a network found.

    Attributes:
        findings: a sentence a topic.
        costs: of a plain, a penalised and a PGD(3) step.
        classes: how many the network tells apart.
        parameters: real numbers that training changes.
    """

    findings: tuple[Finding, ...]
    costs: tuple[StepCost, ...]
    classes: int
    parameters: int

    @property
    def is_ready(self) -> bool:
        """Whether nothing stands in the way of an exact penalty."""
        return all(finding.level != "problem" for finding in self.findings)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return asdict(self) | {"is_ready": self.is_ready}


def check_model(
    model: nn.Module,
    images: Tensor | None = None,
    labels: Tensor | None = None,
    *,
    input_shape: tuple[int, int, int] | None = None,
    repetitions: int = 2,
) -> ModelCheck:
    """Look a network over: what it is made of, whether it can be penalised, and what that costs.

    The network is copied and left as it is.

    Args:
        model: maps images in [0, 1] to logits; one that torch.compile or DataParallel wraps is
            checked without them.
        images: a batch, on the model's device; None draws 8 random images.
        labels: int64, one an image; None takes the network's own predictions.
        input_shape: (channels, height, width) of the random images.
        repetitions: of each timed step.

    Raises:
        HyperparameterError: neither images nor their shape are given.
        ModelError: the network cannot take the images, or FSDP has divided its parameters.
    """
    network = copied(without_wrappers(model))
    place = next((t.device for t in (*model.parameters(), *model.buffers())), torch.device("cpu"))
    if images is None:
        if input_shape is None:
            raise HyperparameterError(
                "expected images or input_shape to check a model, got neither"
            )
        generator = torch.Generator("cpu").manual_seed(0)
        images = torch.rand(8, *input_shape, generator=generator).to(place)
    channels, height, width = images.shape[1:]
    classes = check_fits(network, (channels, height, width), None, type(model).__name__)
    with torch.no_grad(), evaluation_mode(network):
        logits = first_answer(network, images)
        labels = logits.argmax(dim=1) if labels is None else labels
    learning = _learning(network)
    if learning.level == "problem":
        network.requires_grad_(True)  # so that the others speak of the network itself
    findings: tuple[Finding, ...] = (
        learning,
        _outputs(logits),
        _normalisation(network),
        _batch_norm(network),
        _dropout(network),
        _activations(network),
        _attention(network),
        _in_place(network),
        _extra_state(network),
        _second_derivative(network, images, labels),
        _backends(network, images, labels),
    )
    costs = step_costs(network, images, labels, repetitions=repetitions)
    findings = (*findings, *_training_step(findings, costs))
    return ModelCheck(findings, costs, classes, parameter_count(network))


def step_costs(
    model: nn.Module, images: Tensor, labels: Tensor, *, repetitions: int = 2
) -> tuple[StepCost, ...]:
    """Return what a plain, a penalised and a PGD(3) training step cost, forward and backward.

    As ``harden`` takes them: batch norms hold their running statistics.

    Args:
        model: left with its weights and mode, without gradients.
        images: a batch, on the model's device.
        labels: int64.
        repetitions: at least 1; the fastest counts, after one that does not.
    """
    penalty = NormPenalty(eps=_EPS)
    attack = PGD(eps=_EPS, steps=3)

    def plain() -> Tensor:
        return example_losses(model, images, labels)[0].mean()

    def penalised() -> Tensor:
        return penalty(model, images, labels).loss

    def adversarial() -> Tensor:
        with evaluation_mode(model):
            attacked = attack(model, images, labels)
        return example_losses(model, attacked, labels)[0].mean()

    steps = {"plain": plain, "penalised": penalised, "PGD(3) training": adversarial}
    modes = {name: module.training for name, module in model.named_modules()}
    costs: list[StepCost] = []
    try:
        hold_batch_norms(model.train())
        with held_statistics(model):
            for kind, step in steps.items():
                costs.append(_timed(kind, step, model, images.device, repetitions, costs))
    finally:
        for name, module in model.named_modules():
            module.training = modes[name]
        model.zero_grad(set_to_none=True)
    return tuple(costs)


def _timed(
    kind: str,
    step: Callable[[], Tensor],
    model: nn.Module,
    device: torch.device,
    repetitions: int,
    before: list[StepCost],
) -> StepCost:
    is_cuda = device.type == "cuda"
    best, peak = float("inf"), None
    try:
        for repetition in range(repetitions + 1):
            model.zero_grad(set_to_none=True)
            if is_cuda:
                torch.cuda.synchronize(device)
                torch.cuda.reset_peak_memory_stats(device)
            began = time.perf_counter()
            with explained():
                step().backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            if is_cuda:
                torch.cuda.synchronize(device)
                peak = torch.cuda.max_memory_allocated(device)
            if repetition:
                best = min(best, time.perf_counter() - began)
    except Exception as error:  # whatever someone's network raises
        return StepCost(kind, None, None, None, _reason(error))
    plain = before[0].seconds if before else best
    return StepCost(kind, best, best / plain if plain else None, peak)


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


def _training_step(
    findings: tuple[Finding, ...], costs: tuple[StepCost, ...]
) -> tuple[Finding, ...]:
    """Return what stands in the way of a step in training mode, if nothing did in eval mode."""
    refused = next((cost.refused for cost in costs if cost.refused), "")
    if not refused or any(finding.level == "problem" for finding in findings):
        return ()
    return (Finding("training mode", "problem", f"a step is refused: {refused}"),)


def _reason(error: Exception) -> str:
    return str(error).splitlines()[0] if isinstance(error, SteadygradError) else described(error)


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
            NormPenalty(eps=_EPS)(model, images, labels).loss.backward()  # type: ignore[no-untyped-call]
    except Exception as error:  # as above
        return Finding("second derivative", "problem", _reason(error))
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
        return Finding("backends", "note", f"cannot be compared: {_reason(error)}")
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
