"""Hardening a trained network for a radius, checking it before, and taking it away after."""

from steadygrad.hardening.fine_tuning import Hardened, harden
from steadygrad.hardening.model_check import ModelCheck, check_model
from steadygrad.hardening.report import HardeningReport, Measured
from steadygrad.hardening.search import search_hardening
from steadygrad.hardening.step_costs import StepCost, step_costs
from steadygrad.hardening.take_away import TakenAway, take_away
from steadygrad.hardening.trials import CleanDrop, Searched, Trial

__all__ = [
    "CleanDrop",
    "Hardened",
    "HardeningReport",
    "Measured",
    "ModelCheck",
    "Searched",
    "StepCost",
    "TakenAway",
    "Trial",
    "check_model",
    "harden",
    "search_hardening",
    "step_costs",
    "take_away",
]
