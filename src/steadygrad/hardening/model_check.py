"""Everything about a network that matters before hours are spent on hardening it."""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from steadygrad.checks import check_images, check_labels
from steadygrad.errors import HyperparameterError
from steadygrad.evaluation_mode import evaluation_mode
from steadygrad.hardening.findings import Finding, findings_of
from steadygrad.hardening.step_costs import StepCost, step_costs
from steadygrad.model_answer import first_answer
from steadygrad.models import check_fits, copied, parameter_count, without_wrappers

__all__ = ["ModelCheck", "check_model"]


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
        ImageError, LabelError: the images or labels that are given cannot be used.
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
    else:
        check_images(images)
    channels, height, width = images.shape[1:]
    classes = check_fits(network, (channels, height, width), None, type(model).__name__)
    if labels is not None:
        check_labels(labels, len(images), classes)
    with torch.no_grad(), evaluation_mode(network):
        logits = first_answer(network, images)
        labels = logits.argmax(dim=1) if labels is None else labels
    findings = findings_of(network, images, labels, logits)
    costs = step_costs(network, images, labels, repetitions=repetitions)
    findings = (*findings, *_training_step(findings, costs))
    return ModelCheck(findings, costs, classes, parameter_count(network))


def _training_step(
    findings: tuple[Finding, ...], costs: tuple[StepCost, ...]
) -> tuple[Finding, ...]:
    """Return what stands in the way of a step in training mode, if nothing did in eval mode."""
    refused = next((cost.refused for cost in costs if cost.refused), "")
    if not refused or any(finding.level == "problem" for finding in findings):
        return ()
    return (Finding("training mode", "problem", f"a step is refused: {refused}"),)
