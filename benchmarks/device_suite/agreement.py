"""Whether a device computes what the CPU computes: every layer, penalty and attack.

Bodies alone, without a test library: ``tests/gpu`` and ``benchmarks/accelerator.py`` run the same.
Each raises AssertionError with a sentence, or returns the numbers it compared.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from device_suite.half_precision import halves_are_as_exact
from device_suite.record import Values
from device_suite.waiting import refusing_to_wait
from steadygrad import layers
from steadygrad.attacks import PGD
from steadygrad.attacks.part import ATTACKS
from steadygrad.covariance import ExponentialCovariance, RunningCovariance
from steadygrad.errors import MissingExtraError
from steadygrad.models import build_model
from steadygrad.penalties import (
    CapturedGradient,
    DoubleBackprop,
    FiniteDifference,
    SquaredNormPenalty,
    StructuredPenalty,
)
from steadygrad.pending_checks import settle_checks

__all__ = ["LAYERS", "agreement_checks"]

TOLERANCE = {torch.float64: 1e-9, torch.float32: 2e-3}
"""Largest difference, of the largest value; a second derivative in float32 loses some digits."""

OF_DIFFERENCE = 1e-6
"""The same for a finite difference, whose division by a small step magnifies rounding."""

VANISHING = 1e-3
"""Share of the largest value below which a tensor's values are compared with that share instead."""

MOST_MOVED_PIXELS = 0.01
"""Share of pixels that may end elsewhere: rounding turns the sign of a vanishing gradient."""

_MOVED_BY_ROUNDING: Mapping[str, float] = {"surrogate": 0.25}
"""Larger shares: the surrogate trains a network in float32 first, in which rounding grows."""

_QUICK: Mapping[str, Mapping[str, Any]] = {
    "nes": {"queries": 200},
    "lrc": {"samples": 3},
    "autoattack": {"attacks": ("apgd-ce",)},
    "mixture": {"attack": PGD(eps=0.05)},
    "carlini-wagner": {"steps": 10, "binary_search_steps": 1},
}
"""Settings that an attack needs, or under which it ends in a moment."""


@dataclass(frozen=True)
class LayerCase:
    """A layer and the images it is fed with, (batch, channels, height, width)."""

    build: Callable[[], nn.Module]
    shape: tuple[int, ...] = (3, 4, 8, 8)


LAYERS: Mapping[str, LayerCase] = {
    "AvgPool2x2": LayerCase(layers.AvgPool2x2),
    "BatchNorm2d": LayerCase(partial(layers.BatchNorm2d, 4)),
    "ChannelGroupSum": LayerCase(partial(layers.ChannelGroupSum, 2)),
    "ComplexConv2d": LayerCase(partial(layers.ComplexConv2d, 4, 6, 3, padding=1, sum_groups=2)),
    "ComplexConv2d, frozen phase": LayerCase(
        partial(layers.ComplexConv2d, 4, 6, 3, stride=2, second_order="frozen_phase")
    ),
    "ComplexLinear": LayerCase(partial(layers.ComplexLinear, 8, 5)),
    "ComplexLinear, frozen phase": LayerCase(
        partial(layers.ComplexLinear, 8, 5, second_order="frozen_phase")
    ),
    "Conv2d": LayerCase(partial(layers.Conv2d, 4, 6, 3, padding=1)),
    "Conv2d, one channel": LayerCase(partial(layers.Conv2d, 1, 32, 3, padding=1), (3, 1, 8, 8)),
    "GELU": LayerCase(layers.GELU),
    "Linear": LayerCase(partial(layers.Linear, 8, 5)),
    "PerImageStandardization": LayerCase(layers.PerImageStandardization),
    "PhaseEncoding": LayerCase(layers.PhaseEncoding),
    "PixelNormalization": LayerCase(
        partial(layers.PixelNormalization, (0.4, 0.5, 0.6), (0.2, 0.3, 0.2)), (3, 3, 8, 8)
    ),
    "SinusoidalContrast": LayerCase(layers.SinusoidalContrast),
}
"""Every module of ``steadygrad.layers``; a test asks that none is missing."""


