"""What every attack owes its caller, whatever its method.

Every registered attack takes part with its defaults, other packages' too; an attack that says of
itself that a law does not hold for it (``about_attack``) is skipped there with the reason.
"""

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from conv_network import conv_network
from part_examples import example
from steadygrad.attacks import (
    APGD,
    ATTACKS,
    FGSM,
    NES,
    PGD,
    Attack,
    IterativeFGSM,
    LongRangeCorrelated,
    MomentumIterative,
    NoisyFGSM,
    RandomNoise,
    SparseL1,
    WhiteNoise,
    about_attack,
    norm_of,
    with_eps,
)
from steadygrad.attacks.adapters import ForeignAttack
from steadygrad.covariance import Exponential
from steadygrad.errors import SteadygradError

VARIANTS = [
    FGSM(eps=0.1),
    FGSM(eps=0.1, start_from_prediction=True),
    PGD(eps=0.1),
    PGD(eps=0.1, random_start=False, steps=3),
    PGD(eps=0.1, restarts=3, steps=2),
    PGD(eps=0.1, target="random"),
    PGD(eps=0.1, target="random", start_from_prediction=True, restarts=2),
    PGD(eps=0.1, target="least-likely", loss="dlr"),
    PGD(eps=0.1, target="all", loss="margin", steps=2),
    PGD(eps=0.1, loss="dlr", restarts=2, steps=2),
    PGD(eps=0.03, step_size=0.5),
    PGD(eps=0.6, norm="l2"),
    PGD(eps=0.6, norm="l2", step_size=3.0, restarts=2, steps=2),
    PGD(eps=0.6, norm="l2", target="all", loss="dlr", steps=2),
    FGSM(eps=0.6, norm="l2"),
    APGD(eps=0.1, steps=5, restarts=2, loss="dlr"),
    APGD(eps=0.6, norm="l2", steps=4, loss="dlr", target="nearest", candidates=2),
    APGD(eps=0.1, steps=4, start_from_prediction=True, loss="margin"),
    IterativeFGSM(eps=0.1),
    IterativeFGSM(eps=0.1, steps=3, step_size=0.1),
    MomentumIterative(eps=0.1),
    MomentumIterative(eps=0.1, steps=3, decay=0.5, step_size=0.1),
    MomentumIterative(eps=0.6, norm="l2"),
    SparseL1(eps=2.0, steps=5),
    SparseL1(eps=30.0, steps=5, share=0.5, loss="dlr"),
    RandomNoise(eps=0.1),
    RandomNoise(eps=0.1, distribution="sign"),
    RandomNoise(eps=0.1, samples=5),
    NES(eps=0.1, queries=96, steps=4),
    NES(eps=0.1, queries=100, steps=4, stop_early=True),
    NES(eps=0.1, queries=96, steps=4, random_start=False, loss="margin"),
    NES(eps=0.03, queries=16, steps=2, step_size=0.5, loss="logit"),
]
# Their eps is a standard deviation or a step: no ball holds them.
UNBOUNDED = [
    LongRangeCorrelated(eps=0.1, covariance=Exponential(2.0), samples=1),
    LongRangeCorrelated(eps=0.1, samples=5),
    LongRangeCorrelated(eps=0.1, covariance="exponential:2", samples=2),
    WhiteNoise(eps=0.1, samples=1),
    WhiteNoise(eps=0.1, samples=5),
    NoisyFGSM(eps=0.1, noise=1.0),
]
REGISTERED = {name: example(ATTACKS, name) for name in ATTACKS.names()}
DETERMINISTIC = [
    FGSM(eps=0.1),
    FGSM(eps=0.1, start_from_prediction=True),
    PGD(eps=0.1, random_start=False),
    PGD(eps=0.1, random_start=False, loss="dlr", target="all", steps=3),
    PGD(eps=0.1, random_start=False, loss="margin", target="least-likely"),
    PGD(eps=0.6, random_start=False, norm="l2"),
    FGSM(eps=0.6, norm="l2"),
    APGD(eps=0.1, steps=10, random_start=False),
    APGD(eps=0.6, steps=10, random_start=False, norm="l2", loss="dlr", target="nearest"),
    IterativeFGSM(eps=0.1),
    MomentumIterative(eps=0.1),
    MomentumIterative(eps=0.6, norm="l2"),
]
_IN_TESTS_OF_ADAPTERS = tuple(
    name for name, part in REGISTERED.items() if isinstance(part, ForeignAttack)
)
"""Other libraries' attacks: slow, and held to the same laws in adapters/test_laws.py."""

registered = [
    pytest.param(
        part,
        id=name,
        marks=pytest.mark.skipif(name in _IN_TESTS_OF_ADAPTERS, reason="see adapters/test_laws.py"),
    )
    for name, part in REGISTERED.items()
]
each_registered = pytest.mark.parametrize("attack", registered)
each_attack = pytest.mark.parametrize(
    "attack",
    [
        *registered,
        *(pytest.param(part, id=ATTACKS.text(part)) for part in (*VARIANTS, *UNBOUNDED)),
    ],
)


