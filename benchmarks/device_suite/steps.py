"""One training step of every kind on one network, precision and memory layout, in turns."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeAlias
from unittest.mock import patch

import torch
from gradient_step import gradient_step
from naive_layers import naive_copy
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from device_suite.networks import VisionTransformer, resnet, set_fused_attention
from device_suite.record import Measurement, Values, sentence
from device_suite.timing import Contestant, compare_in_turn
from steadygrad.attacks import PGD
from steadygrad.models import build_model
from steadygrad.penalties import CapturedGradient, SquaredNormPenalty, backends

__all__ = [
    "EXACT",
    "PLAIN",
    "Configuration",
    "Subject",
    "step_contestants",
    "step_measurements",
    "subjects",
]

Precision: TypeAlias = Literal["float32", "tf32", "bfloat16"]
Layout: TypeAlias = Literal["contiguous", "channels-last"]
Execution: TypeAlias = Literal["eager", "compiled"]

STRENGTH = 1e-6
"""Of the penalty: it changes no cost."""

PLAIN, EXACT, DIFFERENCE = "plain", "exact penalty", "finite difference"
NAIVE, WHOLE, WHOLE_PLAIN = "exact, plain autograd", "exact, one graph", "plain, compiled"
OWN = "exact, PyTorch's layers"
REPLAYED, REPLAYED_PLAIN = "exact, CUDA graph", "plain, CUDA graph"


@dataclass(frozen=True)
class Subject:
    """A network and the batch it is stepped with.

    shape: of an image, (channels, height, width).
    """

    name: str
    build: Callable[[], nn.Module]
    shape: tuple[int, int, int]
    batch: int
    classes: int = 10
    is_complex: bool = False


@dataclass(frozen=True)
class Configuration:
    """How a step is computed.

    precision: "tf32" lets products round to 10 bits; "bfloat16" is autocast of the forward pass.
    execution: "eager"; or "compiled", the penalised step as one graph of nested
        ``torch.func.grad``.
    """

    precision: Precision = "float32"
    layout: Layout = "contiguous"
    execution: Execution = "eager"

    def __str__(self) -> str:
        return f"{self.precision}, {self.layout}, {self.execution}"


class _UnderAutocast(nn.Module):
    """A network whose forward pass, and nothing else, runs in bfloat16 where that is safe."""

    def __init__(self, network: nn.Module, device_type: str) -> None:
        super().__init__()
        self.network, self.device_type = network, device_type

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(self.device_type, torch.bfloat16):
            logits: Tensor = self.network(x)
        return logits


def subjects(*, is_tiny: bool) -> tuple[Subject, ...]:
    """Return the networks; tiny ones run the same code in a moment on a CPU."""
    build_resnet18 = partial(resnet, (2, 2, 2, 2), is_bottleneck=False)
    build_resnet50 = partial(resnet, (3, 4, 6, 3), is_bottleneck=True)
    if is_tiny:
        return (
            _of_paper("mnist", "complex", 4),
            _of_paper("mnist", "real", 4),
            Subject("resnet18", partial(build_resnet18, width=4), (3, 32, 32), 4, 1000),
            Subject(
                "vit-s",
                partial(VisionTransformer, size=32, width=24, depth=2, heads=2),
                (3, 32, 32),
                4,
                1000,
            ),
        )
    return (
        _of_paper("mnist", "complex", 64),
        _of_paper("mnist", "real", 64),
        _of_paper("fashion-mnist", "complex", 64),
        _of_paper("fashion-mnist", "real", 64),
        Subject("resnet18", build_resnet18, (3, 224, 224), 64, 1000),
        Subject("resnet50", build_resnet50, (3, 224, 224), 32, 1000),
        Subject("vit-s", VisionTransformer, (3, 224, 224), 32, 1000),
        replace(_of_paper("mnist", "complex", 1024), name="mnist-complex-1024"),
        replace(_of_paper("mnist", "real", 1024), name="mnist-real-1024"),
    )


def step_measurements(device: torch.device, *, is_tiny: bool) -> Iterator[Measurement]:
    """Yield the measurements of steps, the most telling configurations first."""
    wanted = (
        Configuration(),
        Configuration("bfloat16", "channels-last"),
        Configuration(execution="compiled"),
        Configuration("tf32"),
        Configuration("tf32", "channels-last"),
        Configuration("bfloat16", execution="compiled"),
        Configuration("bfloat16"),
        Configuration("float32", "channels-last"),
    )
    for configuration in wanted:
        for subject in subjects(is_tiny=is_tiny):
            is_small = subject.shape[1] < 224
            if configuration.layout == "channels-last" and is_small and not is_tiny:
                continue
            seconds = 1 if is_tiny else (4 if is_small else 10)
            expected = seconds * 1.5 + (60 if configuration.execution == "compiled" else 0)
            yield Measurement(
                f"steps/{subject.name}/{configuration}",
                min(5, expected) if is_tiny else expected,
                partial(measure_steps, subject, configuration, device, seconds),
            )


def measure_steps(
    subject: Subject, configuration: Configuration, device: torch.device, seconds: float
) -> Values:
    """Return the times of all steps of one network in one configuration.

    Times are of loss and gradient of all parameters, without the optimizer, which all share.
    """
    with step_contestants(subject, configuration, device) as (steps, notes):
        times = compare_in_turn(steps, device, seconds=seconds)
    return {"batch": subject.batch, "shape": list(subject.shape), "steps": times} | notes


@contextmanager
def step_contestants(
    subject: Subject, configuration: Configuration, device: torch.device
) -> Iterator[tuple[Mapping[str, Contestant], Values]]:
    """Hand out the steps of one network, under the configuration's settings, and notes on them."""
    torch.manual_seed(0)
    network = subject.build().to(device).train()
    images = torch.rand(subject.batch, *subject.shape, device=device)
    labels = torch.randint(subject.classes, (subject.batch,), device=device)
    if configuration.layout == "channels-last":
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload] # not in its stub
        images = images.contiguous(memory_format=torch.channels_last)
    with _precision(configuration.precision):
        yield _contestants(subject, configuration, network, images, labels)


