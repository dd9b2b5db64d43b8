"""One attack of a battery on the examples it is meant for, batch by batch."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from steadygrad._typing import Classifier, Images, Labels
from steadygrad.attacks.results import are_inside
from steadygrad.checks import check_finite_losses, check_kind, check_logits
from steadygrad.errors import SteadygradError
from steadygrad.evaluation.auditing.entry import BatteryEntry
from steadygrad.evaluation.divided_batches import each_batch
from steadygrad.evaluation.image_rows import AnyImages
from steadygrad.evaluation.outcome import AttackOutcome, Family
from steadygrad.memory import is_out_of_memory
from steadygrad.model_answer import answer
from steadygrad.seeds import derive_seed, derived_generator

__all__ = [
    "AttackFailedError",
    "AttackRun",
    "QueryCount",
    "Target",
    "family_of",
    "parameters_at_rest",
    "run_attack",
]


class QueryCount(nn.Module):
    """The model as it is, with two counters; attributes not of its own come from the model.

    queries: images sent through the model so far.
    gradients: images whose outputs a backward pass has gone through so far, each time anew. A
        forward pass that is never differentiated adds nothing, whatever the grad mode.
    """

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model
        self.training = getattr(model, "training", False)
        self.queries = self.gradients = 0

    def forward(self, images: Tensor) -> Tensor:
        """Return ``model(images)``."""
        self.queries += len(images)
        logits = self.model(images)
        if isinstance(logits, Tensor) and logits.requires_grad:
            count = len(images)

            def add(_: Tensor) -> None:
                self.gradients += count

            logits.register_hook(add)  # type: ignore[no-untyped-call] # torch leaves it so
        return logits

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == "model":  # not there yet: nothing to ask
                raise
            return getattr(self.model, name)


@contextmanager
def parameters_at_rest(model: Classifier) -> Iterator[None]:
    """Let no parameter require a gradient; afterwards restore each one's own setting.

    Attacks of other libraries call ``backward()``, which would fill every parameter's ``.grad``.
    A plain callable has no parameters and passes through.
    """
    resting = []
    if isinstance(model, nn.Module):
        resting = [parameter for parameter in model.parameters() if parameter.requires_grad]
    for parameter in resting:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in resting:
            parameter.requires_grad_(True)


class AttackFailedError(Exception):
    """An attack could not be run on this model; the text is the reason, for a sentence."""


@dataclass(frozen=True, eq=False)
class Target:
    """Everything that is attacked; the model is in eval mode already.

    shown_rows: int64, ascending: examples whose adversarial images are kept, to be looked at.
    """

    model: Classifier
    images: AnyImages = field(repr=False)
    labels: Labels = field(repr=False)
    eps: float
    norm: Literal["linf", "l2"]
    seed: int
    device: torch.device
    shown_rows: Tensor = field(repr=False)


@dataclass(frozen=True, eq=False)
class AttackRun:
    """What an attack did, and its images of the target's shown rows, where they may count.

    shown_rows: int64 (k,), ascending; shown: (k, channels, height, width), on the CPU.
    """

    outcome: AttackOutcome
    shown_rows: Tensor = field(repr=False)
    shown: Images = field(repr=False)


def run_attack(
    target: Target,
    entry: BatteryEntry,
    rows: Tensor,
    batch_size: int,
    report: Callable[[int], None],
    is_over: Callable[[], bool] = lambda: False,
) -> AttackRun:
    """Attack the examples at ``rows`` (int64), all classified correctly.

    A result counts as broken if the model is wrong about it and it lies in the ball and in
    [0, 1]. Batch ``i`` gets a CPU generator that depends on seed, the entry's stream and ``i``
    alone, and torch's global generator is seeded likewise meanwhile, for models and foreign
    attacks that draw from it.

    report: told how many examples are done. is_over: asked before each batch but the first; the
        examples of those that it stops are not attacked.
    Raises: AttackFailedError, with the reason, if the attack or the model refuses; errors that say
        that memory ran out as they come.
    """
    began = time.perf_counter()
    batches = torch.split(rows, batch_size)
    met = each_batch(
        len(batches),
        lambda number: _met(target, entry, batches[number], number),
        report=lambda number, _: report(len(batches[number])),
        is_over=is_over,
    )
    n = len(target.labels)
    attacked, broken = (
        torch.zeros(n, dtype=torch.bool, device="cpu"),
        torch.zeros(n, dtype=torch.bool, device="cpu"),
    )
    for batch, found in zip(batches, met, strict=False):  # time may have cut the rest
        attacked[batch] = True
        broken[batch] = found.broken
    queries, gradients = (sum(found.queries for found in met), sum(f.gradients for f in met))
    outcome = AttackOutcome(
        name=entry.name,
        family=entry.family or family_of(queries, gradients, len(rows)),
        attack=entry.description,
        eps=target.eps,
        norm=target.norm,
        attacked=attacked,
        broken=broken,
        seconds=time.perf_counter() - began,
        queries=queries,
        gradients=gradients,
        seed=target.seed,
        scope=entry.scope,
        outside=sum(found.outside for found in met),
        batch_size=batch_size,
    )
    no_rows, no_images = torch.zeros(0, dtype=torch.int64, device="cpu"), target.images[:0].cpu()
    return AttackRun(
        outcome=outcome,
        shown_rows=torch.cat([no_rows, *(found.shown_rows for found in met)]),
        shown=torch.cat([no_images, *(found.shown for found in met)]),
    )


@dataclass(frozen=True, eq=False)
class _BatchMet:
    """What an attack did to one batch, on the CPU; ``broken`` is bool (batch,)."""

    broken: Tensor
    outside: int
    shown_rows: Tensor
    shown: Images
    queries: int
    gradients: int


def _met(target: Target, entry: BatteryEntry, batch: Tensor, number: int) -> _BatchMet:
    counted = QueryCount(target.model)
    images = target.images[batch.to(target.images.device)].to(target.device)
    labels = target.labels[batch.to(target.labels.device)].to(target.device)
    purpose = f"{entry.draws}, batch {number}"
    with torch.random.fork_rng(devices=_cuda(target.device)):
        torch.manual_seed(derive_seed(target.seed, f"{purpose}, global"))
        try:
            adversarial = entry.attack(
                counted,
                images,
                labels,
                generator=derived_generator(target.seed, purpose),
            )
            check_kind("it", adversarial, images)
            is_wrong = _is_wrong(target.model, adversarial, labels)
        except Exception as error:  # whatever a stranger's attack or model may raise
            if is_out_of_memory(error):
                raise
            raise AttackFailedError(_reason(error)) from error
    is_inside = are_inside(adversarial, images, eps=target.eps, norm=target.norm)
    kept = torch.isin(batch, target.shown_rows) & is_inside.cpu()
    return _BatchMet(
        broken=(is_wrong & is_inside).cpu(),
        outside=int((~is_inside).sum()),
        shown_rows=batch[kept],
        shown=adversarial[kept.to(target.device)].detach().cpu(),
        queries=counted.queries,
        gradients=counted.gradients,
    )


@torch.no_grad()
def _is_wrong(model: Classifier, images: Images, labels: Labels) -> Tensor:
    logits = answer(model, images)
    check_logits(logits, len(images))
    check_finite_losses(logits.sum(dim=1))
    return logits.argmax(dim=1) != labels


def family_of(queries: int, gradients: int, examples: int) -> Family:
    """Return what an attack is, judged by the images that it had the model answer."""
    if gradients > examples:
        return "white-box"
    if gradients > 0:
        return "one-step"
    return "query" if queries > 0 else "noise"


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or "without a word"
    if isinstance(error, SteadygradError | AttackFailedError):
        return text
    return f"it raised {type(error).__name__}: {text[:200]}"


def _cuda(device: torch.device) -> list[torch.device]:
    return [device] if device.type == "cuda" else []