def only_with_eps(attack: Attack) -> None:
    if not about_attack(attack).has_eps:
        pytest.skip("it says that it has no eps")


def small_network() -> nn.Sequential:
    return conv_network((1, 8, 8), classes=10).eval()


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 5, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    # Some pixels at the ends of the range, where the ball is cut off.
    images = (1.4 * torch.rand(n, 1, 8, 8, generator=generator(1), dtype=dtype) - 0.2).clamp(0, 1)
    return images, torch.arange(n) % 10


def size(change: Tensor, attack: Attack) -> float:
    """The largest of the batch, in the attack's norm."""
    rows = change.double().flatten(1)
    order = {"linf": torch.inf, "l2": 2, "l1": 1}[norm_of(attack)]
    return rows.norm(dim=1, p=order).max().item()


@each_attack
def test_stays_in_the_ball_and_in_the_pixel_range(attack: Attack) -> None:
    images, labels = batch()
    adversarial = attack(small_network(), images, labels, generator=generator())
    assert adversarial.min() >= 0 and adversarial.max() <= 1
    if about_attack(attack).stays_in_ball:
        assert size(adversarial - images, attack) <= attack.eps + 1e-6 * max(1, attack.eps)
    assert not torch.equal(adversarial, images)
    assert adversarial.shape == images.shape and adversarial.dtype == images.dtype


@each_attack
def test_leaves_no_trace_on_model_or_inputs(attack: Attack) -> None:
    model, (images, labels) = small_network(), batch()
    model[1].train()
    model[0].weight.requires_grad_(False)
    model[5].bias.grad = torch.ones(10)
    modes = [module.training for module in model.modules()]
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    copies = images.clone(), labels.clone()

    adversarial = attack(model, images, labels, generator=generator())

    assert torch.equal(images, copies[0]) and torch.equal(labels, copies[1])
    assert not images.requires_grad and not adversarial.requires_grad
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert torch.equal(model[5].bias.grad, torch.ones(10))
    assert all(p.grad is None for p in model.parameters() if p is not model[5].bias)


def state_of(model: nn.Module) -> dict[str, Any]:
    """All that a call could change of a model."""
    return {
        "parameters": [(p.detach().clone(), p.requires_grad, p.grad) for p in model.parameters()],
        "buffers": {name: buffer.clone() for name, buffer in model.named_buffers()},
        "places": [id(tensor) for tensor in (*model.parameters(), *model.buffers())],
        "modes": [module.training for module in model.modules()],
        "hooks": [
            [len(value) for key, value in vars(module).items() if key.endswith("_hooks")]
            for module in model.modules()
        ],
    }


@each_registered
def test_a_model_in_training_mode_is_as_it_was_afterwards(attack: Attack) -> None:
    model, (images, labels) = small_network().train(), batch()
    before = state_of(model)
    attack(model, images, labels, generator=generator())
    torch.testing.assert_close(state_of(model), before, rtol=0, atol=0)


@each_registered
def test_a_graph_from_before_the_attack_still_has_its_derivatives(attack: Attack) -> None:
    model, (images, labels) = small_network().train(), batch()
    model[3].p = 0.0  # two passes must agree
    nn.functional.cross_entropy(model(images), labels).backward()
    expected, weight = model[0].weight.grad, model[0].weight
    weight.grad = None
    loss = nn.functional.cross_entropy(model(images), labels)
    attack(model, images, labels, generator=generator())
    loss.backward()
    assert torch.equal(weight.grad, expected)


@each_attack
def test_never_returns_the_images_memory(attack: Attack) -> None:
    images, labels = batch()
    parts = [attack, with_eps(attack, 0.0)] if about_attack(attack).has_eps else [attack]
    for part in parts:
        adversarial = part(small_network(), images, labels, generator=generator())
        assert adversarial.untyped_storage().data_ptr() != images.untyped_storage().data_ptr()


@each_attack
def test_same_generator_same_result_and_the_global_one_is_left_alone(attack: Attack) -> None:
    model, (images, labels) = small_network(), batch()
    state = torch.get_rng_state()
    first = attack(model, images, labels, generator=generator(3))
    second = attack(model, images, labels, generator=generator(3))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    "attack",
    [
        *(a for a in VARIANTS if isinstance(a, RandomNoise | NES) or a == PGD(eps=0.1)),
        *UNBOUNDED,
    ],
    ids=ATTACKS.text,
)
def test_another_generator_gives_another_result(attack: Attack) -> None:
    model, (images, labels) = small_network(), batch()
    first = attack(model, images, labels, generator=generator(3))
    assert not torch.equal(first, attack(model, images, labels, generator=generator(4)))


@pytest.mark.parametrize("attack", DETERMINISTIC, ids=ATTACKS.text)
def test_neighbours_in_the_batch_play_no_part(attack: Attack) -> None:
    model, (images, labels) = small_network().double(), batch(dtype=torch.float64)
    together = attack(model, images, labels)
    for row in range(len(images)):
        alone = attack(model, images[row : row + 1], labels[row : row + 1])
        torch.testing.assert_close(together[row : row + 1], alone, rtol=0, atol=1e-12)


