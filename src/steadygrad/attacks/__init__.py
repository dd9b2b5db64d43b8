"""Attacks: immutable objects called as ``attack(model, images, labels, generator=...)``."""

from steadygrad.attacks.adapters import (
    DDN,
    FMN,
    AutoAttack,
    CarliniWagner,
    HopSkipJump,
    TimesEps,
    from_art,
    from_foolbox,
    from_torchattacks,
    to_art,
    to_foolbox,
    to_torchattacks,
)
from steadygrad.attacks.apgd import APGD
from steadygrad.attacks.ball import PerturbationBall
from steadygrad.attacks.base import Attack, norm_of, with_eps
from steadygrad.attacks.deepfool import DeepFool, relative_perturbation
from steadygrad.attacks.description import (
    describe_attack,
    modern_description,
)
from steadygrad.attacks.fgsm import FGSM
from steadygrad.attacks.goal import Goal
from steadygrad.attacks.iterative_fgsm import IterativeFGSM
from steadygrad.attacks.l2_ball import L2Ball
from steadygrad.attacks.longrange_correlated import LongRangeCorrelated, WhiteNoise
from steadygrad.attacks.mixture import Mixture
from steadygrad.attacks.momentum_iterative import MomentumIterative
from steadygrad.attacks.nes import NES
from steadygrad.attacks.noisy_fgsm import NoisyFGSM
from steadygrad.attacks.part import ATTACKS, AboutAttack, EpsMeaning, about_attack, attack
from steadygrad.attacks.pgd import PGD
from steadygrad.attacks.random_noise import RandomNoise
from steadygrad.attacks.sparse_l1 import SparseL1

# isort: split
# Last, so that the others stand before them in every list.
from steadygrad.attacks.adapted import (
    ExpectationOverDraws,
    SmoothedGradient,
    StraightThrough,
    Surrogate,
    WideDifferences,
    draws_needed,
    substituted_operations,
)

__all__ = [
    "APGD",
    "ATTACKS",
    "DDN",
    "FGSM",
    "FMN",
    "NES",
    "PGD",
    "AboutAttack",
    "Attack",
    "AutoAttack",
    "CarliniWagner",
    "DeepFool",
    "EpsMeaning",
    "ExpectationOverDraws",
    "Goal",
    "HopSkipJump",
    "IterativeFGSM",
    "L2Ball",
    "LongRangeCorrelated",
    "Mixture",
    "MomentumIterative",
    "NoisyFGSM",
    "PerturbationBall",
    "RandomNoise",
    "SmoothedGradient",
    "SparseL1",
    "StraightThrough",
    "Surrogate",
    "TimesEps",
    "WhiteNoise",
    "WideDifferences",
    "about_attack",
    "attack",
    "describe_attack",
    "draws_needed",
    "from_art",
    "from_foolbox",
    "from_torchattacks",
    "modern_description",
    "norm_of",
    "relative_perturbation",
    "substituted_operations",
    "to_art",
    "to_foolbox",
    "to_torchattacks",
    "with_eps",
]
