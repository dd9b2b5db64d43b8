"""The page of an audit: how much accuracy is left, and whether that can be believed."""

from steadygrad.reports.audit.comparison import AuditComparison, comparison_table, load_audits
from steadygrad.reports.audit.comparison_page import (
    render_comparison_page,
    write_comparison_page,
)
from steadygrad.reports.audit.exports import EXPORTS, export_audit
from steadygrad.reports.audit.page import render_audit_page, write_audit_page

__all__ = [
    "EXPORTS",
    "AuditComparison",
    "comparison_table",
    "export_audit",
    "load_audits",
    "render_audit_page",
    "render_comparison_page",
    "write_audit_page",
    "write_comparison_page",
]
