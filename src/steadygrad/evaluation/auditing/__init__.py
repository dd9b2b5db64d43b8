"""The audit: a battery of attacks on one model, and how far its outcome can be believed."""

from steadygrad.evaluation.auditing.attack_run import QueryCount
from steadygrad.evaluation.auditing.audit_gallery import AuditGallery
from steadygrad.evaluation.auditing.battery import BUDGETS, Budget, build_battery
from steadygrad.evaluation.auditing.entry import BatteryEntry
from steadygrad.evaluation.auditing.fitness import (
    ACCEPTABLE,
    Fitness,
    Problem,
    UnfitError,
    check_fitness,
)
from steadygrad.evaluation.auditing.gate import Gate
from steadygrad.evaluation.auditing.result import AuditResult, read_audit, write_audit
from steadygrad.evaluation.auditing.run import audit
from steadygrad.evaluation.outcome import AttackOutcome, Family, Scope

__all__ = [
    "ACCEPTABLE",
    "BUDGETS",
    "AttackOutcome",
    "AuditGallery",
    "AuditResult",
    "BatteryEntry",
    "Budget",
    "Family",
    "Fitness",
    "Gate",
    "Problem",
    "QueryCount",
    "Scope",
    "UnfitError",
    "audit",
    "build_battery",
    "check_fitness",
    "read_audit",
    "write_audit",
]
