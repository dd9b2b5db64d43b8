"""The page of an audit: how much accuracy is left, and whether that can be believed."""

from steadygrad.reports.audit.comparison import AuditComparison, comparison_table, load_audits
from steadygrad.reports.audit.page import render_audit_page, write_audit_page

__all__ = [
    "AuditComparison",
    "comparison_table",
    "load_audits",
    "render_audit_page",
    "write_audit_page",
]
