"""What a penalty does around a model's passes: outputs, refusals, statistics, randomness."""

import random
from collections.abc import Iterator
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import checkpoint

from checkpointed_attention import Attending
from steadygrad import checks, pending_checks
from steadygrad.errors import ModelError
from steadygrad.layers import use_fast_layers
from steadygrad.models import Classifier
from steadygrad.penalties import (
    DoubleBackprop,
    FiniteDifference,
    NormPenalty,
    SquaredNormPenalty,
    StructuredPenalty,
    compare_backends,
    loss_watch,
)
from steadygrad.penalties.model_passes import explained, is_compiled
from structured_setting import COVARIANCES, IMAGES, LABELS, parameter_gradient, smooth

X = torch.rand(4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 3])
PENALTY = SquaredNormPenalty(strength=1.0)
UNCHECKED = {"minimum_cosine": -1.0}


def small(*middle: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), *middle, nn.GELU(), nn.Linear(6, 4))


# Outputs that are no plain logits.


class Output(dict[str, Any]):
    @property
    def logits(self) -> Tensor:
        return self["logits"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda z: {"logits": z},
        lambda z: (z, None),
        lambda z: Output(logits=z, loss=None),
        lambda z: type("ModelOutput", (), {"logits": z})(),
    ],
)
@pytest.mark.parametrize("backend", [DoubleBackprop(), FiniteDifference()])
def test_logits_are_found_in_dicts_tuples_and_outputs(wrap: Any, backend: Any) -> None:
    net = small()
    penalty = SquaredNormPenalty(strength=1.0, backend=backend)
    assert torch.equal(penalty(lambda x: wrap(net(x)), X, Y).loss, penalty(net, X, Y).loss)


@pytest.mark.parametrize(
    ("wrap", "message"),
    [
        (lambda z: {"scores": z}, "a dict without 'logits', with scores"),
        (lambda z: z.argmax(dim=1), "floating point logits from the model, got torch.int64"),
        (lambda z: "cat", "logits from the model, got str"),
        (lambda z: z.detach(), "logits that depend on the images"),
        (lambda z: nn.functional.one_hot(z.argmax(1), 4).float(), "depend on the images"),
    ],
)
@pytest.mark.parametrize("backend", [DoubleBackprop(), FiniteDifference()])
def test_outputs_that_are_no_logits_are_refused(wrap: Any, message: str, backend: Any) -> None:
    net = small()
    with pytest.raises(ModelError, match=message):
        SquaredNormPenalty(strength=1.0, backend=backend)(lambda x: wrap(net(x)), X, Y)


# What has no second derivative.


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.project, self.out = nn.Linear(8, 24), nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.project(x).chunk(3, dim=-1)
        logits: Tensor = self.out(scaled_dot_product_attention(q, k, v).mean(dim=(1, 2)))
        return logits


@pytest.mark.parametrize(
    "call", [PENALTY, partial(compare_backends, FiniteDifference(step_size=1))]
)
def test_fused_attention_is_refused_with_its_remedies(call: Any) -> None:
    with pytest.raises(ModelError, match=r'"eager".*sdpa_kernel\(SDPBackend.MATH\).*finite-diff'):
        call(Attention(), X, Y)


def test_the_remedies_for_attention_work() -> None:
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        exact = PENALTY(Attention(), X, Y)
        exact.loss.backward()
    model = Attention()
    SquaredNormPenalty(strength=1.0, backend="finite-difference")(model, X, Y).loss.backward()
    assert model.project.weight.grad.abs().max() > 0


def test_other_layers_without_a_second_derivative_are_refused() -> None:
    with pytest.raises(ModelError, match="second derivative: replace the layer"):
        PENALTY(small(nn.Hardsigmoid()), X, Y)


def test_a_compiled_model_is_refused_exactly_and_trusted_by_difference() -> None:
    torch.compiler.reset()
    net = small()
    compiled = torch.compile(net, backend="aot_eager")
    assert is_compiled(compiled) and not is_compiled(net)
    for _ in range(2):
        with pytest.raises(ModelError, match="or choose backend finite-difference"):
            PENALTY(compiled, X, Y)
    assert compare_backends(FiniteDifference(), compiled, X, Y).cosine > 0.99
    SquaredNormPenalty(strength=1.0, backend=FiniteDifference())(compiled, X, Y).loss.backward()


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # of torch.compile itself
def test_a_model_that_is_compiled_after_its_first_penalty_is_refused() -> None:
    torch.compiler.reset()
    net = small()
    PENALTY(net, X, Y)
    net.compile(backend="aot_eager")
    with pytest.raises(ModelError, match="a compiled model has no second derivative"):
        PENALTY(net, X, Y)


