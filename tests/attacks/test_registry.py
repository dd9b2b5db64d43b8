"""Attacks by name."""

import dataclasses
import json
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import torch

from steadygrad import attacks
from steadygrad.attacks import (
    ATTACKS,
    FGSM,
    PGD,
    LongRangeCorrelated,
    about_attack,
    describe_attack,
    modern_description,
    with_eps,
)
from steadygrad.attacks.adapters import ForeignAttack
from steadygrad.covariance import ExponentialCovariance, estimate_covariance, save_covariance
from steadygrad.errors import CheckpointError, HyperparameterError, UnknownNameError
from steadygrad.reports.wording import attack_name


def test_every_public_name_is_there() -> None:
    assert all(hasattr(attacks, name) for name in attacks.__all__)


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_name_builds_with_its_defaults_and_describes_itself(name: str) -> None:
    attack = ATTACKS.parse(name, eps=0.1, attack="fgsm:eps=0.1")
    described = describe_attack(attack)
    library = described.pop("library", None)
    assert (library is not None) == isinstance(attack, ForeignAttack)
    assert json.loads(json.dumps(described)) == described
    assert described["name"] == name
    assert ATTACKS.parse(ATTACKS.text(attack)) == attack
    assert ATTACKS.build(ATTACKS.table(attack)) == attack


@pytest.mark.parametrize("name", ATTACKS.names())
def test_every_attack_says_what_others_ask_of_it(name: str) -> None:
    about = about_attack(name)
    assert about.title and about.norms
    has_eps = "eps" in {setting.key for setting in ATTACKS.settings(name)}
    assert about.has_eps == has_eps
    assert (about.eps_means("linf") == "none") == (not has_eps)


def test_what_eps_means_depends_on_the_norm() -> None:
    assert about_attack("pgd").eps_means("linf") == "radius"
    assert about_attack("pgd").eps_means("l2") == "length"
    assert about_attack("lrc").eps_means() == "standard deviation"
    assert about_attack("deepfool").eps_means("l2") == "none"


def test_a_covariance_is_described_by_what_it_holds() -> None:
    descriptions = [
        describe_attack(LongRangeCorrelated(eps=0.1, covariance=covariance))["covariance"]
        for seed in (0, 0, 1)
        for draws in [torch.randn(9, 1, 4, 4, generator=torch.Generator().manual_seed(seed))]
        for covariance in [estimate_covariance(draws)]
    ]
    assert descriptions[0] == descriptions[1] != descriptions[2]


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Learned:
    """An attack whose numbers are no settings that a text could hold."""

    eps: float
    numbers: Any

    def __call__(self, model, images, labels, *, generator=None):
        return images


@dataclasses.dataclass(frozen=True)
class Held:
    numbers: Any


def filled(value: float) -> torch.nn.Module:
    layer = torch.nn.Linear(40, 30)
    torch.nn.init.constant_(layer.weight, value)
    torch.nn.init.zeros_(layer.bias)
    return torch.nn.Sequential(layer, torch.nn.ReLU())


@pytest.mark.parametrize(
    "made",
    [
        lambda value: middle_of(torch.zeros(60, 60), value),
        lambda value: middle_of(torch.zeros(60, 60, dtype=torch.bfloat16), value),
        lambda value: middle_of(torch.zeros(60, 60), value).numpy(),
        filled,
        lambda value: (1, {"network": filled(value)}),
        lambda value: Held(filled(value)),
    ],
    ids=["tensor", "bfloat16", "array", "module", "inside others", "inside a dataclass"],
)
def test_an_attack_is_described_by_the_numbers_that_it_holds(made: Any) -> None:
    first, same, other = (describe_attack(Learned(eps=0.1, numbers=made(v))) for v in (0, 0, 1))
    assert first == same != other
    assert json.loads(json.dumps(first)) == first


def middle_of(tensor: torch.Tensor, value: float) -> torch.Tensor:
    tensor[20:40, 20:40] = value  # the printed tensor leaves it out
    return tensor


def test_a_covariance_file_is_described_by_what_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "noise.safetensors"
    attack = ATTACKS.parse(f"lrc:covariance={path}", eps=0.1)
    with pytest.raises(CheckpointError, match="cannot read the covariance file"):
        describe_attack(attack)
    descriptions = []
    for length in (2.0, 2.0, 3.0):
        save_covariance(path, ExponentialCovariance((1, 4, 4), length))
        descriptions.append(describe_attack(attack))
    assert descriptions[0] == descriptions[1] != descriptions[2]
    assert json.loads(json.dumps(descriptions[0])) == descriptions[0]
    assert "covariance noise.safetensors, digest" in attack_name(descriptions[0])


def test_unknown_name_and_setting_name_the_nearest_and_list_the_known() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown attack 'fgms' \(did you mean 'fgsm'\?\)"):
        ATTACKS.parse("fgms:eps=0.1")
    with pytest.raises(HyperparameterError, match="fgsm has no setting 'steps'"):
        ATTACKS.parse("fgsm:eps=0.1,steps=3")
    with pytest.raises(HyperparameterError, match="attack pgd needs a value for eps"):
        ATTACKS.parse("pgd:steps=3")


