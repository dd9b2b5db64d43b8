"""The audit: a battery of attacks on one model, and how far its outcome can be believed."""

from steadygrad.evaluation.audit.outcome import AttackOutcome, Family

__all__ = ["AttackOutcome", "Family"]
