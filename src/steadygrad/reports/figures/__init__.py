"""Figures for reports, papers and READMEs: matplotlib, imported only when one is drawn."""

from steadygrad.reports.figures.charts import charts_figure
from steadygrad.reports.figures.correlated_samples import correlated_samples_figure
from steadygrad.reports.figures.cost import cost_figure
from steadygrad.reports.figures.covariance_function import covariance_function_figure
from steadygrad.reports.figures.covariance_matrix import covariance_matrix_figure
from steadygrad.reports.figures.gallery import gallery_figure
from steadygrad.reports.figures.output import inline_svg, save_figure
from steadygrad.reports.figures.robustness import robustness_figure
from steadygrad.reports.figures.softmax_line import softmax_line_figure
from steadygrad.reports.figures.training import training_figure

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
