"""Signs of gradient masking: attacks that fail because gradients mislead them."""

from steadygrad.evaluation.masking.finding import Finding, Verdict

__all__ = ["Finding", "Verdict"]
