"""Figures for reports, papers and READMEs: matplotlib, imported only when one is drawn."""

from steadygrad.reports.figures.canvas import inline_svg, save_figure
from steadygrad.reports.figures.charts import charts_figure
from steadygrad.reports.figures.covariance import (
    covariance_function_figure,
    covariance_matrix_figure,
    softmax_line_figure,
)
from steadygrad.reports.figures.images import correlated_samples_figure, gallery_figure
from steadygrad.reports.figures.runs import cost_figure, robustness_figure, training_figure

__all__ = [
    "charts_figure",
    "correlated_samples_figure",
    "cost_figure",
    "covariance_function_figure",
    "covariance_matrix_figure",
    "gallery_figure",
    "inline_svg",
    "robustness_figure",
    "save_figure",
    "softmax_line_figure",
    "training_figure",
]
