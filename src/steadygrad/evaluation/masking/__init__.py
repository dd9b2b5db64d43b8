"""Signs of gradient masking: attacks that fail because gradients mislead them."""

from steadygrad.evaluation.masking.diagnosis import diagnose, diagnostic_names
from steadygrad.evaluation.masking.finding import Finding, Verdict
from steadygrad.evaluation.masking.subject import Subject

__all__ = ["Finding", "Subject", "Verdict", "diagnose", "diagnostic_names"]