def _contestants(
    subject: Subject,
    configuration: Configuration,
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
) -> tuple[Mapping[str, Contestant], Values]:
    is_bfloat16 = configuration.precision == "bfloat16"

    def wrapped(network: nn.Module) -> nn.Module:
        return _UnderAutocast(network, images.device.type) if is_bfloat16 else network

    model = wrapped(network)
    exact = SquaredNormPenalty(strength=STRENGTH)
    difference = SquaredNormPenalty(strength=STRENGTH, backend="finite_difference")

    def plain_loss() -> Tensor:
        set_fused_attention(model, True)
        return cross_entropy(model(images).float(), labels)

    def exact_loss(model: nn.Module = model) -> Tensor:
        set_fused_attention(model, False)
        return exact(model, images, labels).loss

    def difference_loss() -> Tensor:
        set_fused_attention(model, True)
        return difference(model, images, labels).loss

    def attacked_loss(steps: int) -> Tensor:
        set_fused_attention(model, True)
        attack = PGD(eps=4 / 255, steps=steps)
        model.eval()
        adversarial = attack(model, images, labels)
        model.train()
        return cross_entropy(model(adversarial).float(), labels)

    contestants: dict[str, Contestant] = {
        PLAIN: gradient_step(model, plain_loss),
        EXACT: gradient_step(model, exact_loss),
    }
    if configuration.execution == "compiled":
        return _compiled(contestants, model, images, labels)
    if images.is_cuda:
        contestants |= _replayed(model, exact, images, labels)
    if any(type(module) is nn.Conv2d for module in network.modules()):
        contestants[OWN] = _with_own_layers(gradient_step(model, exact_loss))
    contestants[DIFFERENCE] = gradient_step(model, difference_loss)
    for steps in (3, 10):
        contestants[f"PGD({steps})"] = gradient_step(model, partial(attacked_loss, steps))
    if subject.is_complex:
        naive = wrapped(naive_copy(network).to(images.device))
        contestants[NAIVE] = gradient_step(naive, partial(exact_loss, naive))
    return contestants, {}


