"""The page of an audit: how much accuracy is left, and whether that can be believed."""

from steadygrad.reports.audit.comparison import AuditComparison, load_audits
from steadygrad.reports.audit.comparison_table import comparison_table
from steadygrad.reports.audit.html import render_audit_page, write_audit_page

__all__ = [
    "AuditComparison",
    "comparison_table",
    "load_audits",
    "render_audit_page",
    "write_audit_page",
]