def agreement_checks(device: torch.device) -> Iterator[tuple[str, Callable[[], Values]]]:
    """Yield every check by name, what matters most first."""
    for name, penalty in _PENALTIES.items():
        if name in _WAITING_PENALTIES:
            continue
        yield f"no waiting/{name}", partial(step_never_waits, penalty, device)
    for name in LAYERS:
        for dtype in TOLERANCE:
            yield f"layer/{name}/{_name(dtype)}", partial(layer_agrees, name, dtype, device)
    yield "layers under autocast", partial(halves_are_as_exact, device)
    for name in _PENALTIES:
        yield f"penalty/{name}", partial(penalty_agrees, name, device)
    for name in ("yeats2021-mnist-complex", "yeats2021-cifar1-complex", "ross2018-gelu"):
        yield f"network/{name}", partial(network_agrees, name, device)
    yield "exact resume", partial(resume_is_exact, device)
    yield "recorded step", partial(recording_agrees, DoubleBackprop(), device)
    running = DoubleBackprop(statistics="running")
    yield "recorded step, running statistics", partial(recording_agrees, running, device)
    for name in ATTACKS.names():
        yield f"attack/{name}", partial(attack_agrees, name, device)


def layer_agrees(name: str, dtype: torch.dtype, device: torch.device) -> Values:
    """Compare a layer's value, input gradient and second derivatives with the CPU's."""
    case = LAYERS[name]
    torch.manual_seed(0)
    reference = case.build().to(dtype)
    images = torch.rand(case.shape, dtype=dtype)
    copy = _copy(reference, case.build, dtype, device)
    expected = _derivatives(reference, images)
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        found = _derivatives(copy, images.to(device))
    return _compare(found, expected, TOLERANCE[dtype])


def penalty_agrees(name: str, device: torch.device) -> Values:
    """Compare a penalty's two losses and its gradient by all parameters with the CPU's."""
    expected = _penalised(_PENALTIES[name](), _small_network(torch.device("cpu")))
    found = _penalised(_PENALTIES[name](), _small_network(device))
    is_difference = "finite difference" in name
    return _compare(found, expected, OF_DIFFERENCE if is_difference else TOLERANCE[torch.float64])


def network_agrees(name: str, device: torch.device) -> Values:
    """Compare a whole network's penalised gradient, in float64, with the CPU's."""

    def penalised(device: torch.device) -> dict[str, Tensor]:
        torch.manual_seed(0)
        network = build_model(name).double().eval().to(device)
        channels, size = (3, 32) if "cifar" in name else (1, 28)
        return _penalised(SquaredNormPenalty(strength=0.01), network, channels, size=size)

    return _compare(penalised(device), penalised(torch.device("cpu")), TOLERANCE[torch.float64])


def attack_agrees(name: str, device: torch.device) -> Values:
    """Compare an attack's images with the CPU's, from the same draws of a CPU generator."""
    radius = {"eps": 0.05} if ATTACKS.about(name).has_eps else {}
    try:
        attack: Any = ATTACKS.get(name)(**radius, **_QUICK.get(name, {}))
    except MissingExtraError as error:
        return {"skipped": str(error)}

    def attacked(device: torch.device) -> Tensor:
        network = _small_network(device).eval()
        images, labels = _batch(device, 1, 8)
        generator = torch.Generator().manual_seed(0)
        adversarial: Tensor = attack(network, images, labels, generator=generator)
        assert adversarial.device.type == device.type, f"{name} left {device} behind"
        return adversarial.cpu()

    moved = (attacked(device) - attacked(torch.device("cpu"))).abs() > 1e-6
    share = moved.double().mean().item()
    most = _MOVED_BY_ROUNDING.get(name, MOST_MOVED_PIXELS)
    assert share <= most, f"{name} ends elsewhere in {share:.1%} of the pixels"
    return {"moved_pixels": share}


