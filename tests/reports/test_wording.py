"""Laws of steadygrad.reports.wording."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from steadygrad.attacks import (
    ATTACKS,
    FGSM,
    NES,
    PGD,
    IterativeFGSM,
    LongRangeCorrelated,
    MomentumIterative,
    RandomNoise,
    WhiteNoise,
    attack,
    describe_attack,
)
from steadygrad.covariance import Exponential
from steadygrad.evaluation import AccuracyPoint
from steadygrad.reports.training_words import (
    adversarial_text,
    augmentation_text,
    is_plain,
    model_text,
    penalty_text,
    training_text,
)
from steadygrad.reports.wording import (
    attack_name,
    attack_settings,
    disturbance_text,
    enumeration,
    eps_text,
    interval_text,
    large_number,
    seconds_text,
)
from steadygrad.training import TrainingConfig


@pytest.mark.parametrize(
    ("eps", "text"),
    [(0, "0"), (0.1, "0.1"), (0.14, "0.14"), (8 / 255, "8/255"), (1 / 3, "85/255"), (1, "1")],
)
def test_radii_read_as_people_write_them(eps: float, text: str) -> None:
    assert eps_text(eps) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "–"),
        (0.4, "0.40 s"),
        (1.94, "1.9 s"),
        (9.99, "10 s"),
        (99.4, "99 s"),
        (200, "3 min 20 s"),
        (3600, "60 min"),
        (7560, "2.1 h"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert seconds_text(seconds).replace("\u00a0", " ") == text


def test_counts_keep_three_digits() -> None:
    found = [large_number(value) for value in (None, 12, 39_188, 252_416, 3_713_664, 2e9)]
    assert found == ["–", "12", "39.2\u00a0k", "252\u00a0k", "3.71\u00a0M", "2\u00a0G"]


def test_interval_is_wilsons() -> None:
    # 9 of 10: (0.9 + z^2/20 ± z sqrt(0.009 + z^2/400)) / (1 + z^2/10) with z = 1.96.
    assert interval_text(AccuracyPoint(eps=0, correct=9, n=10)) == "59.6–98.2"


def test_enumerations() -> None:
    assert [enumeration(["a", "b", "c"][:n]) for n in range(4)] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_attacks_are_named_by_their_strength() -> None:
    described = [
        describe_attack(attack)
        for attack in (
            PGD(eps=0),
            PGD(eps=0, steps=20, restarts=5, target="random"),
            PGD(eps=0, target="all", loss="dlr", norm="l2", reach=2),
            PGD(eps=0, target="least-likely", loss="margin", step_size=0.01, random_start=False),
            FGSM(eps=0),
            FGSM(eps=0, norm="l2"),
            IterativeFGSM(eps=0),
            MomentumIterative(eps=0, steps=20, decay=0.5),
            NES(eps=0),
            NES(eps=0, queries=800, loss="margin"),
            RandomNoise(eps=0, samples=9),
            LongRangeCorrelated(eps=0, covariance=Exponential(4)),
            WhiteNoise(eps=0, samples=1),
        )
    ]
    assert [attack_name(attack) for attack in described] == [
        "PGD(8)",
        "targeted PGD(20), 5 restarts",
        "all-targets L2 PGD(8), DLR loss",
        "least-likely-class PGD(8), margin loss",
        "FGSM",
        "L2 FGSM",
        "I-FGSM(10)",
        "MIM(20)",
        "NES(4,000 queries)",
        "NES(800 queries), margin loss",
        "random noise (uniform, worst of 9)",
        "LRC noise (decay length 4), worst of 100",
        "white noise",
    ]
    assert attack_settings(described[0]) == (
        "8 steps of 1.85 eps / 8, 1 random start, untargeted, from the true label, "
        "cross-entropy loss, L∞ norm"
    )
    assert attack_settings(described[2]) == (
        "8 steps of 2 eps / 8, 1 random start, towards every wrong class in turn, from the true "
        "label, DLR loss, L2 norm"
    )
    assert attack_settings(described[3]) == (
        "8 steps of 0.01, start at the image itself, towards the least likely class, from the true "
        "label, margin loss, L∞ norm"
    )
    assert attack_settings(described[5]) == "from the true label, L2 norm"
    assert attack_settings(described[6]) == "10 steps of eps / 10"
    assert attack_settings(described[7]) == "20 steps of eps / 20, L∞ norm, decay 0.5"
    assert attack_settings(described[8]).startswith("8 steps of 1.85 eps / 8, ")
    assert attack_settings(described[11]) == (
        "covariance exp(-r / 4), 0.5 of it between channels, samples 100"
    )
    of_data = described[11] | {"covariance": "of the data set mnist"}
    assert attack_name(of_data) == "LRC noise (covariance of the data set mnist), worst of 100"
    assert attack_settings(of_data) == "covariance of the data set mnist, samples 100"
    assert attack_name({"name": "autoattack", "norm": "l2"}) == "L2 AutoAttack"
    square = {"name": "autoattack", "norm": "linf", "attacks": ["square"]}
    assert attack_name(square) == "Square of AutoAttack"
    assert attack_name({"name": "carlini-wagner", "norm": "l2", "steps": 20}) == (
        "L2 Carlini-Wagner(20)"
    )
    assert attack_name({"name": "someone-elses", "norm": 2}) == "someone-elses"
    assert attack_settings({"name": "someone-elses", "norm": 2, "fast": True}) == "norm 2, fast yes"


@dataclass(frozen=True, kw_only=True)
class Checkerboard:
    """An attack of another package."""

    eps: float
    side: int = 2


def test_an_attack_of_another_package_has_its_own_title(monkeypatch: pytest.MonkeyPatch) -> None:
    for register in ("_classes", "_names", "_about"):
        monkeypatch.setattr(ATTACKS, register, dict(getattr(ATTACKS, register)))
    described = {"name": "checkerboard", "side": 4, "steps": 3, "step_size": None}
    assert attack_name(described) == "checkerboard(3)"
    attack("checkerboard", title="Squares", family="noise", is_gaussian=True)(Checkerboard)
    assert attack_name({"name": "checkerboard", "side": 4, "samples": 9}) == "Squares, worst of 9"
    assert attack_settings(described) == "3 steps of a length of its own choice, side 4"
    assert disturbance_text(described) == "Gaussian noise of standard deviation eps"
    assert adversarial_text(config(attack=Checkerboard(eps=0.1))) == (
        "Squares, standard deviation 0.1"
    )


def config(**settings: Any) -> TrainingConfig:
    return TrainingConfig(**{"data": "digits", "model": "digits-complex"} | settings)


@pytest.mark.parametrize(
    ("step", "natural"),
    [("flip", True), ("rotate:10", True), ("elastic:1", True), ("uniform:0.1", False)],
)
def test_only_steps_that_no_photograph_could_show_make_a_training_disturbed(
    step: str, natural: bool
) -> None:
    assert is_plain(config(augmentation=step)) is natural


def test_training_is_told_by_what_sets_it_apart() -> None:
    plain = config(augmentation="flip+crop:4")
    frozen = "digits-complex:second_order=frozen_phase"
    penalised = config(model=frozen, penalty="squared-norm:strength=0.125")
    attacked = config(attack="mixture:attack=pgd,attack.eps=8/255,attack.steps=4,fraction=0.5")
    noisy = config(augmentation="flip+crop:4+uniform:0.1")
    smoothed = config(loss="cross-entropy:smoothing=0.1")
    switched_off = config(penalty="squared-norm:strength=0")
    runs = (plain, switched_off, penalised, attacked, noisy, smoothed)
    assert [is_plain(run) for run in runs] == [True, True, False, False, False, False]
    assert penalty_text(plain) == adversarial_text(plain) == augmentation_text(config()) == "none"
    assert model_text(penalised) == model_text(plain) == "digits-complex"
    assert augmentation_text(noisy) == "flips, crops (padding 4), uniform noise 0.1"
    assert [training_text(run) for run in (plain, noisy, smoothed)] == [
        "plain",
        "uniform noise 0.1",
        "loss cross-entropy:smoothing=0.1",
    ]
    both = replace(penalised, augmentation="gaussian:0.05", attack="fgsm:eps=0.1,norm=l2")
    assert training_text(both) == (
        "squared L1 penalty, strength 0.125, frozen phase; trained on L2 FGSM, eps 0.1; "
        "gaussian noise 0.05"
    )


@pytest.mark.parametrize(
    ("penalty", "said"),
    [
        ("squared-norm:strength=0.125", "squared L1, strength 0.125"),
        ("squared-norm:strength=3e-5,norm=linf", "squared L∞, strength 3e-05"),
        ("gn:strength=1,fraction=0.5", "squared L2, strength 1, on 50\u00a0% of each batch"),
        ("norm:eps=8/255", "gradient norm (L∞ ball), eps 8/255"),
        (
            "sgr:strength=0.005,backend=finite-difference",
            "SGR (stationary covariance), strength 0.005, finite difference",
        ),
        (
            "sgr:strength=0.005,covariance=/a/b.safetensors",
            "SGR (/a/b.safetensors covariance), strength 0.005",
        ),
    ],
)
def test_penalties_are_named_with_their_strength(penalty: str, said: str) -> None:
    assert penalty_text(config(penalty=penalty)) == said


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ("fgsm:eps=0.1", "FGSM, eps 0.1"),
        (
            "mixture:attack=pgd,attack.eps=8/255,attack.steps=4,fraction=0.5",
            "PGD(4), eps 8/255, on 50\u00a0% of each batch",
        ),
        ("n-fgsm:eps=8/255", "N-FGSM, eps 8/255"),
        ("lrc:eps=0.3,samples=1", "LRC noise (decay length 8), standard deviation 0.3"),
        (
            "lrc:eps=0.3,samples=1,covariance=dataset",
            "LRC noise (covariance dataset), standard deviation 0.3",
        ),
        ("white-noise:eps=0.1,samples=1", "white noise, standard deviation 0.1"),
        ("deepfool", "DeepFool(100)"),
    ],
)
def test_attacks_in_training_are_named_as_those_in_evaluations(attack: str, said: str) -> None:
    assert adversarial_text(config(attack=attack)) == said


@pytest.mark.parametrize(
    ("attack", "said"),
    [
        ({"name": "pgd"}, "an attack that may change every pixel by at most eps"),
        (
            {"name": "pgd", "norm": "l2"},
            "an attack that may change every image by at most eps in L2, the length of its change",
        ),
        ({"name": "n-fgsm"}, "an attack of size eps that may change images by more"),
        ({"name": "random-noise"}, "noise that may change every pixel by at most eps"),
        ({"name": "lrc"}, "Gaussian noise of standard deviation eps"),
    ],
)
def test_what_eps_means_is_said(attack: dict[str, str], said: str) -> None:
    assert disturbance_text(attack) == said