@pytest.mark.parametrize("penalty", [SquaredNormPenalty(strength=0.1), NormPenalty(eps=0.1)])
def test_transforms_of_torch_func_are_refused_in_a_sentence(penalty: Any) -> None:
    model = smooth()

    def loss(parameters: dict[str, Tensor]) -> Tensor:
        found: Tensor = penalty(
            lambda images: torch.func.functional_call(model, parameters, (images,)), IMAGES, LABELS
        ).loss
        return found

    def of_one(image: Tensor, label: Tensor) -> Tensor:
        found: Tensor = penalty(model, image[None], label[None]).loss
        return found

    with pytest.raises(ModelError, match=r"inside torch\.func's grad or vmap"):
        torch.func.grad(loss)(dict(model.named_parameters()))
    with pytest.raises(ModelError, match=r"inside torch\.func's grad or vmap"):
        torch.func.vmap(of_one)(IMAGES, LABELS)


def test_donated_buffers_of_a_compiled_model_are_explained() -> None:
    with (
        pytest.raises(ModelError, match=r"the model from before .*donated_buffer = False"),
        explained(),
    ):
        raise RuntimeError(
            "This backward function was compiled with non-empty donated buffers which requires "
            "create_graph=False and retain_graph=False."
        )


# Checkpointing, and activations that somebody looks at.


@pytest.mark.parametrize("backend", [DoubleBackprop(), FiniteDifference(step_size=0.01)])
def test_checkpointing_the_whole_model_changes_nothing(backend: Any) -> None:
    penalty, net = SquaredNormPenalty(strength=1.0, backend=backend), small()
    plain = parameter_gradient(net, penalty(net, X, Y).loss)
    result = penalty(lambda x: checkpoint(net, x, use_reentrant=False), X, Y)
    net.zero_grad()
    result.loss.backward()
    found = torch.cat([parameter.grad.flatten() for parameter in net.parameters()])
    torch.testing.assert_close(found, plain)


@pytest.mark.parametrize("backend", [DoubleBackprop(), FiniteDifference(step_size=0.01)])
def test_reentrant_checkpointing_is_refused_with_its_remedy(backend: Any) -> None:
    penalty, net = SquaredNormPenalty(strength=1.0, backend=backend), small()
    with pytest.raises(ModelError, match="use_reentrant=False"):
        penalty(lambda x: checkpoint(net, x, use_reentrant=True), X, Y)


def test_checkpointed_attention_works_within_the_context_that_the_refusal_names() -> None:
    model = Classifier(Attending(8, 4, recomputes=True))
    with pytest.raises(ModelError, match=r"inside torch\.nn\.attention\.sdpa_kernel"):
        PENALTY(model, X, Y)
    with sdpa_kernel(SDPBackend.MATH):
        PENALTY(model, X, Y).loss.backward()
    found = torch.cat([parameter.grad.flatten() for parameter in model.parameters()])
    plain = Classifier(Attending(8, 4, recomputes=False))
    torch.testing.assert_close(found, parameter_gradient(plain, PENALTY(plain, X, Y).loss))


