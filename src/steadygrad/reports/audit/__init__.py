"""The page of an audit: how much accuracy is left, and whether that can be believed."""

from steadygrad.reports.audit.html import render_audit_page, write_audit_page

__all__ = ["render_audit_page", "write_audit_page"]