@each_attack
def test_what_an_example_gets_does_not_depend_on_the_labels_of_others(attack: Attack) -> None:
    model, (images, labels) = small_network().double(), batch(dtype=torch.float64)
    others = (labels + 3) % 10
    others[2] = labels[2]
    first = attack(model, images, labels, generator=generator())
    second = attack(model, images, others, generator=generator())
    torch.testing.assert_close(first[2], second[2], rtol=0, atol=1e-12)


@each_attack
def test_eps_zero_returns_the_images(attack: Attack) -> None:
    only_with_eps(attack)
    images, labels = batch()
    assert torch.equal(with_eps(attack, 0.0)(small_network(), images, labels), images)


@pytest.mark.parametrize("attack", DETERMINISTIC, ids=ATTACKS.text)
def test_a_vanishing_gradient_moves_nothing(attack: Attack) -> None:
    images, labels = batch()
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    nn.init.zeros_(model[1].weight)
    assert torch.equal(attack(model, images, labels), images)


@each_attack
def test_works_without_grad_mode_and_for_tensors_of_inference_mode(attack: Attack) -> None:
    model, (images, labels) = small_network(), batch()
    expected = attack(model, images, labels, generator=generator())
    with torch.no_grad():
        assert torch.equal(attack(model, images, labels, generator=generator()), expected)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        result = attack(model, images.clone(), labels.clone(), generator=generator())
    assert torch.equal(result, expected)


@each_attack
def test_images_that_require_grad_get_none(attack: Attack) -> None:
    images, labels = batch()
    images.requires_grad_()
    adversarial = attack(small_network(), images, labels, generator=generator())
    assert images.grad is None and not adversarial.requires_grad


@each_attack
def test_is_a_value(attack: Attack) -> None:
    untyped: Any = attack
    assert dataclasses.replace(untyped) == attack
    assert hash(dataclasses.replace(untyped)) == hash(attack)
    with pytest.raises(dataclasses.FrozenInstanceError):
        untyped.anything = 0.5


@pytest.mark.parametrize(
    "attack",
    [
        FGSM(eps=0.1),
        PGD(eps=0.1, steps=3),
        PGD(eps=0.6, steps=3, norm="l2", loss="dlr"),
        MomentumIterative(eps=0.1),
        MomentumIterative(eps=0.6, norm="l2"),
        APGD(eps=0.1, steps=10),
        APGD(eps=0.6, steps=10, norm="l2", loss="dlr", target="nearest"),
    ],
    ids=repr,
)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_keeps_the_dtype(attack: Attack, dtype: torch.dtype) -> None:
    images, labels = batch(dtype=dtype)
    adversarial = attack(small_network().to(dtype), images, labels, generator=generator())
    # In L2 and L1 every one of the 64 pixels may be rounded.
    rounding = torch.finfo(dtype).eps * {"linf": 1, "l2": 8, "l1": 64}[norm_of(attack)]
    assert adversarial.dtype == dtype
    assert size(adversarial.double() - images.double(), attack) <= attack.eps + rounding


WITH_EPS = [
    name
    for name in ATTACKS.names()
    if about_attack(name).has_eps and name not in _IN_TESTS_OF_ADAPTERS
]


@settings(max_examples=60, deadline=None)
@given(
    eps=st.floats(0, 1),
    name=st.sampled_from(WITH_EPS),
    norm=st.sampled_from(["linf", "l2"]),
    shape=st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    seed=st.integers(0, 2**32),
)
def test_any_radius_and_shape(
    eps: float, name: str, norm: str, shape: tuple[int, int, int, int], seed: int
) -> None:
    images = torch.rand(shape, generator=generator(seed))
    weight = torch.randn(3, images[0].numel(), generator=generator(seed + 1))
    has_norm = "norm" in {setting.key for setting in ATTACKS.settings(name)}
    try:
        attack = ATTACKS.parse(name, eps=eps, **({"norm": norm} if has_norm else {}))
    except SteadygradError:
        assert norm not in about_attack(name).norms  # it must take any eps in [0, 1]
        return
    adversarial = attack(
        lambda x: x.flatten(1) @ weight.T,
        images,
        torch.zeros(len(images), dtype=torch.int64),
        generator=generator(seed),
    )
    assert adversarial.shape == images.shape
    assert adversarial.min() >= 0 and adversarial.max() <= 1
    if about_attack(name).stays_in_ball:
        assert size(adversarial - images, attack) <= eps + 1e-6


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@each_attack
def test_a_gpu_gets_the_same_draws_from_a_cpu_generator(attack: Attack) -> None:
    model, (images, labels) = small_network().double(), batch(dtype=torch.float64)
    expected = attack(model, images, labels, generator=generator())
    found = attack(model.cuda(), images.cuda(), labels.cuda(), generator=generator())
    assert found.is_cuda
    torch.testing.assert_close(found.cpu(), expected, rtol=0, atol=1e-9)