def resume_is_exact(device: torch.device) -> Values:
    """Train, put the state away, go on in new objects: the weights are the same to the bit."""
    whole, state = _train(device, 6)
    _, state = _train(device, 3)
    resumed, _ = _train(device, 3, state)
    for name, value in whole.items():
        assert torch.equal(value, resumed[name]), f"{name} differs after a resumed training"
    return {"tensors": len(whole)}


def recording_agrees(backend: DoubleBackprop, device: torch.device) -> Values:
    """Train with a recorded step, dropout off, and with ordinary ones: the weights agree."""
    penalty = SquaredNormPenalty(strength=0.01, backend=backend)
    one, other = _small_network(device), _small_network(device)
    gradient = CapturedGradient(other, penalty)
    optimizers = [torch.optim.SGD(network.parameters(), lr=0.05) for network in (one, other)]
    generator = torch.Generator().manual_seed(2)
    for size in (6, 6, 4, 6):  # the third as the last batch of an epoch
        images = torch.rand(size, 1, 8, 8, generator=generator, dtype=torch.float64).to(device)
        labels = torch.randint(5, (size,), generator=generator).to(device)
        one.zero_grad()
        penalty(one, images, labels).loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
        gradient(images, labels)
        for optimizer in optimizers:
            optimizer.step()
    states = ({k: v.double() for k, v in network.state_dict().items()} for network in (other, one))
    found, expected = states
    return _compare(found, {k: v.cpu() for k, v in expected.items()}, TOLERANCE[torch.float64])


def step_never_waits(penalty: Callable[[], Any], device: torch.device) -> Values:
    """Take a training step during which the host must not wait for the device."""
    network = _small_network(device)
    images, labels = _batch(device, 1, 8)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    objective = penalty()

    def step() -> None:
        optimizer.zero_grad()
        objective(network, images, labels).loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()

    step()  # what is built once may wait
    with refusing_to_wait(device):
        step()
    settle_checks()
    return {}


def _running(source: str) -> StructuredPenalty:
    return StructuredPenalty(strength=0.1, covariance=RunningCovariance(), source=source)  # type: ignore[arg-type] # one of its names


_PENALTIES: Mapping[str, Callable[[], Any]] = {
    "squared L1": partial(SquaredNormPenalty, strength=0.01),
    "squared L2": partial(SquaredNormPenalty, strength=0.1, norm="l2"),
    "squared Linf": partial(SquaredNormPenalty, strength=0.1, norm="linf"),
    "squared L1, finite difference": partial(
        SquaredNormPenalty, strength=0.01, backend="finite_difference"
    ),
    "squared L2, finite difference of order 2": partial(
        SquaredNormPenalty, strength=0.1, norm="l2", backend=FiniteDifference(order=2)
    ),
    "structured, exponential covariance": lambda: StructuredPenalty(
        strength=0.1, covariance=ExponentialCovariance((1, 8, 8), decay_length=2.0)
    ),
    "structured, running covariance of gradients": partial(_running, "gradient"),
    "structured, running covariance of PGD": partial(_running, "pgd"),
}


_WAITING_PENALTIES = ("structured, running covariance of PGD",)
"""PGD looks after each step which images it still has to attack."""