def test_only_attacks_with_an_eps_in_one_of_the_norms_are_offered() -> None:
    offered = ATTACKS.names_with_eps()
    assert set(ATTACKS.names()) - set(offered) == {"deepfool", "mixture"}
    for name in offered:
        norm = about_attack(ATTACKS.get(name)).norms[0]
        assert ATTACKS.parse_with_eps(name, eps=0.1, norm=norm).eps == 0.1
    assert set(offered) - set(ATTACKS.names_with_eps(("linf", "l2"))) == {"sparse-l1"}
    assert "i-fgsm" not in ATTACKS.names_with_eps(("l2",))
    with pytest.raises(UnknownNameError) as unknown:
        ATTACKS.parse_with_eps("depfool", eps=0.1)
    with pytest.raises(HyperparameterError, match="'mixture', which has none") as without:
        ATTACKS.parse_with_eps("mixture", eps=0.1)
    for sentence in map(str, (unknown.value, without.value)):
        assert sentence.endswith(f"; choose one of {', '.join(offered)}")
    assert "did you mean" not in str(unknown.value)


def test_an_attack_of_another_package_is_offered_until_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    point = EntryPoint("foreign", "nowhere:Foreign", ATTACKS.group)
    monkeypatch.setattr(ATTACKS._announced, "_points", {"foreign": point})
    assert ATTACKS.names_with_eps(("l2",))[-1] == "foreign"


def test_with_eps_moves_the_default_step_and_keeps_a_given_one() -> None:
    assert with_eps(PGD(eps=0.1, steps=4), 0.2) == PGD(eps=0.2, steps=4)
    assert with_eps(PGD(eps=0.1, step_size=0.01), 0.2).step_size == 0.01
    assert with_eps(FGSM(eps=0.1), 0.2) == FGSM(eps=0.2)


def test_foreign_attacks_are_described_and_moved_if_they_are_dataclasses() -> None:
    @dataclasses.dataclass(frozen=True, kw_only=True)
    class Brighten:
        eps: float
        mask: tuple[int, ...] = (1, 2)

        def __call__(self, model, images, labels, *, generator=None):
            return (images + self.eps).clamp(max=1)

    about = about_attack(Brighten(eps=0.1))
    assert (about.title, about.family, about.norms) == ("Brighten", "other", ("linf",))
    attack = with_eps(Brighten(eps=0.1), 0.3)
    assert attack.eps == 0.3
    assert describe_attack(attack) == {"name": "Brighten", "mask": "(1, 2)"}
    with pytest.raises(HyperparameterError, match=r"attack that is a dataclass.*got function"):
        with_eps(lambda model, images, labels, generator=None: images, 0.1)


def test_an_attack_that_is_no_dataclass_is_described_by_its_attributes() -> None:
    class Brighten:
        def __init__(self, eps: float, factor: float) -> None:
            self.eps, self.factor, self.mask = eps, factor, torch.ones(3)

        def __call__(self, model, images, labels, *, generator=None):
            return (images + self.factor * self.eps).clamp(max=1)

    described = describe_attack(Brighten(0.1, 0.5))
    assert (described["name"], described["factor"]) == ("Brighten", 0.5)
    assert described == describe_attack(Brighten(0.3, 0.5)) != describe_attack(Brighten(0.1, 1.0))
    assert json.loads(json.dumps(described)) == described


def test_the_protocol_knows_an_attack() -> None:
    assert isinstance(PGD(eps=0.1), attacks.Attack)
    assert not isinstance(torch.nn.Identity(), attacks.Attack)


OLD_LRC = {"name": "lrc", "eps": 0.3, "samples": 1, "unit": "pixel"}


@pytest.mark.parametrize(
    ("old", "now"),
    [
        ({"decay_length": 8.0, "inter_channel": 0.5, "covariance": None}, "exponential"),
        ({"decay_length": 4.0, "inter_channel": 0.5, "covariance": None}, "exponential:4"),
        ({"decay_length": 8.0, "inter_channel": 0.2}, "exponential:inter_channel=0.2"),
        ({"decay_length": 8.0, "inter_channel": 0.5, "covariance": {"name": "dataset"}}, "dataset"),
    ],
)
def test_lrc_noise_reads_what_was_written_when_its_function_was_no_part(
    old: dict[str, Any], now: str
) -> None:
    attack = ATTACKS.build(OLD_LRC | old)
    assert attack == LongRangeCorrelated(eps=0.3, samples=1, covariance=now)
    described = {key: value for key, value in (OLD_LRC | old).items() if key != "eps"}
    if described.get("covariance"):
        described["covariance"] = "Dataset()"
    assert modern_description(described) == describe_attack(attack)
    assert describe_attack(attack)["covariance"] == now


@pytest.mark.parametrize("old", ["decay_length=4", "inter_channel=0"])
def test_lrc_noise_refuses_its_old_settings_beside_a_covariance(old: str) -> None:
    with pytest.raises(HyperparameterError, match="no effect along with a covariance"):
        ATTACKS.parse(f"lrc:eps=0.1,covariance=dataset,{old}")
