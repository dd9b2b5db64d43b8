"""The folder that `steadygrad covariance` writes: files, figures, numbers and a page."""

from steadygrad.reports.covariance.folder import write_covariance_analysis
from steadygrad.reports.covariance.page import length_text, render_covariance_page, shift_caution

__all__ = ["length_text", "render_covariance_page", "shift_caution", "write_covariance_analysis"]