@pytest.mark.parametrize("fast", [False, True])
def test_hooks_before_the_first_layer_see_the_same_gradient(fast: bool) -> None:
    seen: list[Tensor] = []

    class Normalise(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            x = (x - 0.5) / 0.25
            x.register_hook(seen.append)
            return x

    torch.manual_seed(1)
    net = nn.Sequential(Normalise(), nn.Conv2d(1, 8, 3), nn.GELU(), nn.Flatten(), nn.Linear(288, 4))
    reference = nn.Sequential(*net[1:])
    images = ((X - 0.5) / 0.25).requires_grad_()
    # By hand: the images' own gradient of loss and penalty together.
    losses = nn.functional.cross_entropy(reference(images), Y, reduction="none")
    (gradient,) = torch.autograd.grad(losses.sum(), images, create_graph=True)
    total = losses.mean() + (gradient / 0.25).flatten(1).abs().sum(1).square().mean()
    (expected,) = torch.autograd.grad(total, images)
    if fast:
        use_fast_layers(net)
    result = PENALTY(net, X, Y)
    seen.clear()
    result.loss.backward()
    torch.testing.assert_close(sum(seen), expected, rtol=1e-4, atol=1e-6)


# Statistics.


class Counting(nn.Module):
    """A layer of somebody's own that keeps an average of what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("average", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            self.average.mul_(0.9).add_(x.detach().mean(), alpha=0.1)
        return x


def keeping_statistics() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        Counting(),
        spectral_norm(nn.Conv2d(1, 4, 3)),
        nn.BatchNorm2d(4),
        nn.InstanceNorm2d(4, track_running_stats=True),
        nn.GELU(),
        nn.Flatten(),
        nn.BatchNorm1d(144, momentum=None),
        nn.Linear(144, 4),
    )


BACKENDS = [
    DoubleBackprop(),
    DoubleBackprop(statistics="running"),
    FiniteDifference(step_size=0.1),
    FiniteDifference(order=2, **UNCHECKED),
    FiniteDifference(statistics="running", **UNCHECKED),
    FiniteDifference(),
]


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("wrapped", [False, True])
@pytest.mark.parametrize("backend", BACKENDS, ids=repr)
def test_every_layer_learns_from_a_batch_once(backend: Any, fast: bool, wrapped: bool) -> None:
    once, model = keeping_statistics(), keeping_statistics()
    if fast:
        use_fast_layers(once), use_fast_layers(model)
    once(X)
    seen = partial(lambda models, x: models[0](x), [model]) if wrapped else model
    SquaredNormPenalty(strength=0.01, backend=backend)(seen, X, Y)
    for ours, expected in zip(model.buffers(), once.buffers(), strict=True):
        torch.testing.assert_close(ours, expected)
    assert all(module.training for module in model.modules())
    assert model[2].num_batches_tracked == 1


def test_running_statistics_of_layers_that_are_not_found_are_refused() -> None:
    weight = torch.ones(64, 4)
    for backend, fraction in product((BACKENDS[1], BACKENDS[4]), (1.0, 0.5)):
        penalty = SquaredNormPenalty(strength=1.0, fraction=fraction, backend=backend)
        with pytest.raises(ModelError, match='layers are found for statistics "running", got <f'):
            penalty(lambda x: x.flatten(1) @ weight, X, Y)


# Randomness.


class Drawing(nn.Module):
    def __init__(self, draw: Any) -> None:
        super().__init__()
        self.draw, self.net = draw, small()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.net(x) * (1 + self.draw())
        return logits


@pytest.mark.parametrize(
    "draw", [random.random, lambda: float(np.random.rand()), lambda: torch.rand(())]
)
def test_a_difference_repeats_every_global_generator(draw: Any) -> None:
    model = Drawing(draw)
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    difference = SquaredNormPenalty(strength=1.0, backend=FiniteDifference(order=2))
    found = parameter_gradient(model, difference(model, X, Y).penalty)
    drawn_after = draw()
    random.setstate(states[0]), np.random.set_state(states[1]), torch.set_rng_state(states[2])
    torch.testing.assert_close(
        found, parameter_gradient(model, PENALTY(model, X, Y).penalty), rtol=0.02, atol=1e-3
    )
    assert draw() == drawn_after  # as after one pass


def test_a_difference_refuses_a_model_with_a_generator_of_its_own() -> None:
    own = random.Random(0)
    model, penalty = (
        Drawing(own.random),
        SquaredNormPenalty(strength=1.0, backend="finite-difference"),
    )
    for _ in range(2):
        with pytest.raises(ModelError, match="draws from a generator of its own"):
            penalty(model, X, Y)
    PENALTY(Drawing(own.random), X, Y)


# Waiting for an accelerator.


class Reads(TorchDispatchMode):
    """Count what makes Python wait for a tensor's value."""

    count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        names = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal")
        self.count += any(name in str(func) for name in names)
        return func(*args, **(kwargs or {}))


@pytest.fixture
def accelerator(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let reading a number of a CPU tensor count as waiting; what is sent never arrives."""
    for module in (checks, loss_watch):
        monkeypatch.setattr(module, "reading_waits", lambda tensor: True)
    monkeypatch.setattr(pending_checks, "_arrives_late", lambda values: True)
    monkeypatch.setattr(
        pending_checks,
        "_send",
        lambda values, judge: pending_checks._Travelling(values, judge, lambda: False, list),
    )
    yield
    pending_checks._PENDING.clear()


@pytest.mark.parametrize(
    "penalty",
    [
        PENALTY,
        NormPenalty(eps=0.1, fraction=0.5),
        SquaredNormPenalty(strength=1.0, backend=FiniteDifference()),
        StructuredPenalty(strength=1.0, covariance=COVARIANCES["dense"]),
    ],
    ids=lambda penalty: type(penalty).__name__,
)
@pytest.mark.usefixtures("accelerator")
def test_only_the_first_step_waits_for_an_accelerator(penalty: Any) -> None:
    model = smooth()
    counts = []
    for _ in range(4):
        with Reads() as reads:
            penalty(model, IMAGES, LABELS).loss.backward()
        counts.append(reads.count)
    assert counts[0] > 0
    assert counts[1:] == [0, 0, 0]
