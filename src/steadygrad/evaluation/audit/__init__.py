"""The audit: a battery of attacks on one model, and how far its outcome can be believed."""

from steadygrad.evaluation.audit.audit_gallery import AuditGallery
from steadygrad.evaluation.audit.battery import BUDGETS, Budget, build_battery
from steadygrad.evaluation.audit.battery_entry import BatteryEntry
from steadygrad.evaluation.audit.fitness import Fitness, Problem, UnfitError, check_fitness
from steadygrad.evaluation.audit.outcome import AttackOutcome, Family, Scope
from steadygrad.evaluation.audit.query_count import QueryCount
from steadygrad.evaluation.audit.result import AuditResult
from steadygrad.evaluation.audit.result_file import read_audit, write_audit
from steadygrad.evaluation.audit.run import audit

__all__ = [
    "BUDGETS",
    "AttackOutcome",
    "AuditGallery",
    "AuditResult",
    "BatteryEntry",
    "Budget",
    "Family",
    "Fitness",
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
