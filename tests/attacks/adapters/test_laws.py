"""What an attack of another library owes its caller: what our own do."""

import dataclasses
import json
import random
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from conv_network import conv_network
from steadygrad.attacks import Attack, describe_attack, with_eps
from steadygrad.attacks.adapters import (
    DDN,
    FMN,
    AutoAttack,
    CarliniWagner,
    ForeignAttack,
    HopSkipJump,
    TimesEps,
    from_art,
    from_foolbox,
    from_torchattacks,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import art.attacks.evasion as art
    import foolbox.attacks as foolbox
    import torchattacks


def build_all() -> list[ForeignAttack]:
    return [
        from_foolbox(foolbox.LinfPGD(steps=5), eps=0.1),
        from_foolbox(foolbox.L2PGD(steps=5), eps=1.0),
        from_foolbox(foolbox.L2DeepFoolAttack(steps=5, candidates=3), eps=1.0),
        from_foolbox(foolbox.LInfFMNAttack(steps=10), eps=0.1),
        from_torchattacks(torchattacks.PGD, eps=0.1, alpha=TimesEps(0.25), steps=5),
        from_torchattacks(torchattacks.PGDL2, eps=1.0, alpha=TimesEps(0.25), steps=5),
        from_torchattacks(torchattacks.APGD, eps=0.1, steps=5),
        from_art(art.ProjectedGradientDescent, eps=0.1, eps_step=TimesEps(0.25), max_iter=5),
        from_art(art.SquareAttack, eps=0.1, max_iter=5),
        from_art(art.DeepFool, eps=1.0, max_iter=10),
        AutoAttack(eps=0.1, attacks=("apgd-ce",)),
        AutoAttack(eps=1.0, norm="l2", attacks=("apgd-dlr",)),
        CarliniWagner(eps=1.0, steps=20, binary_search_steps=2, initial_const=1.0),
        FMN(eps=0.1, steps=10),
        FMN(eps=1.0, norm="l2", steps=10),
        DDN(eps=1.0, steps=10),
        HopSkipJump(eps=0.6, norm="linf", steps=2),
        HopSkipJump(eps=4.0, norm="l2", steps=2),
    ]


ATTACKS = build_all()
# Those that start at random and do not end in the same corner wherever they start.
RANDOM = [ATTACKS[i] for i in (0, 1, 4, 5, 8)]
# One of each library, and two that minimize: for what does not depend on the attack.
KINDS = [ATTACKS[i] for i in (0, 3, 4, 7, 10, 12)]


def name(attack: ForeignAttack) -> str:
    return f"{attack.label}-{attack.norm}"


each_attack = pytest.mark.parametrize("attack", ATTACKS, ids=name)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def network() -> nn.Sequential:
    return conv_network((1, 8, 8), classes=10).eval()


def batch(n: int = 4, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Images with some pixels at the ends of the range, and the labels the network gives them."""
    images = (1.4 * torch.rand(n, 1, 8, 8, generator=generator(1)) - 0.2).clamp(0, 1)
    with torch.no_grad():
        return images.to(dtype), network()(images).argmax(dim=1)


def size(attack: ForeignAttack, change: Tensor) -> Tensor:
    order = 2.0 if attack.norm == "l2" else torch.inf
    return torch.linalg.vector_norm(change.double().flatten(1), ord=order, dim=1)


@each_attack
def test_stays_in_the_ball_and_in_the_pixel_range(attack: ForeignAttack) -> None:
    images, labels = batch()
    adversarial = attack(network(), images, labels, generator=generator())
    assert isinstance(attack, Attack)
    assert adversarial.min() >= 0 and adversarial.max() <= 1
    assert size(attack, adversarial - images).max() <= attack.eps + 1e-6
    assert adversarial.shape == images.shape and adversarial.dtype == images.dtype
    assert not torch.equal(adversarial, images) and not adversarial.requires_grad


@each_attack
def test_leaves_no_trace_on_model_or_inputs(attack: ForeignAttack) -> None:
    model, (images, labels) = network(), batch()
    model[1].train()
    model[0].weight.requires_grad_(False)
    model[5].bias.grad = torch.ones(10)
    modes = [module.training for module in model.modules()]
    wanted = [parameter.requires_grad for parameter in model.parameters()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    copies = images.clone(), labels.clone()

    attack(model, images, labels, generator=generator())

    assert torch.equal(images, copies[0]) and torch.equal(labels, copies[1])
    assert [module.training for module in model.modules()] == modes
    assert [parameter.requires_grad for parameter in model.parameters()] == wanted
    assert torch.equal(model[5].bias.grad, torch.ones(10))
    assert all(p.grad is None for p in model.parameters() if p is not model[5].bias)
    assert not any(module._forward_hooks for module in model.modules())
    for key, value in model.state_dict().items():
        assert torch.equal(value, state[key])


@pytest.mark.parametrize("attack", KINDS, ids=name)
def test_any_callable_is_a_model_and_its_closure_gets_no_gradient(attack: ForeignAttack) -> None:
    model, (images, labels) = network(), batch()
    expected = attack(model, images, labels, generator=generator())
    found = attack(lambda x: model(x), images, labels, generator=generator())
    assert torch.equal(found, expected)
    assert all(parameter.grad is None for parameter in model.parameters())


@each_attack
def test_same_generator_same_result_and_the_global_ones_are_left_alone(
    attack: ForeignAttack,
) -> None:
    model, (images, labels) = network(), batch()
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    first = attack(model, images, labels, generator=generator(3))
    second = attack(model, images, labels, generator=generator(3))
    assert torch.equal(first, second)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    assert np.random.get_state()[1].tolist() == before[2]


@pytest.mark.parametrize("attack", RANDOM, ids=name)
def test_another_generator_gives_another_result(attack: ForeignAttack) -> None:
    model, (images, labels) = network(), batch()
    first = attack(model, images, labels, generator=generator(3))
    assert not torch.equal(first, attack(model, images, labels, generator=generator(4)))


@each_attack
def test_eps_zero_returns_a_copy_and_asks_nobody(attack: ForeignAttack) -> None:
    images, labels = batch()
    found = with_eps(attack, 0.0)(lambda x: 1 / 0, images, labels)
    assert torch.equal(found, images) and found.data_ptr() != images.data_ptr()


@pytest.mark.parametrize("attack", KINDS, ids=name)
def test_works_without_grad_mode_and_for_tensors_of_inference_mode(attack: ForeignAttack) -> None:
    model, (images, labels) = network(), batch()
    expected = attack(model, images, labels, generator=generator())
    with torch.no_grad():
        assert torch.equal(attack(model, images, labels, generator=generator()), expected)
        assert not torch.is_grad_enabled()
    with torch.inference_mode():
        found = attack(model, images.clone(), labels.clone(), generator=generator())
    assert torch.equal(found, expected)


@pytest.mark.parametrize("attack", KINDS, ids=name)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_keeps_the_dtype_and_asks_the_model_in_it(
    attack: ForeignAttack, dtype: torch.dtype
) -> None:
    images, labels = batch(dtype=dtype)
    model = network().to(dtype)
    adversarial = attack(model, images, labels, generator=generator())
    assert adversarial.dtype == dtype
    rounding = 8 * torch.finfo(dtype).eps  # of 64 pixels in L2
    assert size(attack, adversarial.double() - images.double()).max() <= attack.eps + rounding


@each_attack
def test_is_a_value(attack: ForeignAttack) -> None:
    untyped: Any = attack
    assert dataclasses.replace(untyped) == attack
    assert hash(dataclasses.replace(untyped)) == hash(attack)
    assert with_eps(attack, 0.05).eps == 0.05
    with pytest.raises(dataclasses.FrozenInstanceError):
        untyped.eps = 0.5


@pytest.mark.parametrize(("first", "again"), [*zip(ATTACKS, build_all(), strict=True)])
def test_descriptions_are_json_and_the_same_in_every_run(
    first: ForeignAttack, again: ForeignAttack
) -> None:
    described = describe_attack(first)
    assert json.loads(json.dumps(described)) == described
    assert describe_attack(with_eps(again, 0.05)) == described
    assert described["library"].split()[1][0].isdigit()
    assert "eps" not in described and "0x" not in json.dumps(described)


def test_descriptions_tell_settings_apart() -> None:
    descriptions = {json.dumps(describe_attack(attack)) for attack in ATTACKS}
    assert len(descriptions) == len(ATTACKS)
    short, long = (from_foolbox(foolbox.LinfPGD(steps=steps), eps=0.1) for steps in (5, 50))
    assert describe_attack(short)["steps"] == 5 and describe_attack(long)["steps"] == 50


def test_a_pixel_beyond_the_range_by_rounding_is_no_obstacle() -> None:
    images, labels = batch()
    images[0, 0, 0, 0] = 1 + 1e-7
    for attack in KINDS:
        assert attack(network(), images, labels, generator=generator()).max() <= 1


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
@each_attack
def test_runs_where_the_images_are(attack: ForeignAttack) -> None:
    model, (images, labels) = network().cuda(), batch()
    state = torch.cuda.get_rng_state()
    found = attack(model, images.cuda(), labels.cuda(), generator=generator())
    assert found.is_cuda and torch.equal(torch.cuda.get_rng_state(), state)
    assert size(attack, found.cpu() - images).max() <= attack.eps + 1e-6
