"""Hardening a trained network for a radius, checking it before, and taking it away after."""

from steadygrad.hardening.fine_tuning import Hardened, harden
from steadygrad.hardening.model_check import ModelCheck, StepCost, check_model, step_costs
from steadygrad.hardening.report import HardeningReport, Measured
from steadygrad.hardening.take_away import TakenAway, take_away

__all__ = [
    "Hardened",
    "HardeningReport",
    "Measured",
    "ModelCheck",
    "StepCost",
    "TakenAway",
    "check_model",
    "harden",
    "step_costs",
    "take_away",
]