def _replayed(
    model: nn.Module, exact: SquaredNormPenalty, images: Tensor, labels: Tensor
) -> dict[str, Contestant]:
    """Return the plain and the penalised step, each as one recorded CUDA graph."""
    steps: dict[str, Contestant] = {}
    penalties = {REPLAYED_PLAIN: SquaredNormPenalty(strength=0), REPLAYED: exact}
    for name, penalty in penalties.items():
        gradient = CapturedGradient(model, penalty)

        def run(
            gradient: CapturedGradient = gradient, is_plain: bool = penalty.strength == 0
        ) -> None:
            set_fused_attention(model, is_plain)
            gradient(images, labels)

        steps[name] = run
    return steps


def _with_own_layers(step: Contestant) -> Contestant:
    """Return a penalised step in which PyTorch's layers stay PyTorch's."""

    def run() -> None:
        with patch.object(backends, "_own_layers", lambda _: nullcontext()):
            step()

    return run


def _compiled(
    eager: dict[str, Contestant], model: nn.Module, images: Tensor, labels: Tensor
) -> tuple[Mapping[str, Contestant], Values]:
    """Add the penalised step as one compiled graph, and the compiled plain step beside it.

    Autograd cannot go twice through a compiled model, so that the derivatives are nested inside
    the compiled function: the gradient by the parameters of a loss that holds that by the images.
    """
    torch.compiler.reset()  # else networks measured before count against the limit of versions
    parameters = {name: value.detach() for name, value in model.named_parameters()}
    buffers = dict(model.named_buffers())

    def losses(parameters: dict[str, Tensor], images: Tensor) -> Tensor:
        # Copies: batch norm writes its running statistics, which a transform does not allow.
        own = {name: buffer.clone() for name, buffer in buffers.items()}
        logits = functional_call(model, (parameters, own), (images,))
        return cross_entropy(logits.float(), labels, reduction="none")

    def plain(parameters: dict[str, Tensor], images: Tensor) -> Tensor:
        return losses(parameters, images).mean()

    def penalised(parameters: dict[str, Tensor], images: Tensor) -> Tensor:
        def total(images: Tensor) -> tuple[Tensor, Tensor]:
            each = losses(parameters, images)
            return each.sum(), each

        gradient, each = torch.func.grad(total, has_aux=True)(images)
        squared = gradient.flatten(1).abs().sum(dim=1).square()
        loss: Tensor = each.mean() + STRENGTH * squared.mean()
        return loss

    def step(function: Callable[..., Tensor], *, is_fused: bool) -> Contestant:
        compiled = torch.compile(torch.func.grad(function))

        def run() -> dict[str, Tensor]:
            set_fused_attention(model, is_fused)
            gradients: dict[str, Tensor] = compiled(parameters, images)
            return gradients

        return run

    one_graph = step(penalised, is_fused=False)
    notes: Values = {}
    try:
        eager[EXACT]()
        expected = {name: value.grad for name, value in model.named_parameters()}
        notes["one_graph_error"] = _relative_distance(one_graph(), expected)
    except Exception as error:  # compare_in_turn meets it again and says so for the contestant
        notes["one_graph_error"] = sentence(error)
    return eager | {WHOLE_PLAIN: step(plain, is_fused=True), WHOLE: one_graph}, notes


def _relative_distance(found: object, expected: Mapping[str, Tensor | None]) -> float:
    assert isinstance(found, dict)
    pairs = [(found[name], value) for name, value in expected.items() if value is not None]
    difference = sum(float((a - b).double().square().sum()) for a, b in pairs)
    size = sum(float(b.double().square().sum()) for _, b in pairs)
    return float(f"{(difference / size) ** 0.5:.2e}")


@contextmanager
def _precision(precision: Precision) -> Iterator[None]:
    """Allow or forbid TF32 products for a while."""
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    is_tf32 = precision == "tf32"
    torch.set_float32_matmul_precision("high" if is_tf32 else "highest")
    torch.backends.cudnn.allow_tf32 = is_tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


def _of_paper(dataset: str, kind: str, batch: int) -> Subject:
    return Subject(
        f"{dataset}-{kind}",
        partial(build_model, f"yeats2021-{dataset}-{kind}"),
        (1, 28, 28),
        batch,
        is_complex=kind == "complex",
    )