def _derivatives(layer: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Return value, gradient by the input, and that of its squared norm by everything."""
    images = images.clone().requires_grad_()
    names = [name for name, _ in layer.named_parameters()]
    value = layer(images)
    weights = torch.linspace(-1, 1, value.numel(), dtype=value.dtype, device=value.device)
    scalar = (value * weights.view_as(value)).sum() + value.square().sum()
    (gradient,) = torch.autograd.grad(scalar, images, create_graph=True)
    inputs = [images, *layer.parameters()]
    second = torch.autograd.grad(
        gradient.square().sum(), inputs, allow_unused=True, materialize_grads=True
    )
    return {
        "value": value,
        "gradient": gradient,
        **dict(zip(["second by images", *names], second, strict=True)),
    }


def _penalised(
    penalty: Any, network: nn.Module, channels: int = 1, *, size: int = 8
) -> dict[str, Tensor]:
    device = next(network.parameters()).device
    result = penalty(network, *_batch(device, channels, size))
    result.loss.backward()
    gradients = {
        f"gradient of {name}": value.grad
        for name, value in network.named_parameters()
        if value.grad is not None
    }
    buffers = {f"buffer {name}": value.double() for name, value in network.named_buffers()}
    return {"data loss": result.data_loss, "penalty": result.penalty, **gradients, **buffers}


def _compare(
    found: Mapping[str, Tensor], expected: Mapping[str, Tensor], tolerance: float
) -> Values:
    """Return the largest difference relative to the largest value of each tensor."""
    assert found.keys() == expected.keys(), f"{sorted(found)} instead of {sorted(expected)}"
    worst, where = 0.0, ""
    largest = max(tensor.detach().abs().max().item() for tensor in expected.values())
    for name, tensor in expected.items():
        wanted = tensor.detach().double()
        difference = (found[name].detach().cpu().double() - wanted).abs().max().item()
        # A derivative that is 0 in exact arithmetic is rounding alone.
        relative = difference / max(wanted.abs().max().item(), VANISHING * largest, 1e-12)
        if not relative <= worst:
            worst, where = relative, name
    assert worst <= tolerance, f"{where} differs by {worst:.1e} of its size, at most {tolerance:g}"
    return {"largest_difference": float(f"{worst:.2e}")}


def _copy(
    layer: nn.Module, build: Callable[[], nn.Module], dtype: torch.dtype, device: torch.device
) -> nn.Module:
    copy = build()
    copy.load_state_dict(layer.state_dict())
    return copy.to(device=device, dtype=dtype)


def _small_network(device: torch.device, dropout: float = 0.0) -> nn.Sequential:
    """Return a float64 network with one of every kind of layer that a penalty meets."""
    torch.manual_seed(0)
    return (
        nn.Sequential(
            layers.ComplexConv2d(1, 4, 3, padding=1),
            layers.BatchNorm2d(4),
            layers.GELU(),
            layers.AvgPool2x2(),
            nn.Conv2d(4, 6, 3, padding=1),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Flatten(),
            nn.Linear(6 * 16, 5),
        )
        .double()
        .to(device)
    )


def _batch(device: torch.device, channels: int, size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(6, channels, size, size, generator=generator, dtype=torch.float64)
    return images.to(device), (torch.arange(6) % 5).to(device)


def _train(
    device: torch.device, steps: int, state: Values | None = None
) -> tuple[dict[str, Tensor], Values]:
    """Train with penalty, dropout and noise; return the weights and a state to go on from."""
    network, draws = _small_network(device, dropout=0.3), torch.Generator(device).manual_seed(0)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05, momentum=0.9)
    cuda = [device] if device.type == "cuda" else []
    penalty = _running("gradient")
    deterministic = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True)
    with torch.random.fork_rng(cuda), deterministic:
        torch.manual_seed(3)
        if state is not None:
            network.load_state_dict(state["network"])
            optimizer.load_state_dict(state["optimizer"])
            penalty.load_state_dict(state["penalty"])
            draws.set_state(state["draws"])
            torch.set_rng_state(state["torch"])
            for one in cuda:
                torch.cuda.set_rng_state(state["cuda"], one)
        images, labels = _batch(device, 1, 8)
        for _ in range(steps):
            noise = torch.rand(images.shape, generator=draws, device=device, dtype=images.dtype)
            optimizer.zero_grad()
            penalty(network, (images + 0.1 * noise).clamp(0, 1), labels).loss.backward()  # type: ignore[no-untyped-call] # torch leaves it untyped
            optimizer.step()
        after: Values = {
            "network": {name: value.clone() for name, value in network.state_dict().items()},
            "optimizer": optimizer.state_dict(),
            "penalty": penalty.state_dict(),
            "draws": draws.get_state(),
            "torch": torch.get_rng_state(),
        }
        if cuda:
            after["cuda"] = torch.cuda.get_rng_state(device)
    return after["network"], after


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
