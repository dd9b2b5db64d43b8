"""Attacks: immutable objects called as ``attack(model, images, labels, generator=...)``."""

from steadygrad.attacks.ball import PerturbationBall
from steadygrad.attacks.base import Attack, with_eps
from steadygrad.attacks.deepfool import DeepFool, relative_perturbation
from steadygrad.attacks.fgsm import FGSM
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.longrange_correlated import LongRangeCorrelated, WhiteNoise
from steadygrad.attacks.pgd import PGD
from steadygrad.attacks.random_noise import RandomNoise
from steadygrad.attacks.registry import (
    attack_names,
    attack_settings,
    build_attack,
    describe_attack,
)

__all__ = [
    "FGSM",
    "PGD",
    "Attack",
    "DeepFool",
    "Goal",
    "LongRangeCorrelated",
    "PerturbationBall",
    "RandomNoise",
    "WhiteNoise",
    "attack_names",
    "attack_settings",
    "build_attack",
    "describe_attack",
    "relative_perturbation",
    "with_eps",
]
